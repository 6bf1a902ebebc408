"""An audit of anyone's factors as one reads it: the leaderboard's page of one entry, member by member."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf import leaderboard
from advrec_tf.data import Interactions
from advrec_tf.evaluation import bootstrap_interval
from advrec_tf.execution import jobs
from advrec_tf.execution.storage import write_csv
from advrec_tf.files import write_text
from advrec_tf.leaderboard import CERTIFICATE, auditing, board_page, summary
from advrec_tf.leaderboard.auditing import FACTORS
from advrec_tf.leaderboard.summary import THREATS, Kept
from advrec_tf.perturbations import ensemble
from advrec_tf.reporting import web
from advrec_tf.reporting.plots import png
from advrec_tf.reporting.vocabulary import BASELINES, number

COLORS = {
    name: f"C{place}"
    for place, name in enumerate(
        (*dict.fromkeys(name for own in ensemble.THREAT_MODELS.values() for name in own), "alone")
    )
}
OWN_NORM = (
    "Epsilon bounds each row of a perturbation (l2) or each of its elements (linf), as a share of that row's own norm. "
    "So not even a factor on one user's row changes a figure."
)
ABSOLUTE = (
    "Epsilon bounds each row of a perturbation (l2) or each of its elements (linf) in the factors' own unit. Another scale of "
    "the same lists needs another epsilon."
)
COLORS |= {"MostPopular": "0.3", "Random": "0.6"}


class Audit(NamedTuple):
    """`facts` says what was audited; frames: `members` (a row for every attack and certificate at every budget), `worst` (of the ensemble, as on the
    leaderboard), `groups` (nDCG by quartile of users and items); `half`: threat -> the budget at which half of nDCG is gone; `warnings`."""

    facts: dict[str, Any]
    members: pd.DataFrame
    worst: pd.DataFrame
    groups: pd.DataFrame
    half: dict[str, float]
    warnings: list[str]

    def save(self, folder: Path | str) -> Path:
        """Writes audit.html, self-contained, and the frames as CSV; returns the page's path."""
        folder = Path(folder)
        for name in ("members", "worst", "groups"):
            write_csv(folder / f"{name}.csv", getattr(self, name))
        write_text(folder / "audit.html", _page(self))
        return folder / "audit.html"

    @property
    def figure(self) -> Figure:
        """nDCG over the budget in the l2 ball, a panel for each threat, a line for each member of its ensemble; dotted: certified."""
        return _figure(self.members)

    @property
    def verdict(self) -> str:
        """One sentence on the worst case."""
        clean, k = self.worst.loc[self.worst["threat"] == "", "nDCG"].item(), self.facts["k"]
        size = self.half["test"]
        where = f"an epsilon of {size:.3g}" if np.isfinite(size) else "no epsilon that was tried"
        return f"nDCG@{k} is {clean:.4f}; an attacker who {THREATS['test']} takes half of it with {where}."

    @property
    def summary(self) -> str:
        """The findings, a line each."""
        found = [f"Beware: {warning}." for warning in self.warnings]
        for threat, size in self.half.items():
            where = (
                f"at epsilon {size:.4g}" if np.isfinite(size) else "at no epsilon that was tried"
            )
            found.append(
                f"Half of nDCG@{self.facts['k']} is gone under an attacker who {THREATS[threat]} {where}."
            )
        return "\n".join(found)


def audit(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    k: int = 10,
    seed: int = 0,
    budget: str = "relative",
) -> Audit:
    """Measures factors as `--experiment=robustness` does an entry.  P: [U, D], Q: [I, D], rows in the order of `data`'s ids.

    Biases are factors too: with item biases b append ones to P and b to Q.  budget: relative or row (free of scale, see `perturbations.normalized_factors`) or
    absolute.  Raises ValueError for factors that do not fit.
    """
    P, Q, norm = auditing.checked(P, Q, data)
    kept, rows = [], []
    for job in auditing.jobs(P, Q, data, k, seed, budget):
        own, users = jobs.named(job.function)(points=job.points, **job.arguments)
        rows += own
        kept += [
            (row, {name: values[place] for name, values in users.items()})
            for place, row in enumerate(own)
        ]
    return of_results(
        facts_of(P, Q, data, norm, k, seed, budget),
        pd.DataFrame(rows, columns=leaderboard.LAYOUT.columns),
        kept,
    )


def facts_of(
    P: np.ndarray, Q: np.ndarray, data: Interactions, norm: float, k: int, seed: int, budget: str
) -> dict[str, Any]:
    """What is audited."""
    facts = {
        "data": data.name,
        "users": data.n_users,
        "items": data.n_items,
        "dimension": P.shape[1],
        "mean row norm": norm,
    }
    return facts | {"k": k, "seed": seed, "budget": budget}


def of_results(facts: dict[str, Any], rows: pd.DataFrame, kept: Kept) -> Audit:
    """An audit from its rows, and from what was kept of single users."""
    kept = list(kept)
    own = rows[rows["entry"] == FACTORS].reset_index(drop=True)
    worst = summary.tidy(own, [(row, users) for row, users in kept if row["entry"] == FACTORS])
    still = {row["entry"]: users["nDCG"] for row, users in kept if row["threat"] == ""}
    warnings = [
        f"these factors rank no better than {name}, beyond chance (nDCG {still[FACTORS].mean():.4f}, {still[name].mean():.4f})"
        for name in BASELINES
        if bootstrap_interval(still[FACTORS] - still[name], resamples=500)[0] <= 0
    ]
    warnings += [f"an ensemble may be too weak: {doubt}" for doubt in summary.doubts(worst)]
    half = summary.half(worst).loc[FACTORS].to_dict()
    return Audit(
        facts, rows, worst[list(summary.DETAILS)], summary.quartiles(worst), half, warnings
    )


def _figure(members: pd.DataFrame) -> Figure:
    own = members[(members["entry"] == FACTORS) & (members["ball"] == "l2")]

    def draw(axis: Axes, threat: str) -> None:
        for name, part in own[own["threat"] == threat].groupby("member"):
            axis.plot(
                part["rho"],
                part["nDCG"],
                "o-",
                color=COLORS[str(name)],
                markersize=3,
                label=str(name),
            )
        bound = own[own["threat"] == CERTIFICATE]
        if len(bound):
            axis.plot(bound["rho"], bound["nDCG"], ":", color="black", label="certified")
        for entry, part in members[members["rho"] == 0].groupby("entry"):
            axis.axhline(
                part["nDCG"].mean(),
                color=COLORS.get(str(entry), "black"),
                linestyle="--",
                linewidth=1,
                label=f"{entry}, clean",
            )

    return board_page.by_threat(summary.threats(own), draw, "nDCG")


def _page(result: Audit) -> str:
    """One HTML file with everything in it."""
    facts = pd.DataFrame({"what": result.facts})
    clean = result.worst[result.worst["threat"] == ""].iloc[0]
    parts = [
        web.listed(result.summary.split("\n")),
        web.paragraph(
            {"relative": summary.EXPLAINED, "row": OWN_NORM, "absolute": ABSOLUTE}[
                result.facts["budget"]
            ]
        ),
        web.paragraph(
            "Clean: "
            + ", ".join(
                f"{name} {number(clean[name], name)}"
                for name in ("nDCG", "HR", "EFD", "SE", "ICov")
            )
            + "."
        ),
        web.section("What was audited", facts, _plain, "which"),
        web.picture(
            png(result.figure),
            "nDCG over epsilon, a panel for each threat, a line for each attack, dotted the certified bound",
        ),
        web.paragraph(
            "Noise is random and of the same size: what survives it but not an attack is lost to direction, not to size."
        ),
    ]
    for name, part in result.groups[result.groups["ball"] != "linf"].groupby("by"):
        wide = part.pivot_table(index=["threat", "rho"], columns="quartile", values="nDCG")
        wide.index = pd.Index(
            [f"{threat} {rho:.4g}" if threat else "clean" for threat, rho in wide.index]
        )
        parts.append(
            web.section(
                f"For whom: nDCG by quartile of {name} (1: least)", wide, number, "threat, epsilon"
            )
        )
    points = result.members.set_index("threat")[
        ["entry", "ball", "rho", "member", "nDCG", "HR", "ICov", "EFD", "SE"]
    ]
    parts.append(web.section("All points", points, _plain, "threat"))
    return web.document("How much perturbation do these factors stand?", result.verdict, parts)


def _plain(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}" if np.isfinite(value) else "not reached"
    return str(value)
