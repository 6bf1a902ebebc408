"""An audit of anyone's factors as one reads it: how much perturbation they stand, for whom, and what no perturbation can take."""

import base64
import html
import io
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf import auditing, jobs
from advrec_tf.auditing import FACTORS, SHARES
from advrec_tf.data import Interactions
from advrec_tf.evaluation import NAMES, bootstrap_interval
from advrec_tf.files import write_text
from advrec_tf.reporting import plots
from advrec_tf.reporting.curves import equal_harm
from advrec_tf.reporting.vocabulary import BALLS, BASELINES, FGSM, INITIAL, MEASURES, label_of, select
from advrec_tf.storage import write_csv

ATTACKS = (("noise", "", ""), FGSM, ("bim", "l2", "zero"), ("bim", "linf", "zero"))


class Audit(NamedTuple):
    """`facts` says what was audited; frames: `points` (metrics at every attack, epsilon and L), `certified` (lower bounds), `groups` (nDCG by
    quartile of users and items), and `half` (attack -> the epsilon at which half of nDCG is gone); `warnings`, a sentence each."""

    facts: dict[str, Any]
    points: pd.DataFrame
    certified: pd.DataFrame
    groups: pd.DataFrame
    half: dict[str, float]
    warnings: list[str]

    def save(self, folder: Path | str) -> Path:
        """Writes audit.html, self-contained, and the frames as CSV; returns the page's path."""
        folder = Path(folder)
        for name in ("points", "certified", "groups"):
            write_csv(folder / f"{name}.csv", getattr(self, name))
        write_text(folder / "audit.html", _page(self))
        return folder / "audit.html"

    @property
    def figures(self) -> list[Figure]:
        """nDCG over epsilon with the certified bounds, and over iterations."""
        points = pd.concat([self.points, self.certified.assign(model=FACTORS, attack="certificate", start="")])
        return plots.audit_figures(points, self.facts["k"], self.facts["iterations"], self.facts["epsilon of the groups"])

    @property
    def summary(self) -> str:
        """The findings in a few lines."""
        lines = [*(f"Beware: {warning}." for warning in self.warnings)]
        for label, epsilon in self.half.items():
            where = (
                f"{epsilon:.4g} ({100 * epsilon / self.facts['mean row norm']:.1f}% of the mean row norm)" if np.isfinite(epsilon) else "not reached"
            )
            lines.append(f"half of nDCG@{self.facts['k']} is gone under {label} at epsilon: {where}")
        return "\n".join(lines)


def audit(P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10, iterations: int = 25, seed: int = 0) -> Audit:
    """Perturbs factors over a grid of budgets and iterations, and certifies them.  P: [U, D], Q: [I, D], rows in the order of `data`'s ids.

    Biases are factors too: with item biases b append ones to P and b to Q.  A column of one and the same value is a constant and is
    left as it is by the gradient attacks.  Needs one test item a user.  Raises ValueError for factors that do not fit.
    """
    P, Q, norm = auditing.checked(P, Q)
    facts = facts_of(P, Q, data, norm, k, iterations, seed)
    kept, rows = [], []
    for job in auditing.jobs(P, Q, data, norm, k, iterations, seed):
        own, users = jobs.named(job.function)(points=job.points, **job.arguments)
        rows += own
        kept += [(row, {name: values[place] for name, values in users.items()}) for place, row in enumerate(own)]
    frame = pd.DataFrame(rows, columns=auditing.LAYOUT.columns)
    return of_results(facts, frame.fillna(dict.fromkeys(("attack", "ball", "start"), "")), kept)


def facts_of(P: np.ndarray, Q: np.ndarray, data: Interactions, norm: float, k: int, iterations: int, seed: int) -> dict[str, Any]:
    """What is audited."""
    facts = {"data": data.name, "users": data.n_users, "items": data.n_items, "dimension": P.shape[1]}
    facts |= {"constant columns": int(sum(map(np.sum, auditing.constant_columns(P, Q)))), "mean row norm": norm}
    return facts | {"k": k, "iterations": iterations, "seed": seed}


def of_results(facts: dict[str, Any], rows: pd.DataFrame, kept: list[tuple[dict, dict[str, np.ndarray]]]) -> Audit:
    """An audit from its rows, and from what was kept of single users."""
    own = rows[rows["model"] == FACTORS]
    clean = select(own, FACTORS)["nDCG"].iloc[0]
    half = {}
    for attack in ATTACKS:
        part = select(own, FACTORS, attack)
        part = part[part["iterations"].isna() | part["iterations"].isin([1, facts["iterations"]])].drop_duplicates("epsilon", keep="last")
        part = part.sort_values("epsilon")
        half[label_of(attack)] = equal_harm(part["epsilon"].to_numpy(), part["nDCG"].to_numpy(), clean / 2)
    # The groups are shown at the budget next to where BIM has taken half.
    norm = facts["mean row norm"]
    middle = half["BIM"] if np.isfinite(half["BIM"]) else SHARES[-1] * norm
    epsilon = norm * min(SHARES, key=lambda share: abs(np.log(share * norm / middle)))
    users = {}
    for row, values in kept:
        by = tuple(row.get(name) or "" for name in ("attack", "ball", "start"))
        at_budget = by == INITIAL or (np.isclose(row.get("epsilon") or 0, epsilon) and row.get("iterations") in (None, 1, facts["iterations"]))
        if at_budget and (by == FGSM or row.get("iterations") != 1 or facts["iterations"] == 1):
            users[row["model"], by] = values
    before = users[FACTORS, INITIAL]
    certified = own[own["attack"] == "certificate"][["ball", "epsilon", "RE", "nDCG"]]
    warnings = [
        f"these factors rank no better than {name} (nDCG {clean:.4f}, {users[name, INITIAL]['nDCG'].mean():.4f})"
        for name in BASELINES
        if bootstrap_interval(before["nDCG"] - users[name, INITIAL]["nDCG"], resamples=500)[0] <= 0
    ]
    ndcg = {"before": before["nDCG"]} | {label_of(attack): users[FACTORS, attack]["nDCG"] for attack in ATTACKS}
    points = rows[rows["attack"] != "certificate"].reset_index(drop=True)
    facts = facts | {"epsilon of the groups": epsilon}
    return Audit(facts, points, certified.reset_index(drop=True), _groups(before, pd.DataFrame(ndcg)), half, warnings)


def _groups(users: dict[str, np.ndarray], ndcg: pd.DataFrame) -> pd.DataFrame:
    """nDCG of tested users by quartile of their activity and of their test item's popularity, before and after."""
    frames = []
    for what in ("user activity", "item popularity"):
        values = pd.Series(users[what])
        quartile = pd.Series(pd.qcut(values.rank(method="first"), 4, labels=range(1, 5)))
        frame = ndcg.groupby(quartile, observed=True).mean()
        span = values.groupby(quartile, observed=True).agg(["min", "max", "size"])
        frame.insert(0, "interactions", [f"{low} to {high}" for low, high in zip(span["min"], span["max"])])
        frames.append(frame.assign(by=what, quartile=frame.index.astype(int), users=span["size"]).reset_index(drop=True))
    return pd.concat(frames, ignore_index=True)[["by", "quartile", "interactions", "users", *ndcg.columns]]


def _page(result: Audit) -> str:
    """One HTML file with everything in it."""
    pictures = []
    for figure in result.figures:
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=120, bbox_inches="tight")
        pictures.append(
            f'<img alt="nDCG over epsilon, or over iterations" src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
        )
    clean = select(result.points, FACTORS).iloc[0]
    number = lambda value: f"{value:.4g}"  # noqa: E731
    shown = {name: number(value) if isinstance(value, float) else str(value) for name, value in result.facts.items()}
    facts = "".join(f"<tr><th>{html.escape(name)}</th><td>{html.escape(value)}</td></tr>" for name, value in shown.items())
    norm = result.facts["mean row norm"]
    half = "".join(
        f"<tr><th>{html.escape(label)}</th><td>{'not reached' if not np.isfinite(e) else f'{e:.4g}'}</td>"
        f"<td>{'' if not np.isfinite(e) else f'{100 * e / norm:.1f}%'}</td></tr>"
        for label, e in result.half.items()
    )
    return f"""<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Audit of {html.escape(result.facts["data"])}</title><style>
body {{ font: 15px/1.5 system-ui, sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; color: #222 }}
table {{ border-collapse: collapse; margin: 1em 0; font-size: 13px }} td, th {{ border: 1px solid #ddd; padding: 3px 8px; text-align: right }}
img {{ max-width: 100% }} </style></head><body>
<h1>How much perturbation do these factors stand?</h1>
{"".join(f"<p><strong>Beware: {html.escape(warning)}.</strong></p>" for warning in result.warnings)}
<table>{facts}</table>
<p>Unperturbed: {", ".join(f"{name} {number(clean[name])}" for name in NAMES)} @{result.facts["k"]}.</p><p>{MEASURES}</p>
<h2>Half of nDCG is gone at</h2>
<table><tr><th>attack</th><th>epsilon</th><th>of the mean row norm</th></tr>{half}</table>
<p>{BALLS} Noise is random and of FGSM's size: what survives it but not FGSM is lost to direction, not to size.</p>
{pictures[0]}
<p>Dotted: what no perturbation of that size can take away, whatever the attack. The truth lies between the attacks and the dotted lines of
the same ball.</p>
<h2>Over iterations</h2>{pictures[1]}
<h2>For whom</h2>
<p>nDCG by quartile (1: least), before and after, at epsilon {number(result.facts["epsilon of the groups"])}.</p>
{result.groups.to_html(index=False, float_format=number)}
<h2>All points</h2>{result.points.to_html(index=False, float_format=number)}
<h2>Certified lower bounds</h2>{result.certified.to_html(index=False, float_format=number)}
</body></html>
"""
