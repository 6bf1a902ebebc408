"""Measuring trained factors under attacks, with and without a projection: the work of one job."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.defenses.low_rank import Transformation
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


class _Measured:
    """The rows of a job, every tested user's nDCG of each row, and, if `resample`, all metrics of
    users drawn with replacement.
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
        """Add one point. factors: P and Q of the lists, if any, the sum of `clean` and `delta`"""
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
        """Add the last lists under another key."""
        self.rows.append(self.rows[-1] | point)
        self.users.append(self.users[-1])
        self.resampled += self.resampled[-1:]

    @property
    def result(self) -> tuple[list[dict], dict[str, np.ndarray]]:
        arrays = {"nDCG": np.array(self.users)}
        if self.resample:
            arrays["resampled"] = np.array(self.resampled)
        return self.rows, arrays


def attack(
    points: list[dict],
    data: Interactions,
    weights: dict,
    seed: int,
    init_range: float,
    lists_dir: Path | None,
    resample: bool = False,
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Return the metrics of one attack on one model at every point.

    weights: arguments of `selected_factors`. Points of a further draw all have the same `draw`.
    """
    _, P, Q = selected_factors(**weights)
    if draw := points[0].get("draw", 0):
        seed = int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
    measured, last = _Measured(data, lists_dir, resample), None
    triples = _triples(points, data, seed)
    for point, delta in perturbations.perturbed(P, Q, triples, points, seed, init_range):
        if delta is last:
            measured.again(point)
            continue
        moved, last = (P + delta.user, Q + delta.item), delta
        measured.add(point, evaluation.top_k(*moved, data, point["k"]), moved, (P, Q), delta)
    return measured.result


def _triples(points: list[dict], data: Interactions, seed: int):
    """Return the chunks of triples whose loss an attack raises, or None if no point follows a
    gradient.
    """
    attacks = [EMBEDDING_ATTACKS.get(point.get("attack", "")) for point in points]
    if all(attack is None or attack.draw for attack in attacks):
        return None
    return perturbations.chunk_triples(sample_triples(data, seed), data.n_users, data.n_items)


def baseline(
    points: list[dict],
    data: Interactions,
    lists_dir: Path | None,
    resample: bool = False,
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Return the metrics of a recommender that learns nothing or next to nothing."""
    measured = _Measured(data, lists_dir, resample)
    for point in points:
        model = BASELINES[point["model"]](data, point["seed"])
        factors: tuple = ()
        if isinstance(model, MostPopular):
            factors = model.user_embedding, model.item_embedding
        lists = model.top_k(data, point["k"])
        measured.add(point, lists, factors, factors, tuple(map(np.zeros_like, factors)))
    return measured.result


def certify(
    points: list[dict], data: Interactions, weights: dict, **_: Any
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Return RE and nDCG below which no perturbation of a point's epsilon can bring them."""
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
    seed: int,
    init_range: float,
    defense: Transformation,
    cache_dir: Path,
    **_: Any,
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """Return the metrics of factors that are projected before users are served from them.

    defense: of the highest rank. A point of a lower rank has the first of its vectors, and a point
    without a rank is undefended. An attacker is aware of the projection if the point says so.
    """
    P, Q = selected_factors(**weights)[1:]
    measured, triples = _Measured(data, None), _triples(points, data, seed)
    projection = defense.served(data, cache_dir)
    for rank, group in groupby(points, key=_known_rank):
        served = None if rank is None else projection.of_rank(rank)
        attacks = perturbations.perturbed(P, Q, triples, list(group), seed, init_range, served)
        for point, delta in attacks:
            factors = P + delta.user, Q + delta.item
            if point.get("rank"):
                factors = projection.of_rank(point["rank"])(*factors)
            measured.add(point, evaluation.top_k(*factors, data, point["k"]))
    return measured.result


def _known_rank(point: dict) -> int | None:
    """Return the rank of the projection that the attacker differentiates through, if any."""
    return point["rank"] if point["defense"] == AWARE else None
