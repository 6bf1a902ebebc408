"""An audit: the leaderboard of anyone's factors and of baselines."""

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
from advrec_tf.leaderboard import audit_page, measuring, summary, worst_case
from advrec_tf.leaderboard.entries import FACTORS, Entry
from advrec_tf.leaderboard.worst_case import DETAILS, THREAT_MODELS, Kept, UserValues
from advrec_tf.recommenders.baselines import BASELINES

NORMS = 1e-6, 1e6  # range of the mean row norm in which single precision suffices


class Audit(NamedTuple):
    """The result of an audit.

    facts: what was audited; attacks: a row for every attack and certificate at every epsilon;
    worst: the worst case at every epsilon, as on the leaderboard; groups: nDCG by quartile of
    users and items; half: the l2 epsilon at which half of nDCG is lost, by threat model;
    warnings: reasons for doubt.
    """

    facts: dict[str, Any]
    attacks: pd.DataFrame
    worst: pd.DataFrame
    groups: pd.DataFrame
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
        """One sentence on the worst case."""
        clean = self.worst.loc[self.worst["threat_model"] == "", "nDCG"].item()
        epsilon = self.half["test"]
        size = f"an epsilon of {epsilon:.3g}" if np.isfinite(epsilon) else "no measured epsilon"
        return (
            f"nDCG@{self.facts['k']} is {clean:.4f}; an attacker who {THREAT_MODELS['test']} takes "
            f"half of it with {size}."
        )

    @property
    def summary(self) -> str:
        """The findings, one per line."""
        lines = [f"Beware: {warning}." for warning in self.warnings]
        for threat_model, epsilon in self.half.items():
            size = f"at epsilon {epsilon:.4g}" if np.isfinite(epsilon) else "at no measured epsilon"
            lines.append(
                f"Half of nDCG@{self.facts['k']} is gone under an attacker who "
                f"{THREAT_MODELS[threat_model]} {size}."
            )
        return "\n".join(lines)


def audit(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    k: int = 10,
    seed: int = 0,
    unit: str = "relative",
) -> Audit:
    """Measure factors as `--experiment=robustness` measures an entry.

    P, Q: [U, D] and [I, D], rows in the order of `data`'s ids.  Biases are factors too: with item
    biases b append ones to P and b to Q.  unit: relative or row (any scale of the factors gives
    the same result), or absolute.  Raises ValueError for factors that do not fit.
    """
    P, Q, norm = checked(P, Q, data)
    facts = facts_of(P, data, norm, k, seed) | {"unit": unit}
    kept: list[tuple[dict[str, Any], UserValues]] = []
    for job in jobs(P, Q, data, facts):
        rows, users = named(job.function)(points=job.points, **job.arguments)
        kept += worst_case.as_kept(rows, users)
    rows = pd.DataFrame([row for row, _ in kept], columns=leaderboard.LAYOUT.columns)
    return of_results(facts, rows, kept)


def facts_of(P: np.ndarray, data: Interactions, norm: float, k: int, seed: int) -> dict[str, Any]:
    """Return what is audited, but for the unit of epsilon."""
    sizes = {"data": data.name, "users": data.n_users, "items": data.n_items}
    return sizes | {"dimension": P.shape[1], "mean row norm": norm, "k": k, "seed": seed}


def of_results(facts: dict[str, Any], rows: pd.DataFrame, kept: Kept) -> Audit:
    """Return the audit from the rows of its jobs and the users' values that they kept.

    It warns of factors that rank no better than a baseline, and of an ensemble that may be too
    weak.
    """
    audited = rows[rows["entry"] == FACTORS.label].reset_index(drop=True)
    of_factors = [(row, users) for row, users in kept if row["entry"] == FACTORS.label]
    worst = worst_case.worst_cases(audited, of_factors)
    clean = {row["entry"]: users["nDCG"] for row, users in kept if row["threat_model"] == ""}
    ndcg, warnings = clean[FACTORS.label], []
    for name in BASELINES:
        if bootstrap_interval(ndcg - clean[name], resamples=500)[0] <= 0:
            values = f"nDCG {ndcg.mean():.4f}, {clean[name].mean():.4f}"
            warnings.append(f"these factors rank no better than {name}, beyond chance ({values})")
    warnings += [f"an ensemble may be too weak: {line}" for line in summary.warnings(worst)]
    half = worst_case.halving_epsilon(worst).loc[FACTORS.label].to_dict()
    groups = worst_case.quartiles(worst)
    return Audit(facts, rows, worst[list(DETAILS)], groups, half, warnings)


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


def jobs(P: np.ndarray, Q: np.ndarray, data: Interactions, facts: dict[str, Any]) -> list[Job]:
    """Return the leaderboard's jobs for the factors, and one for baselines.

    facts: of `facts_of`, and the unit of epsilon
    """
    k, seed, unit = facts["k"], facts["seed"], facts["unit"]
    shared = {"dataset": data.name, "factors": "", "threat_model": "", "unit": unit}
    shared |= {"ball": "", "epsilon": 0.0, "attack": "", "k": k}
    points = [{**shared, **Entry(name, seed=seed).columns} for name in BASELINES]
    entry = Entry(FACTORS.model, seed=seed)
    return [
        Job("advrec_tf.leaderboard.auditing:baselines", points, {"data": data}),
        *measuring.jobs(entry, P, Q, data, k, unit),
    ]


def baselines(points: list[dict], data: Interactions) -> Measured:
    """Measure the lists of baselines, and tested users' nDCG."""
    rows, ndcg = [], []
    for point in points:
        lists = BASELINES[point["entry"]](data, point["seed"]).top_k(data, point["k"])
        row, users = measuring.measured(point, lists, data)
        rows.append(row)
        ndcg.append(users)
    return rows, {"nDCG": np.array(ndcg, np.float32)}
