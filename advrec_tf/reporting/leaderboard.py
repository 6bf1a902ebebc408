"""The leaderboard of factors under attack as one reads it: a table, a picture and a page."""

import base64
import html
import io

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.evaluation import mean_interval
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import color_of, markdown, number

COLUMNS = ("entry", "seed", "threat", "budget", "ball", "rho", "member", "nDCG", "HR", "certified_nDCG", "certified_HR", "ICov", "EFD", "SE")
THREATS = {"train": "knows the training pairs", "lists": "knows the lists that are shown", "test": "knows the held-out item"}
VERDICT_AT = 0.05  # rho, l2


def tidy(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows by entry; a name that stood for several factors is told apart by what they hold."""
    several = rows.groupby(["entry", "seed"])["factors"].transform("nunique") > 1
    named = rows.assign(entry=rows["entry"].where(~several, rows["entry"] + " " + rows["factors"]))
    return named.sort_values(["entry", "seed", "threat", "ball", "rho"], ignore_index=True)


def table(rows: pd.DataFrame, threat: str, value: str = "nDCG") -> pd.DataFrame:
    """Entries by what is left of them, a column for unperturbed and one for each budget, mean over seeds; the best under attack first."""
    still = rows[rows["threat"] == ""].groupby("entry")["nDCG"].mean()
    wide = rows[rows["threat"] == threat].pivot_table(index="entry", columns=["ball", "rho"], values=value)
    wide.columns = [f"{ball} {rho:g}" for ball, rho in wide.columns]
    return wide.assign(unperturbed=still)[["unperturbed", *wide.columns]].sort_values(_order(wide), ascending=False)


def _order(wide: pd.DataFrame) -> str:
    wanted = f"l2 {VERDICT_AT:g}"
    return wanted if wanted in wide.columns else wide.columns[0]


def verdict(rows: pd.DataFrame) -> str:
    """One sentence for each threat: who keeps most, and how it does beside the most accurate."""
    found = []
    for threat, knows in THREATS.items():
        wide = table(rows, threat)
        column, winner = _order(wide.drop(columns="unperturbed")), wide.index[0]
        accurate = wide["unperturbed"].idxmax()
        text = f"{winner} keeps most ({number(wide.loc[winner, column])} of {number(wide.loc[winner, 'unperturbed'])})"
        if winner != accurate:
            text += f"; the most accurate, {accurate}, {number(wide.loc[accurate, column])} of {number(wide.loc[accurate, 'unperturbed'])}"
        found.append(f"Against an attacker who {knows}, at {column}: {text}.")
    return " ".join(found)


def report(rows: pd.DataFrame, dataset: str) -> str:
    """report.md."""
    parts = [f"# Robustness of factors on {dataset}\n", f"{verdict(rows)}\n", f"{_EXPLAINED}\n"]
    for threat, knows in THREATS.items():
        parts.append(f"\n## Worst nDCG@{rows['k'].iloc[0]:.0f} against an attacker who {knows} (`{threat}`)\n")
        parts.append(_markdown(table(rows, threat)))
    parts.append("\n## Certified nDCG: what no attack can take\n")
    parts.append(_markdown(table(rows, "test", "certified_nDCG")))
    parts.append("\n## Seeds: unperturbed and worst nDCG with 95% intervals\n")
    parts.append(_seeds(rows))
    masked = rows[rows["masked"] > 0]
    if len(masked):
        where = ", ".join(dict.fromkeys(f"{row.entry} ({row.threat}, {row.ball} {row.rho:g})" for row in masked.itertuples()))
        parts.append(f"\nNoise of the same size did more harm than every attack, or an attack helped: {where}.\n")
    return "\n".join(parts)


_EXPLAINED = (
    "rho is the size of a perturbation's row (l2) or of its elements (linf) over the root mean square of the table's row norms, in the form that all "
    "factors of the same lists share: no scale, basis or shift changes a figure. Each cell is the worst of an ensemble of attacks."
)


def _markdown(wide: pd.DataFrame) -> str:
    return markdown(["entry", *wide.columns], [[str(name), *(number(value) for value in row)] for name, row in wide.iterrows()])


def _seeds(rows: pd.DataFrame) -> str:
    own = rows[(rows["threat"] == "") | ((rows["ball"] == "l2") & np.isclose(rows["rho"], VERDICT_AT))]
    lines = []
    for entry, part in own.groupby("entry"):
        cells = [_interval(part[part["threat"] == threat]["nDCG"]) for threat in ("", *THREATS)]
        lines.append([str(entry), str(part["seed"].nunique()), *cells])
    return markdown(["entry", "seeds", "unperturbed", *(f"{threat}, l2 {VERDICT_AT:g}" for threat in THREATS)], lines)


def _interval(values: pd.Series) -> str:
    if len(values) < 2:
        return "" if values.empty else number(values.iloc[0])
    low, high = mean_interval(values.to_numpy())
    return f"{number(values.mean())} [{number(low)}, {number(high)}]"


def figure(rows: pd.DataFrame) -> Figure:
    """What is left over the budget in the l2 ball, a panel for each threat, a line for each entry; dotted: certified."""
    axes_of = panels(1, len(THREATS))
    picture, axes = axes_of
    for axis, (threat, knows) in zip(axes[0], THREATS.items()):
        own = rows[(rows["threat"] == threat) & (rows["ball"] == "l2")]
        for entry, part in own.groupby("entry"):
            means = part.groupby("rho")[["nDCG", "certified_nDCG"]].mean()
            axis.plot(means.index, means["nDCG"], "o-", color=color_of(str(entry)), markersize=3, label=str(entry))
            if threat == "test":
                axis.plot(means.index, means["certified_nDCG"], ":", color=color_of(str(entry)), linewidth=1)
        axis.set(xscale="log", xlabel="rho, l2", title=f"{threat}: {knows}")
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel("worst nDCG")
    legend(picture, axes, "outside lower center", columns=5)
    return picture


def html_page(rows: pd.DataFrame, picture: Figure, dataset: str) -> str:
    """One self-contained page whose tables sort by a click, for light and dark, wide and narrow screens."""
    buffer = io.BytesIO()
    picture.savefig(buffer, format="png", dpi=110, bbox_inches="tight", facecolor="white")
    image = base64.b64encode(buffer.getvalue()).decode()
    tables = [(f"Worst nDCG against an attacker who {knows}", table(rows, threat)) for threat, knows in THREATS.items()]
    tables.append(("Certified nDCG: what no attack can take", table(rows, "test", "certified_nDCG")))
    tables += [(f"{name} under the worst attack of who knows training", table(rows, "train", name)) for name in ("ICov", "EFD", "SE")]
    sections = "".join(f"<h2>{html.escape(title)}</h2><div class=wide>{_html(wide)}</div>" for title, wide in tables)
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<title>Robustness of factors on {html.escape(dataset)}</title><style>
:root {{ color-scheme: light dark }}
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 64em; margin: 2em auto; padding: 0 1em }}
.wide {{ overflow-x: auto }} table {{ border-collapse: collapse; font-size: 13px }}
td, th {{ border: 1px solid #8886; padding: 3px 8px; text-align: right; white-space: nowrap }} th {{ cursor: pointer }}
img {{ max-width: 100%; background: white }}
</style></head><body><h1>Robustness of factors on {html.escape(dataset)}</h1><p><strong>{html.escape(verdict(rows))}</strong></p>
<p>{_EXPLAINED} A click on a column's head sorts by it.</p>
<div class=wide><img alt="Worst nDCG over rho in the l2 ball, a line for each entry, a panel for each threat; dotted the certified bound"
src="data:image/png;base64,{image}"></div>{sections}<script>
for (const head of document.querySelectorAll("th")) head.onclick = () => {{
  const body = head.closest("table").tBodies[0], place = head.cellIndex, rows = [...body.rows];
  const down = head.dataset.down = head.dataset.down ? "" : "1", text = row => row.cells[place].innerText;
  const value = row => isNaN(parseFloat(text(row))) ? text(row) : parseFloat(text(row));
  rows.sort((a, b) => (value(a) > value(b) ? 1 : -1) * (down ? -1 : 1)).forEach(row => body.append(row));
}};
</script></body></html>
"""


def _html(wide: pd.DataFrame) -> str:
    head = "".join(f"<th scope=col>{html.escape(str(name))}</th>" for name in ("entry", *wide.columns))
    lines = "".join(f"<tr><th scope=row>{html.escape(str(e))}</th>{''.join(f'<td>{number(v)}</td>' for v in row)}</tr>" for e, row in wide.iterrows())
    return f"<table><thead><tr>{head}</tr></thead><tbody>{lines}</tbody></table>"
