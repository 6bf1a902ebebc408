"""The leaderboard as a picture, as a web page, and as one record for each entry."""

from collections.abc import Callable, Collection
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.leaderboard import summary
from advrec_tf.leaderboard.summary import COLUMNS, THREATS
from advrec_tf.reporting import web
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import BASELINES

ALT = (
    "Worst nDCG over epsilon in the l2 ball, a panel for each threat, a line for each entry; "
    "dotted the certified bound, a level for what learns nothing"
)


def figure(rows: pd.DataFrame) -> Figure:
    """What is left over the budget in the l2 ball, a panel for each threat, a line for each entry; dotted where every attack ends: certified.

    Recommenders that learn next to nothing are levels, too: what nobody needs factors for.
    """

    def draw(axis: Axes, threat: str) -> None:
        own = rows[(rows["threat"] == threat) & (rows["ball"] == "l2")]
        for place, (entry, part) in enumerate(own.groupby("entry")):
            means = part.groupby("rho")[["nDCG", "certified_nDCG"]].mean()
            marker, color = "osD^v*"[place % 6], f"C{place % 10}"
            line = "-" if place < 10 else "--"  # where colours begin again
            axis.plot(
                means.index,
                means["nDCG"],
                f"{marker}{line}",
                color=color,
                markersize=3,
                linewidth=1.2,
                label=str(entry),
            )
            if threat in ("test", "alone"):
                axis.plot(means.index, means["certified_nDCG"], ":", color=color, linewidth=1)
        levels(axis, rows[rows["threat"] == ""].groupby("entry")["nDCG"].mean())

    return by_threat(summary.threats(rows), draw, "worst nDCG")


def levels(axis: Axes, unperturbed: pd.Series) -> None:
    """What recommenders that learn next to nothing have unperturbed, as levels.  unperturbed: nDCG by entry"""
    for name in BASELINES:
        if name in unperturbed:
            axis.axhline(
                unperturbed[name],
                color="black",
                linestyle="--",
                linewidth=1,
                label=f"{name}, clean",
            )


def by_threat(there: Collection[str], draw: Callable[[Axes, str], None], what: str) -> Figure:
    """A panel for each threat, two beside each other, over the budget of the l2 ball.  draw(axis, threat) fills it; what: is drawn"""
    columns = min(2, len(there))
    picture, axes = panels(-(-len(there) // columns), columns)
    for axis, threat in zip(axes.flat, there):
        draw(axis, threat)
        axis.set(xscale="log", xlabel="epsilon, l2", title=threat)
        axis.set_ylim(bottom=0)
    for axis in axes[:, 0]:
        axis.set_ylabel(what)
    legend(picture, axes, "outside lower center", columns=4)
    return picture


def html_page(
    rows: pd.DataFrame, picture: bytes, dataset: str, first: list[str], compared: list[str]
) -> str:
    """Return one self-contained page.

    picture: a PNG of `figure`; first: sentences that stand above all others; compared: HTML of one
    entry beside all others
    """
    head, *others = [*first, *summary.verdicts(rows)]
    parts = [web.listed(others), web.paragraph(summary.EXPLAINED), web.picture(picture, ALT)]
    parts += [web.section(each.title, each.table, each.shown) for each in summary.sections(rows)]
    if told := summary.doubts(rows):
        parts += ["<h2>Where the ensemble may be too weak</h2>", web.listed(told)]
    parts += compared
    return web.document(f"Robustness of factors on {dataset}", head, parts)


def records(rows: pd.DataFrame, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """A record of each entry and seed by its name: its figures, the digest of its factors, data, versions and the flags of the last run.

    config: what `read_record` reads
    """
    found, run = {}, (config.get("runs") or [{}])[-1]
    for (entry, seed), part in rows.groupby(["entry", "seed"]):
        figures = (
            part[[*(name for name in COLUMNS if name not in ("entry", "seed")), "masked"]]
            .replace({np.nan: None})
            .to_dict("records")
        )
        about = {
            "entry": entry,
            "seed": int(seed),
            "factors": part["factors"].iloc[0],
            "threats": THREATS,
        }
        about |= {
            "config": config.get("config"),
            "statistics": config.get("statistics"),
            **{n: run.get(n) for n in ("commit", "versions", "flags")},
        }
        found[f"{entry} {seed}".replace("/", "-")] = about | {"figures": figures}
    return found
