"""The page of an audit: the leaderboard of one entry, attack by attack."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.leaderboard import audit_changes, plots, summary
from advrec_tf.leaderboard.entries import FACTORS
from advrec_tf.leaderboard.measuring import CERTIFICATE, SINGLE_USER
from advrec_tf.perturbations.ensemble import THREAT_MODELS
from advrec_tf.reporting import web
from advrec_tf.reporting.vocabulary import BASELINES, number

if TYPE_CHECKING:
    from advrec_tf.leaderboard.auditing import Audit

ATTACKS = dict.fromkeys(
    [*(name for attacks in THREAT_MODELS.values() for name in attacks), SINGLE_USER]
)
AUDIT_COLORS = {name: f"C{index}" for index, name in enumerate(ATTACKS)}
AUDIT_COLORS |= {"MostPopular": "0.3", "Random": "0.6"}
ALT = (
    "nDCG over epsilon, a panel for each threat model, a line for each attack, dotted the "
    "certified bound"
)
CHANGES_ALT = (
    "Share of nDCG over epsilon: curves of an attack, of random rows and of the certificate, marks "
    "of storage in fewer bits and of another training"
)
EXPLAINED = {
    "relative": summary.EXPLAINED,
    "row": "Epsilon bounds each row of a perturbation (l2) or each of its elements (linf), as a "
    "share of that row's own norm. So not even a factor on one user's row changes a figure.",
    "absolute": "Epsilon bounds each row of a perturbation (l2) or each of its elements (linf) in "
    "the factors' own unit. Another scale of the same lists needs another epsilon.",
}
ATTACKERS = {
    "train": "knows the training pairs, as in attacks on a loss",
    "lists": "sees the lists that are shown, and pushes their items down",
    "test": "knows what each user wants next, and pushes it down for all users at once: the worst "
    "case for the whole",
    "user": "knows it for one user and ignores the others: the worst case for a single user",
}
METRICS = ("nDCG", "HR", "EFD", "SE", "ICov")


def figure(attacks: pd.DataFrame) -> Figure:
    """Plot nDCG over the l2 epsilon, a panel for each threat model, a line for each attack.

    Certified nDCG is dotted.  attacks: of an `Audit`
    """
    audited = attacks[(attacks["entry"] == FACTORS.label) & (attacks["ball"] == "l2")]
    certified = audited[audited["threat_model"] == CERTIFICATE]
    levels = attacks["entry"].isin((FACTORS.label, *BASELINES))
    clean = attacks[levels & (attacks["epsilon"] == 0)]

    def draw(axis: Axes, threat_model: str) -> None:
        """Draw a curve for each attack of one threat model, certificates, and clean levels."""
        curves = audited[audited["threat_model"] == threat_model]
        for name, part in curves.groupby("attack"):
            (curve,) = axis.plot(part["epsilon"], part["nDCG"], "o-", markersize=3, label=name)
            curve.set_color(AUDIT_COLORS[str(name)])
        if len(certified):
            axis.plot(certified["epsilon"], certified["nDCG"], "k:", label="certified")
        for entry, part in clean.groupby("entry"):
            level = axis.axhline(part["nDCG"].mean(), linewidth=1, linestyle="--")
            level.set(color=AUDIT_COLORS.get(str(entry), "black"), label=f"{entry}, clean")

    return plots.by_threat_model(summary.threat_models(audited), draw, "nDCG")


def html_page(result: "Audit") -> str:
    """Return one self-contained page."""
    plain = {name: value for name, value in result.facts.items() if name != "doubts"}
    facts = pd.DataFrame({"what": plain})
    clean = result.worst[result.worst["threat_model"] == ""].iloc[0]
    values = ", ".join(f"{name} {number(clean[name], name)}" for name in METRICS)
    columns = ["entry", "ball", "epsilon", "attack", "nDCG", "HR", "ICov", "EFD", "SE"]
    points = result.attacks.set_index("threat_model")[columns]
    parts = [
        web.listed([line for line in result.summary.split("\n") if line != result.verdict]),
        web.paragraph(EXPLAINED[result.facts["unit"]]),
        web.paragraph(f"Clean: {values}."),
        *_changes(result),
        web.picture(result.figure, ALT),
        web.section("Who attacks", pd.DataFrame({"who": ATTACKERS}), _plain, "threat model"),
        *_variants(result.variants),
        web.section("What was audited", facts, _plain, "which"),
        web.paragraph(
            "Noise is random and of the same size: what survives it but not an attack is lost to "
            "direction, not to size."
        ),
        *_group_sections(result.groups),
        web.section("All points", points, _plain, "threat model"),
    ]
    return web.document("How much perturbation do these factors stand?", result.verdict, parts)


def _changes(result: "Audit") -> list[str]:
    """Return the picture of what happens to factors anyway, and its numbers."""
    if result.changes.empty:
        return []
    made = audit_changes.figure(result.changes, result.worst, result.attacks)
    table = result.changes.set_index("change")
    return [
        web.picture(made, CHANGES_ALT),
        web.section("What happens to factors anyway", table, number, "change"),
    ]


def _variants(variants: pd.DataFrame) -> list[str]:
    """Return a table of what truncating and user-normalising the factors does."""
    if variants.empty:
        return []
    columns = {"nDCG": "clean nDCG", "left": f"left at epsilon {summary.VERDICT_EPSILON:g}"}
    wide = variants.set_index("change")[list(columns)].rename(columns=columns)
    wide = wide.rename(index={"": "as they are"})
    return [web.section("What helps, without training", wide, number, "factors")]


def _group_sections(groups: pd.DataFrame) -> list[str]:
    """Return a table for each grouping of users: nDCG by quartile, clean and under each attack."""
    parts = []
    for name, part in groups[groups["ball"] != "linf"].groupby("by"):
        keys = ["threat_model", "epsilon"]
        wide = part.pivot_table(index=keys, columns="quartile", values="nDCG")
        titles = [f"{model} {epsilon:.4g}" if model else "clean" for model, epsilon in wide.index]
        wide.index = pd.Index(titles)
        title = f"For whom: nDCG by quartile of {name} (1: least)"
        parts.append(web.section(title, wide, number, "threat model, epsilon"))
    return parts


def _plain(value: object) -> str:
    """Return a value as text; an infinite number was not reached."""
    if isinstance(value, float):
        return f"{value:.4g}" if np.isfinite(value) else "not reached"
    return str(value)
