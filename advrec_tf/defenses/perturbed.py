"""Measure trained factors under attacks, with and without a projection: the work of one job."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.defenses.low_rank import Transformation
from advrec_tf.execution.results import Measured
from advrec_tf.perturbations import EMBEDDING_ATTACKS
from advrec_tf.recommenders import MostPopular, selected_factors
from advrec_tf.recommenders.baselines import BASELINES

# Mean l2 norm of the embeddings' rows and of the perturbation's rows.
NORMS = ("user_norm", "item_norm", "user_shift", "item_shift")
# Values of the column `defense`: whether the attacker differentiates through the projection.
AWARE, UNAWARE = "projected, aware", "projected, unaware"
_LIST_KEYS = ("epoch", "attack", "ball", "start", "epsilon", "iterations", "seed", "draw")


def list_path(lists_dir: Path, key: dict) -> Path:
    """Return where the lists of a point are saved."""
    parts = [f"{name}={key[name]}" for name in _LIST_KEYS if key.get(name) not in (None, "")]
    return lists_dir / f"{'_'.join([key['model'], *parts])}.tsv"


class _Rows:
    """The rows of a job, with the nDCG of each tested user.

    If `resample`, it also holds all metrics of users drawn with replacement.
    """

    def __init__(self, data: Interactions, lists_dir: Path | None, resample: bool = False):
        self.data, self.lists_dir, self.resample = data, lists_dir, resample
        self.rows: list[dict] = []
        self.users: list[np.ndarray] = []
        self.resampled: list[np.ndarray] = []

    def add(
        self,
        point: dict,
        lists: np.ndarray,
        factors: tuple = (),
        clean: tuple = (),
        delta: tuple = (),
    ) -> None:
        """Add the row of one point, and save its lists [U, k] if there is a folder for them.

        factors: P and Q that gave the lists, the sum of `clean` and `delta`; empty if the model
        has no factors
        """
        if self.lists_dir is not None:
            evaluation.save_lists(list_path(self.lists_dir, point), lists, self.data, *factors)
        norms = [float(np.linalg.norm(x, axis=1).mean()) for x in (*clean, *delta)]
        metrics = evaluation.metrics(lists, self.data)
        self.rows.append(point | metrics | dict(zip(NORMS, norms)))
        users = evaluation.per_user_metrics(lists, self.data)["nDCG"]
        self.users.append(np.asarray(users, np.float32))
        if self.resample:
            self.resampled.append(evaluation.resampled_metrics(lists, self.data).astype(np.float32))

    def again(self, point: dict) -> None:
        """Add the last row once more, with the key of another point."""
        self.rows.append(self.rows[-1] | point)
        self.users.append(self.users[-1])
        self.resampled += self.resampled[-1:]

    @property
    def result(self) -> Measured:
        """Return the rows, and arrays with one entry for each row."""
        arrays = {"nDCG": np.array(self.users)}
        if self.resample:
            arrays["resampled"] = np.array(self.resampled)
        return self.rows, arrays


def attack(
    points: list[dict],
    data: Interactions,
    weights: dict,
    init_range: float,
    lists_dir: Path | None,
    resample: bool = False,
) -> Measured:
    """Return a row of metrics for each point of one attack on one model, and arrays by user.

    points: they have one `seed`, and one `draw` if the attack has other negatives and starts than
    those of the seed; weights: arguments of `selected_factors`; init_range: of PGD's random start;
    lists_dir: where lists are saved, if anywhere. The arrays are nDCG [points, users] and, if
    `resample`, all metrics of users drawn with replacement.
    """
    _, P, Q = selected_factors(**weights)
    seed, draw = points[0]["seed"], points[0].get("draw", 0)
    if draw:
        seed = int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
    measured, last = _Rows(data, lists_dir, resample), None
    triples = _triples(points, data, seed)
    for point, delta in perturbations.perturbed(P, Q, triples, points, seed, init_range):
        if delta is last:
            measured.again(point)
            continue
        moved, last = (P + delta.user, Q + delta.item), delta
        measured.add(point, evaluation.top_k(*moved, data, point["k"]), moved, (P, Q), delta)
    return measured.result


def _triples(points: list[dict], data: Interactions, seed: int):
    """Return the triples whose loss the attack raises, or None if no point follows a gradient."""
    attacks = [EMBEDDING_ATTACKS.get(point.get("attack", "")) for point in points]
    if all(attack is None or attack.draw for attack in attacks):
        return None
    return perturbations.chunk_triples(sample_triples(data, seed), data.n_users, data.n_items)


def baseline(
    points: list[dict],
    data: Interactions,
    lists_dir: Path | None,
    resample: bool = False,
) -> Measured:
    """Return the metrics of a baseline recommender for each point; `model` and `seed` name it."""
    measured = _Rows(data, lists_dir, resample)
    for point in points:
        model = BASELINES[point["model"]](data, point["seed"])
        factors: tuple = ()
        if isinstance(model, MostPopular):
            factors = model.user_embedding, model.item_embedding
        lists = model.top_k(data, point["k"])
        measured.add(point, lists, factors, factors, tuple(map(np.zeros_like, factors)))
    return measured.result


def certify(points: list[dict], data: Interactions, weights: dict, **_: Any) -> Measured:
    """Return certified lower bounds of RE and nDCG for perturbations of each point's epsilon."""
    P, Q = selected_factors(**weights)[1:]
    k = points[0]["k"]
    radii = evaluation.certified_radii(P, Q, data, points[0]["ball"], k)
    rows = []
    for point in points:
        bound = evaluation.certified_metrics(radii, point["epsilon"])
        rows.append(point | {"RE": bound[f"HR@{k}"], "nDCG": bound[f"nDCG@{k}"]})
    return rows, {}


def defend(
    points: list[dict],
    data: Interactions,
    weights: dict,
    init_range: float,
    defense: Transformation,
    cache_dir: Path,
    **_: Any,
) -> Measured:
    """Return the metrics of perturbed factors that are projected before they rank items.

    points: the column `rank` says on how many singular vectors factors are projected, None means
    on none; the column `defense` says whether the attacker is AWARE of it. defense: of the highest
    rank; lower ranks use its first vectors. Other arguments as in `attack`.
    """
    P, Q = selected_factors(**weights)[1:]
    seed = points[0]["seed"]
    measured, triples = _Rows(data, None), _triples(points, data, seed)
    projection = defense.served(data, cache_dir)
    for rank, group in groupby(points, lambda p: p["rank"] if p["defense"] == AWARE else None):
        served = None if rank is None else projection.of_rank(rank)
        attacks = perturbations.perturbed(P, Q, triples, list(group), seed, init_range, served)
        for point, delta in attacks:
            factors = P + delta.user, Q + delta.item
            if point.get("rank"):
                factors = projection.of_rank(point["rank"])(*factors)
            measured.add(point, evaluation.top_k(*factors, data, point["k"]))
    return measured.result
