"""Measuring trained factors under attacks, with and without a projection: the work of one job."""

from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.defenses.low_rank import Transformation
from advrec_tf.defenses.protocol import project
from advrec_tf.perturbations import EMBEDDING_ATTACKS
from advrec_tf.recommenders import MostPopular, selected_factors
from advrec_tf.recommenders.baselines import BASELINES

# Mean l2 norm of the embeddings' rows and of the perturbation's rows.
NORMS = ("user_norm", "item_norm", "user_shift", "item_shift")
AWARE = "projected, aware"  # of an attacker who differentiates through the projection


def list_path(lists_dir: Path, key: dict) -> Path:
    """Where the lists of a point are saved."""
    named = ("epoch", "attack", "ball", "start", "epsilon", "iterations", "seed", "draw")
    return (
        lists_dir
        / f"{'_'.join([key['model'], *(f'{name}={key[name]}' for name in named if key.get(name) not in (None, ''))])}.tsv"
    )


class _Measured:
    """The rows of a job as they come, and beside them every tested user's nDCG and, if asked, all metrics of users drawn with replacement."""

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
        before: tuple = (),
        delta: tuple = (),
    ) -> None:
        """One point.  factors: P and Q that the lists come from, if there are any; before, delta: what they are the sum of"""
        if self.lists_dir is not None:
            evaluation.save_lists(list_path(self.lists_dir, point), lists, self.data, *factors)
        norms = dict(
            zip(NORMS, (float(np.linalg.norm(x, axis=1).mean()) for x in (*before, *delta)))
        )
        self.rows.append(point | evaluation.metrics(lists, self.data) | norms)
        self.users.append(
            np.asarray(evaluation.per_user_metrics(lists, self.data)["nDCG"], np.float32)
        )
        if self.resample:
            self.resampled.append(evaluation.resampled_metrics(lists, self.data).astype(np.float32))

    def again(self, point: dict) -> None:
        """The same lists under another key."""
        self.rows.append(self.rows[-1] | point)
        self.users.append(self.users[-1])
        self.resampled += self.resampled[-1:]

    @property
    def result(self) -> tuple[list[dict], dict[str, np.ndarray]]:
        return self.rows, {"nDCG": np.array(self.users)} | (
            {"resampled": np.array(self.resampled)} if self.resample else {}
        )


def attack(
    points: list[dict],
    data: Interactions,
    weights: dict,
    seed: int,
    init_range: float,
    lists_dir: Path | None,
    resample: bool = False,
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The metrics of the lists of one attack on one model at every point; points of a further draw have `draw`, all the same."""
    _, P, Q = selected_factors(**weights)
    if draw := points[0].get("draw", 0):
        seed = int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
    measured, last = _Measured(data, lists_dir, resample), None
    for point, delta in perturbations.perturbed(
        P, Q, _triples(points, data, seed), points, seed, init_range
    ):
        if delta is last:
            measured.again(point)
            continue
        moved, last = (P + delta.user, Q + delta.item), delta
        measured.add(point, evaluation.top_k(*moved, data, point["k"]), moved, (P, Q), delta)
    return measured.result


def _triples(points: list[dict], data: Interactions, seed: int):
    """The triples whose loss an attack raises, laid out once; none where no point follows a gradient."""
    follows = any(
        point.get("attack") in EMBEDDING_ATTACKS and not EMBEDDING_ATTACKS[point["attack"]].draw
        for point in points
    )
    return (
        perturbations.chunk_triples(sample_triples(data, seed), data.n_users, data.n_items)
        if follows
        else None
    )


def baseline(
    points: list[dict],
    data: Interactions,
    lists_dir: Path | None,
    resample: bool = False,
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The metrics of a recommender that learns nothing or next to nothing."""
    measured = _Measured(data, lists_dir, resample)
    for point in points:
        model = BASELINES[point["model"]](data, point["seed"])
        factors = (
            (model.user_embedding, model.item_embedding) if isinstance(model, MostPopular) else ()
        )
        measured.add(
            point,
            model.top_k(data, point["k"]),
            factors,
            factors,
            tuple(map(np.zeros_like, factors)),
        )
    return measured.result


def certify(
    points: list[dict], data: Interactions, weights: dict, **_: Any
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """RE and nDCG that no perturbation of a point's size can go below."""
    P, Q = selected_factors(**weights)[1:]
    k = points[0]["k"]
    radii = evaluation.certified_radii(P, Q, data, points[0]["ball"], k)
    bounds = [evaluation.certified_metrics(radii, point["epsilon"]) for point in points]
    return [
        point | {"RE": bound[f"HR@{k}"], "nDCG": bound[f"nDCG@{k}"]}
        for point, bound in zip(points, bounds)
    ], {}


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
    """The same for factors that are projected before users are served from them, by attackers who know of it and who do not.

    defense: of the highest rank; a point without a rank is undefended, and one of a lower rank has the first of its vectors
    """
    P, Q = selected_factors(**weights)[1:]
    measured, triples = _Measured(data, None), _triples(points, data, seed)
    U, V = defense.bases(data, cache_dir)
    for rank, group in groupby(
        points, key=lambda point: point["rank"] if point["defense"] == AWARE else None
    ):
        through = None if rank is None else (U[:, :rank], V[:, :rank])
        for point, delta in perturbations.perturbed(
            P, Q, triples, list(group), seed, init_range, through=through
        ):
            width, users, items = point.get("rank"), P + delta.user, Q + delta.item
            if width:
                users, items = project(users, items, U[:, :width], V[:, :width])
            measured.add(point, evaluation.top_k(users, items, data, point["k"]))
    return measured.result
