"""Self-contained HTML pages with sortable tables, for light and dark, wide and narrow screens."""

import base64
import html
from collections.abc import Callable, Iterable
from typing import Any

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.reporting.plots import pieces

CSS_INCH = 96  # pixels of a page
_STYLE = """:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64em; margin: 2em auto; padding: 0 1em }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 13px }
td, th { border: 1px solid #8886; padding: 3px 8px; text-align: right; white-space: nowrap }
thead th { cursor: pointer } img { max-width: 100% } .panels { display: flex; flex-wrap: wrap }
@media (prefers-color-scheme: dark) { img { filter: invert(.93) hue-rotate(180deg) } }"""
_SORT = """for (const head of document.querySelectorAll("thead th")) head.onclick = () => {
  const body = head.closest("table").tBodies[0], column = head.cellIndex, rows = [...body.rows];
  const down = head.dataset.down = head.dataset.down ? "" : "1";
  const text = row => row.cells[column].innerText;
  const value = row => isNaN(parseFloat(text(row))) ? text(row) : parseFloat(text(row));
  rows.sort((a, b) => (value(a) > value(b) ? 1 : -1) * (down ? -1 : 1));
  rows.forEach(row => body.append(row));
};"""
_HEAD = """<!doctype html><html lang="en"><head><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">"""


def document(title: str, verdict: str, parts: list[str]) -> str:
    """Return a page that opens with its verdict.  parts: HTML"""
    title = html.escape(title)
    return f"""{_HEAD}
<title>{title}</title><style>{_STYLE}</style></head><body><h1>{title}</h1>
<p><strong>{html.escape(verdict)}</strong></p>
{"".join(parts)}<p>A click on a column's head sorts by it.</p><script>{_SORT}</script></body></html>
"""


def paragraph(text: str) -> str:
    """Return a paragraph."""
    return f"<p>{html.escape(text)}</p>\n"


def listed(texts: list[str]) -> str:
    """Return an unordered list."""
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>\n"


def section(
    title: str, frame: pd.DataFrame, format_cell: Callable[[Any], str], corner: str = "entry"
) -> str:
    """Return a heading and a table whose first column is the index.

    corner: title of the first column
    """
    head = _cells((corner, *frame.columns), "<th scope=col>{}</th>")
    lines = ""
    for name, row in zip(frame.index, frame.to_numpy(object)):
        cells = _cells(map(format_cell, row), "<td>{}</td>")
        lines += f"<tr><th scope=row>{html.escape(str(name))}</th>{cells}</tr>"
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
    return f"<h2>{html.escape(title)}</h2><div class=wide>{table}</div>\n"


def _cells(values: Iterable[Any], template: str) -> str:
    """Return values as cells of HTML."""
    return "".join(template.format(html.escape(str(value))) for value in values)


def picture(figure: Figure, alt: str) -> str:
    """Return the panels of a figure side by side, or below each other where there is no room."""
    images = ""
    for png, inches in pieces(figure):
        source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
        images += f'<img alt="" width={round(inches * CSS_INCH)} src="{source}">'
    return f'<div class=panels role=img aria-label="{html.escape(alt)}">{images}</div>\n'
