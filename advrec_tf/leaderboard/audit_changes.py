"""What storage and another training do to audited factors, beside what an attacker needs."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions
from advrec_tf.execution.results import Job, Measured
from advrec_tf.leaderboard import measuring
from advrec_tf.leaderboard.entries import FACTORS
from advrec_tf.leaderboard.worst_case import Kept
from advrec_tf.perturbations.arguments import Tables
from advrec_tf.perturbations.ensemble import NOISE
from advrec_tf.reporting.plots import flagged
from advrec_tf.stability.measures import epsilons, list_changes
from advrec_tf.stability.procrustes import aligned
from advrec_tf.stability.quantization import STORAGE, storage_changes

CHANGED = "changed"  # in place of a threat model
OTHER = "the other training"
COLUMNS = ("change", "epsilon", "overlap", "nDCG")
INT8, INT4 = "int8 row", "int4 row"
SHOWN = ("fp16", "bfloat16", INT8, INT4, "PQ16 items", "half rank", OTHER)  # in the picture


def job(P: np.ndarray, Q: np.ndarray, data: Interactions, shared: dict, other: Any = None) -> Job:
    """Return the job of all changes of the factors.

    shared: the key columns that the audit's rows share; other: P and Q of another training
    """
    names = [*storage_changes(), *([OTHER] if other is not None else [])]
    points = [{**shared, "threat_model": CHANGED, "attack": name} for name in names]
    arguments = {"P": P, "Q": Q, "data": data, "other": other}
    return Job("advrec_tf.leaderboard.audit_changes:changed", points, arguments)


def changed(
    points: list[dict], P: np.ndarray, Q: np.ndarray, data: Interactions, other: Tables | None
) -> Measured:
    """Measure the lists after each change, and keep its epsilon and the overlap of the lists."""
    tables, k = perturbations.quantized_canonical(P, Q), points[0]["k"]
    before = evaluation.top_k(*tables, data, k)
    rows, moved, overlaps = [], [], []
    for point in points:
        if other is not None and point["attack"] == OTHER:
            second = perturbations.quantized_canonical(*other)
            pair = aligned(tables, second)
        else:
            second = STORAGE[point["attack"]](tables, point["seed"])
            pair = tables, second
        lists = evaluation.top_k(*second, data, k)
        rows.append(measuring.measured(point, lists, data)[0])
        moved.append([epsilons(*pair)["epsilon"]])
        overlaps.append([list_changes(before, lists)["overlap"]])
    return rows, {"moved": np.array(moved), "overlap": np.array(overlaps)}


def changes(kept: Kept) -> pd.DataFrame:
    """Return a row for each change, with COLUMNS."""
    rows = [
        (row["attack"], float(users["moved"][0]), float(users["overlap"][0]), row["nDCG"])
        for row, users in kept
        if row["threat_model"] == CHANGED
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def sentence(table: pd.DataFrame, k: int) -> str:
    """Say what integers and another training do to the lists, "" where nothing was measured."""
    by_name, parts = table.set_index("change"), []
    for name, bits in ((INT8, 8), (INT4, 4)):
        if name in by_name.index:
            row = by_name.loc[name]
            parts.append(
                f"{bits}-bit integers move them by {row['epsilon']:.1%} "
                f"and keep {row['overlap']:.0%} of the lists' items"
            )
    if OTHER in by_name.index:
        row = by_name.loc[OTHER]
        parts.append(
            f"the other training moves them by {row['epsilon']:.1%} and replaces "
            f"{k * (1 - row['overlap']):.1f} of {k} items"
        )
    return f"What happens to factors anyway: {'; '.join(parts)}." if parts else ""


def figure(table: pd.DataFrame, worst: pd.DataFrame, attacks: pd.DataFrame) -> Figure:
    """Plot the share of nDCG that is left over epsilon: attack, noise and certificate as curves.

    The changes are marks, with the overlap of the lists in brackets.  worst, attacks: of an `Audit`
    """
    clean = worst.loc[worst["threat_model"] == "", "nDCG"].item()
    of_test = worst[(worst["threat_model"] == "test") & (worst["ball"] == "l2")]
    noise = attacks[
        (attacks["threat_model"] == "test")
        & (attacks["ball"] == "l2")
        & (attacks["attack"] == NOISE)
        & (attacks["entry"] == FACTORS.label)
    ]
    made = Figure(figsize=(5.2, 4), layout="constrained")
    axis = made.subplots()
    for curve, column, color, line, label in (
        (of_test, "nDCG", "C3", "-", "attacker who knows the held-out items"),
        (noise, "nDCG", "0.5", "--", "random rows"),
        (of_test, "certified_nDCG", "C0", ":", "certified, at least"),
    ):
        axis.plot(curve["epsilon"], curve[column] / clean, line, color=color, label=label)
    flagged(
        axis,
        [
            (f"{change.change} ({change.overlap:.2f})", change.epsilon, change.nDCG / clean)
            for change in table.itertuples()
            if change.epsilon > 0 and change.change in SHOWN
        ],
    )
    axis.set_xscale("log")
    axis.set_xlabel("epsilon (share of the typical length of a row)")
    axis.set_ylabel("share of nDCG that is left")
    axis.set_title("in brackets: share of the lists' items that stay", fontsize=8)
    axis.legend(fontsize=8, frameon=False, loc="lower left")
    return made
