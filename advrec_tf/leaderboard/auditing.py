"""An audit: the leaderboard of anyone's factors and of baselines."""

from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf import leaderboard
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.evaluation import bootstrap_interval
from advrec_tf.execution.jobs import named
from advrec_tf.execution.results import Job, Measured
from advrec_tf.execution.storage import write_csv
from advrec_tf.files import write_text
from advrec_tf.leaderboard import (
    audit_changes,
    audit_page,
    doubts,
    measuring,
    summary,
    worst_case,
    yardstick,
)
from advrec_tf.leaderboard.entries import FACTORS, Entry, changed
from advrec_tf.leaderboard.worst_case import DETAILS, THREAT_MODELS, Kept, UserValues
from advrec_tf.perturbations import quantized_canonical
from advrec_tf.perturbations.ensemble import NOISE
from advrec_tf.recommenders.baselines import BASELINES
from advrec_tf.stability.procrustes import check_rows

Pair = tuple[np.ndarray, np.ndarray]  # P and Q
NORMS = 1e-6, 1e6  # range of the mean row norm in which single precision suffices


class Audit(NamedTuple):
    """The result of an audit.

    facts: what was audited, and doubts about it; attacks: a row for every attack and certificate
    at every epsilon; worst: the worst case at every epsilon, as on the leaderboard; groups: nDCG
    by quartile of users and items; variants: of `_variants`; changes: of `audit_changes`; half:
    the l2 epsilon at which half of nDCG is lost, by threat model; warnings: reasons for doubt.
    """

    facts: dict[str, Any]
    attacks: pd.DataFrame
    worst: pd.DataFrame
    groups: pd.DataFrame
    variants: pd.DataFrame
    changes: pd.DataFrame
    half: dict[str, float]
    warnings: list[str]

    def save(self, folder: Path | str) -> Path:
        """Write audit.html, self-contained, and the frames as CSV; return the page's path."""
        folder = Path(folder)
        for name in ("attacks", "worst", "groups"):
            write_csv(folder / f"{name}.csv", getattr(self, name))
        write_text(folder / "audit.html", audit_page.html_page(self))
        return folder / "audit.html"

    @property
    def figure(self) -> Figure:
        """nDCG over the l2 epsilon, a panel for each threat model, a line for each attack."""
        return audit_page.figure(self.attacks)

    @property
    def verdict(self) -> str:
        """One sentence on the worst case, with that of models of a public data set beside it."""
        clean = self.worst.loc[self.worst["threat_model"] == "", "nDCG"].item()
        epsilon, unit = self.half["test"], self.facts["unit"]
        beside = ""
        if unit == "absolute":
            size = f"an epsilon of {epsilon:.3g}"
        else:
            length = "typical length" if unit == "relative" else "own length"
            size = f"a move of each vector by {epsilon:.1%} of its {length}"
            beside = f" ({yardstick.sentence()})" if unit == "relative" else ""
        size = size if np.isfinite(epsilon) else "no measured epsilon"
        return (
            f"nDCG@{self.facts['k']} is {clean:.4f}; an attacker who {THREAT_MODELS['test']} takes "
            f"half of it with {size}{beside}."
        )

    @property
    def best(self) -> pd.Series | None:
        """The variant that keeps most, if that is more than the factors as they are keep."""
        better = self.variants[self.variants["better"]] if len(self.variants) else self.variants
        return None if better.empty else better.loc[better["left"].idxmax()]

    @property
    def summary(self) -> str:
        """The findings, one per line."""
        lines = [f"Beware: {warning}." for warning in self.warnings]
        lines.append(self.verdict)
        lines += filter(None, [audit_changes.sentence(self.changes, self.facts["k"])])
        for threat_model, epsilon in self.half.items():
            size = f"at epsilon {epsilon:.4g}" if np.isfinite(epsilon) else "at no measured epsilon"
            if threat_model != "test":
                lines.append(
                    f"An attacker who {THREAT_MODELS[threat_model]} takes half of it {size}."
                )
        if self.best is not None:
            as_given, best = self.variants.iloc[0], self.best
            lines.append(
                f"What helps: {best['change']}, these factors keep {best['left']:.4f} of "
                f"{best['nDCG']:.4f} at epsilon {summary.VERDICT_EPSILON:g} (as they are: "
                f"{as_given['left']:.4f} of {as_given['nDCG']:.4f}). --export=FILE.npz saves them."
            )
        return "\n".join(lines)


def audit(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    k: int = 10,
    seed: int = 0,
    unit: str = "relative",
    other: Pair | None = None,
) -> Audit:
    """Measure factors as `--experiment=robustness` measures an entry.

    P, Q: [U, D] and [I, D], rows in the order of `data`'s ids.  Biases are factors too: with item
    biases b append ones to P and b to Q.  unit: relative or row (any scale of the factors gives
    the same result), or absolute.  other: P and Q of another training of the same model.
    Raises ValueError for factors that do not fit.
    """
    P, Q, norm = checked(P, Q, data)
    if other is not None:
        other = another_training((P, Q), other, data)
    facts = facts_of(P, Q, data, norm, k, seed) | {"unit": unit}
    kept: list[tuple[dict[str, Any], UserValues]] = []
    for job in jobs(P, Q, data, facts, other):
        rows, users = named(job.function)(points=job.points, **job.arguments)
        kept += worst_case.as_kept(rows, users)
    rows = pd.DataFrame([row for row, _ in kept], columns=leaderboard.LAYOUT.columns)
    return of_results(facts, rows, kept)


def facts_of(
    P: np.ndarray, Q: np.ndarray, data: Interactions, norm: float, k: int, seed: int
) -> dict[str, Any]:
    """Return what is audited and what is doubtful about it, but for the unit of epsilon."""
    sizes = {"data": data.name, "users": data.n_users, "items": data.n_items}
    facts = sizes | {"dimension": P.shape[1], "mean row norm": norm, "k": k, "seed": seed}
    return facts | {"doubts": doubts.doubts(P, Q, data, k, seed)}


def of_results(facts: dict[str, Any], rows: pd.DataFrame, kept: Kept) -> Audit:
    """Return the audit from the rows of its jobs and the users' values that they kept.

    It warns of factors that rank no better than a baseline, and of an ensemble that may be too
    weak.
    """
    is_audited = (rows["entry"] == FACTORS.label) & (rows["threat_model"] != audit_changes.CHANGED)
    audited = rows[is_audited].reset_index(drop=True)
    audited = audited.astype({"model_rank": float, "truncated_rank": float})
    of_factors = [(row, users) for row, users in kept if row["entry"] == FACTORS.label]
    worst = worst_case.worst_cases(audited, of_factors)
    clean = {row["entry"]: users["nDCG"] for row, users in kept if row["threat_model"] == ""}
    ndcg, warnings = clean[FACTORS.label], list(facts["doubts"])
    for name in BASELINES:
        if bootstrap_interval(ndcg - clean[name], resamples=500)[0] <= 0:
            values = f"nDCG {ndcg.mean():.4f}, {clean[name].mean():.4f}"
            warnings.append(f"these factors rank no better than {name}, beyond chance ({values})")
    warnings += [f"an ensemble may be too weak: {line}" for line in summary.warnings(worst)]
    half = worst_case.halving_epsilon(worst).loc[FACTORS.label].to_dict()
    groups = worst_case.quartiles(worst)
    measured = _variants(kept)
    moved = audit_changes.changes(kept)
    attacks = rows[rows["threat_model"] != audit_changes.CHANGED]
    return Audit(facts, attacks, worst[list(DETAILS)], groups, measured, moved, half, warnings)


def _variants(kept: Kept) -> pd.DataFrame:
    """Return what is left of the factors as they are and of each variant, under one attack.

    Columns: entry, change (in words), nDCG, left, and whether it is better than the first beyond
    chance (bootstrap over users).
    """
    clean: dict[str, tuple] = {}
    left: dict[str, tuple] = {}
    table = []
    for row, users in kept:
        if row["model"] == FACTORS.model and _is_of_verdict(row):
            (left if row["threat_model"] else clean)[row["entry"]] = row, users["nDCG"]
    if len(left) < 2:
        return pd.DataFrame()
    for entry, (row, users) in left.items():
        before = clean[entry][1]
        gain = np.minimum(users, before) - np.minimum(
            left[FACTORS.label][1], clean[FACTORS.label][1]
        )
        rank, normalized = row["truncated_rank"], row["user_normalized"]
        change = [f"truncated to {rank}"] if rank else []
        change += ["user-normalised"] if normalized else []
        better = bool(gain.any()) and bootstrap_interval(gain, resamples=500)[0] > 0
        table.append((entry, " and ".join(change), before.mean(), users.mean(), better))
    columns = ["entry", "change", "nDCG", "left", "better"]
    frame = pd.DataFrame(table, columns=columns)
    return frame.sort_values("entry", key=lambda names: names != FACTORS.label, kind="stable")


def checked(
    P: np.ndarray, Q: np.ndarray, data: Interactions
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the factors as float32, and the mean l2 norm of their rows.

    Raises UserError for arrays that are no pair of factors, do not fit the data, or have a norm
    outside of NORMS.
    """
    for x, side in ((P, "user"), (Q, "item")):
        x = np.asarray(x)
        if x.ndim != 2 or not np.issubdtype(x.dtype, np.number) or np.iscomplexobj(x):
            raise UserError(
                f"{side} factors must be a table of real numbers, not {x.dtype} {x.shape}"
            )
        if not np.isfinite(x).all():
            count = int(np.sum(~np.isfinite(x)))
            raise UserError(f"{side} factors hold {count} values that are not finite numbers")
    if P.shape[1] != Q.shape[1]:
        raise UserError(f"user factors have {P.shape[1]} columns, item factors {Q.shape[1]}")
    if (len(P), len(Q)) != (data.n_users, data.n_items):
        raise UserError(
            f"the factors have {len(P)} and {len(Q)} rows, {data.name} {data.n_users} users and "
            f"{data.n_items} items"
        )
    with np.errstate(over="ignore"):
        norm = float(np.linalg.norm(np.concatenate([np.float64(P), np.float64(Q)]), axis=1).mean())
    if not NORMS[0] <= norm <= NORMS[1]:
        raise UserError(
            f"the factors' rows have a mean norm of {norm:.3g}: scale them to within {NORMS[0]:g} "
            f"to {NORMS[1]:g}, which changes no list"
        )
    return np.asarray(P, np.float32), np.asarray(Q, np.float32), norm


def another_training(given: Pair, other: Pair, data: Interactions) -> Pair:
    """Return the factors of another training. Raises UserError where its rows do not correspond."""
    P, Q, _ = checked(*other, data)
    check_rows(quantized_canonical(*given), quantized_canonical(P, Q))
    return P, Q


def jobs(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    facts: dict[str, Any],
    other: Pair | None = None,
) -> list[Job]:
    """Return the leaderboard's jobs for the factors, one for baselines, and one for changes.

    facts: of `facts_of`, and the unit of epsilon; other: another training
    """
    k, seed, unit = facts["k"], facts["seed"], facts["unit"]
    shared = {"dataset": data.name, "factors": "", "threat_model": "", "unit": unit}
    shared |= {"ball": "", "epsilon": 0.0, "attack": "", "k": k}
    points = [{**shared, **Entry(name, seed=seed).columns} for name in BASELINES]
    jobs = [Job("advrec_tf.leaderboard.auditing:baselines", points, {"data": data})]
    jobs += measuring.jobs(Entry(FACTORS.model, seed=seed), P, Q, data, k, unit)
    if unit == "relative":
        keys = shared | Entry(FACTORS.model, seed=seed).columns
        jobs.append(audit_changes.job(P, Q, data, keys, other))
    for entry in variants_of(P.shape[1], seed) if unit == "relative" else ():
        for job in measuring.jobs(entry, *changed(P, Q, entry), data, k, unit):
            if kept := [point for point in job.points if _is_of_verdict(point)]:
                jobs.append(job._replace(points=kept))
    return jobs


def variants_of(dimension: int, seed: int) -> list[Entry]:
    """Return what can be done to factors without training: truncated, user-normalised, and both."""
    ranks = [None, *(dimension // parts for parts in (2, 4) if dimension >= parts)]
    pairs = product(ranks, (False, True))
    return [Entry(FACTORS.model, None, *pair, seed) for pair in pairs if any(pair)]


def _is_of_verdict(point: dict[str, Any]) -> bool:
    """Return whether a point is the clean one, or the attack that variants are compared under."""
    at = point["threat_model"] == "test" and point["attack"] != NOISE and point["ball"] == "l2"
    return point["threat_model"] == "" or (at and point["epsilon"] == summary.VERDICT_EPSILON)


def baselines(points: list[dict], data: Interactions) -> Measured:
    """Measure the lists of baselines, and tested users' nDCG."""
    rows, ndcg = [], []
    for point in points:
        lists = BASELINES[point["entry"]](data, point["seed"]).top_k(data, point["k"])
        row, users = measuring.measured(point, lists, data)
        rows.append(row)
        ndcg.append(users)
    return rows, {"nDCG": np.array(ndcg, np.float32)}
