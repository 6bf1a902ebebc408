"""Self-contained HTML pages: for light and dark, wide and narrow screens, tables that sort by a click."""

import base64
import html
from collections.abc import Callable
from typing import Any

import pandas as pd

_STYLE = """:root { color-scheme: light dark }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 64em; margin: 2em auto; padding: 0 1em }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: 13px }
td, th { border: 1px solid #8886; padding: 3px 8px; text-align: right; white-space: nowrap } thead th { cursor: pointer }
img { max-width: 100%; background: white } @media (max-width: 40em) { .wide img { max-width: none; width: 60em } }"""
_SORT = """for (const head of document.querySelectorAll("thead th")) head.onclick = () => {
  const body = head.closest("table").tBodies[0], place = head.cellIndex, rows = [...body.rows];
  const down = head.dataset.down = head.dataset.down ? "" : "1", text = row => row.cells[place].innerText;
  const value = row => isNaN(parseFloat(text(row))) ? text(row) : parseFloat(text(row));
  rows.sort((a, b) => (value(a) > value(b) ? 1 : -1) * (down ? -1 : 1)).forEach(row => body.append(row));
};"""


def document(title: str, verdict: str, parts: list[str]) -> str:
    """A page with its verdict on top.  parts: HTML"""
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><h1>{html.escape(title)}</h1>
<p><strong>{html.escape(verdict)}</strong></p>
{"".join(parts)}<p>A click on a column's head sorts by it.</p><script>{_SORT}</script></body></html>
"""


def paragraph(text: str) -> str:
    """A text."""
    return f"<p>{html.escape(text)}</p>\n"


def listed(texts: list[str]) -> str:
    """Texts, a point each."""
    return f"<ul>{''.join(f'<li>{html.escape(text)}</li>' for text in texts)}</ul>\n"


def section(
    title: str, frame: pd.DataFrame, shown: Callable[[Any], str], corner: str = "entry"
) -> str:
    """A table below its title: the index first.  shown: a cell as text; corner: what the index holds"""
    head = "".join(
        f"<th scope=col>{html.escape(str(name))}</th>" for name in (corner, *frame.columns)
    )
    lines = "".join(
        f"<tr><th scope=row>{html.escape(str(name))}</th>{''.join(f'<td>{html.escape(shown(value))}</td>' for value in row)}</tr>"
        for name, row in zip(frame.index, frame.to_numpy(object))
    )
    table = (
        f"<div class=wide><table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )
    return f"<h2>{html.escape(title)}</h2>{table}\n"


def picture(png: bytes, alt: str) -> str:
    """A picture inside the page."""
    image = base64.b64encode(png).decode()
    return f'<div class=wide><img alt="{html.escape(alt)}" src="data:image/png;base64,{image}"></div>\n'
