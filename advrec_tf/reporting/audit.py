"""An audit of anyone's factors: how much perturbation they stand, for whom, and what no perturbation can take."""

import base64
import html
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from advrec_tf import evaluation
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.errors import UserError
from advrec_tf.evaluation import NAMES
from advrec_tf.files import write_text
from advrec_tf.reporting import plots
from advrec_tf.reporting.curves import equal_harm

# Budgets as shares of the mean l2 norm of the rows of P and Q.
SHARES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
STEPS = (1, 5, 10, 25, 50, 100)
MULTI_STEP_BALLS = {"BIM, l2 ball": "l2", "BIM": "linf"}
ATTACKS = ("noise", "FGSM", *MULTI_STEP_BALLS)


class Audit(NamedTuple):
    """Frames: `points` (metrics at every attack, epsilon and L), `certified` (lower bounds), `groups` (nDCG by quartile of users and
    items), and `half` (attack -> the epsilon at which half of nDCG is gone).  `facts` says what was audited."""

    facts: dict
    points: pd.DataFrame
    certified: pd.DataFrame
    groups: pd.DataFrame
    half: dict[str, float]

    def save(self, folder: Path) -> Path:
        """Writes audit.html, self-contained, and the frames as CSV; returns the page's path."""
        folder = Path(folder)
        for name in ("points", "certified", "groups"):
            write_text(folder / f"{name}.csv", getattr(self, name).to_csv(index=False))
        write_text(folder / "audit.html", _page(self))
        return folder / "audit.html"


def audit(P: np.ndarray, Q: np.ndarray, data: Interactions, k: int = 10, iterations: int = 25, seed: int = 0) -> Audit:
    """Perturbs factors over a grid of budgets and iterations, and certifies them.  P: [U, D], Q: [I, D], rows in the order of `data`'s ids.

    Biases are factors too: with item biases b append ones to P and b to Q.  A column of one and the same value is a constant and is
    left as it is by the gradient attacks.  Needs one test item a user.  Raises ValueError for factors that do not fit.
    """
    from advrec_tf import perturbations  # needs TensorFlow

    P, Q = np.asarray(P, np.float32), np.asarray(Q, np.float32)
    before = evaluation.top_k(P, Q, data, k)  # refuses what does not fit
    norm = float(np.linalg.norm(np.concatenate([P, Q]), axis=1).mean())
    epsilons = [share * norm for share in SHARES]
    fixed = tuple((np.ptp(x, axis=0) == 0) & (x[0] != 0) for x in (P, Q))
    triples = perturbations.chunk_triples(sample_triples(data, seed), data.n_users, data.n_items)

    def measured(label, epsilon, steps, delta):
        lists = evaluation.top_k(P + delta.user, Q + delta.item, data, k)
        return {"attack": label, "epsilon": epsilon, "iterations": steps, **evaluation.metrics(lists, data)}, lists

    points, attacked = [{"attack": "", "epsilon": 0.0, "iterations": 0, **evaluation.metrics(before, data)}], {}
    direction = perturbations.fgsm(P, Q, triples, 1.0, fixed=fixed)
    for share, epsilon in zip(SHARES, epsilons):
        deltas = {
            "noise": (0, perturbations.noise(P, Q, epsilon, seed)),
            "FGSM": (1, perturbations.Perturbation(*(np.float32(epsilon) * side for side in direction))),
        }
        for label, ball in MULTI_STEP_BALLS.items():
            run = perturbations.trajectory(P, Q, triples, epsilon, ball=ball, read_at=(iterations,), fixed=fixed)
            deltas[label] = (iterations, next(run))
        for label, (steps, delta) in deltas.items():
            row, lists = measured(label, epsilon, steps, delta)
            points.append(row)
            attacked[label, share] = lists
    half = {label: _half(points, label) for label in ATTACKS}
    middle = half["BIM"] if np.isfinite(half["BIM"]) else epsilons[-1]
    share = min(SHARES, key=lambda s: abs(np.log(s * norm / middle)))
    for steps, delta in zip(STEPS, perturbations.trajectory(P, Q, triples, share * norm, ball="linf", read_at=STEPS, fixed=fixed)):
        if steps != iterations:
            points.append(measured("BIM", share * norm, steps, delta)[0])
    certified = []
    for ball in ("l2", "linf"):
        radii = evaluation.certified_radii(P, Q, data, ball, k)
        certified += [{"ball": ball, "epsilon": e, **evaluation.certified_metrics(radii, e)} for e in (0.0, *epsilons)]
    facts = {"data": data.name, "users": data.n_users, "items": data.n_items, "dimension": P.shape[1]}
    facts |= {"constant columns": int(sum(map(np.sum, fixed))), "mean row norm": norm, "k": k, "iterations": iterations, "seed": seed}
    facts |= {"epsilon of the groups": share * norm}
    groups = _groups(data, {"before": before} | {label: attacked[label, share] for label in ATTACKS})
    return Audit(facts, pd.DataFrame(points), pd.DataFrame(certified), groups, half)


def _half(points: list[dict], label: str) -> float:
    own = [point for point in points if point["attack"] == label]
    return equal_harm(np.array([point["epsilon"] for point in own]), np.array([point["nDCG"] for point in own]), points[0]["nDCG"] / 2)


def _groups(data: Interactions, lists: dict[str, np.ndarray]) -> pd.DataFrame:
    """nDCG of tested users by quartile of their activity and of their test item's popularity, before and after."""
    activity, popularity = np.diff(data.indptr)[data.test_users], data.item_counts[data.test_items]
    ndcg = pd.DataFrame({name: evaluation.per_user_metrics(each, data)["nDCG"] for name, each in lists.items()})
    frames = []
    for what, values in (("user activity", activity), ("item popularity", popularity)):
        quartile = pd.Series(pd.qcut(pd.Series(values).rank(method="first"), 4, labels=range(1, 5)))
        frame = ndcg.groupby(quartile, observed=True).mean()
        span = pd.Series(values).groupby(quartile, observed=True).agg(["min", "max", "size"])
        frame.insert(0, "interactions", [f"{low} to {high}" for low, high in zip(span["min"], span["max"])])
        frames.append(frame.assign(by=what, quartile=frame.index.astype(int), users=span["size"]).reset_index(drop=True))
    return pd.concat(frames, ignore_index=True)[["by", "quartile", "interactions", "users", *lists]]


def align(factors: np.ndarray, rows_path: Path | None, ids: np.ndarray, what: str) -> np.ndarray:
    """Brings the rows of exported factors into the order of the data's ids.

    rows_path: a CSV with columns row and id (row: position in the factors, from 0), or None where row n belongs to ids[n].
    Raises UserError for rows that are missing, out of range or not numbers.
    """
    if rows_path is None:
        if len(factors) != len(ids):
            raise UserError(f"the {what} factors have {len(factors)} rows, the data {len(ids)} {what}s: map rows to ids with --{what}_rows=CSV")
        return factors
    try:
        table = pd.read_csv(rows_path, dtype=str)
    except ValueError as error:  # empty, torn or no text
        raise UserError(f"{rows_path}: not a CSV with columns row and id ({error})") from None
    if not {"row", "id"} <= set(table.columns):
        raise UserError(f"{rows_path}, line 1: columns row and id are needed")
    places = pd.to_numeric(table["row"], errors="coerce")
    bad = places.isna() | (places < 0) | (places >= len(factors)) | (places % 1 != 0)
    if bad.any():
        at = int(np.argmax(bad))
        raise UserError(f"{rows_path}, line {at + 2}: row {table['row'].iloc[at]} is none of the {len(factors)} of the factors")
    row_of = dict(zip(table["id"], places.astype(int)))
    missing = [each for each in map(str, ids) if each not in row_of]
    if missing:
        raise UserError(f"{rows_path}: {what} {missing[0]} has no row ({len(missing)} such {what}s)")
    return factors[[row_of[each] for each in map(str, ids)]]


def _page(result: Audit) -> str:
    """One HTML file with everything in it."""
    pictures = []
    for figure in plots.audit_figures(result):
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=120, bbox_inches="tight")
        pictures.append(f'<img src="data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode()}">')
    clean = result.points.iloc[0]
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
<table>{facts}</table>
<p>Unperturbed: {", ".join(f"{name} {number(clean[name])}" for name in NAMES)} @{result.facts["k"]}.</p>
<h2>Half of nDCG is gone at</h2>
<table><tr><th>attack</th><th>epsilon</th><th>of the mean row norm</th></tr>{half}</table>
<p>FGSM and the l2 ball move a row by at most epsilon; BIM in its element-wise ball by up to epsilon times the root of the dimension. Noise is random
and of FGSM's size: what survives it but not FGSM is lost to direction, not to size.</p>
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
