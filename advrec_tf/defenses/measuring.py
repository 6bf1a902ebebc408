"""Train recommenders on poisoned and defended data and measure them: the work of one job."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.defenses import Defense
from advrec_tf.execution import storage
from advrec_tf.execution.results import Measured
from advrec_tf.poisoning import Profiles, likeness
from advrec_tf.recommenders import (
    EnsembleConfig,
    PMFConfig,
    RecommenderConfig,
    WRMFConfig,
    checkpoints,
)

ORDERS = ("as made", "users permuted", "real users permuted", "fakes permuted", "fakes first")


@dataclass(frozen=True, eq=False)
class VictimSpec:
    """What a victim depends on, apart from its epochs and its seed."""

    poisoned: Interactions  # or the clean data
    defense: Defense
    settings: RecommenderConfig
    order: np.ndarray | None = None  # of the users, for the defence and the recommender


def train_or_load(
    data: Interactions,
    settings: RecommenderConfig,
    epochs: int,
    seed: int,
    folder: Path,
    progress: bool = True,
) -> storage.Arrays:
    """Return P, Q and the mean rating (0 except for PMF) of a trained recommender.

    They are cached in `folder`.
    """
    from advrec_tf.recommenders.trainer import train  # needs TensorFlow

    def build():
        """Train in a scratch folder, which is removed afterwards, and return the factors."""
        scratch = train(
            data,
            settings,
            seed,
            folder / f"in-progress-{epochs}",
            epochs,
            save_every=25,
            progress=progress,
        )
        model = checkpoints.trained_model(scratch, epochs, data, settings, seed)
        P, Q = model.factors
        shutil.rmtree(scratch)
        has_mean = settings.reads_ratings and "mean" in vars(model)
        return {"P": P, "Q": Q, "mean": np.float64(model.mean.numpy() if has_mean else 0)}

    identity = {"data": settings.fingerprint(data), "epochs": epochs, "seed": seed}
    return storage.cached(folder, {**settings.identity, **identity}, build)


def order_of(name: str, n_real: int, n_fakes: int, draw: int = 0) -> np.ndarray:
    """Return the order of that name, one of ORDERS, in which a recommender gets its users.

    By default real users come first and fakes after them.  All users, one kind or both are
    permuted, or the fakes come first.
    """
    rng = np.random.default_rng([draw, 1 << 23])
    real, fakes = np.arange(n_real), n_real + np.arange(n_fakes)
    if name == "fakes first":
        return np.concatenate([fakes, real])
    if name == "users permuted":
        return rng.permutation(n_real + n_fakes)
    if name == "real users permuted":
        real = rng.permutation(real)
    if name == "fakes permuted":
        fakes = rng.permutation(fakes)
    return np.concatenate([real, fakes])


def measure(
    points: list[dict],
    data: Interactions,
    spec: VictimSpec,
    targets: tuple[int, ...],
    cache_dir: Path,
    progress: bool = True,
) -> Measured:
    """Train a victim after its defence; return its row, and the metrics of every tested user.

    It is measured on the real users of the clean `data`.
    """
    (point,) = points
    settings = spec.settings
    if isinstance(settings, WRMFConfig):
        settings = replace(settings, feedback=spec.defense.feedback)
    order = np.arange(spec.poisoned.n_users) if spec.order is None else spec.order
    poisoned, rank = spec.poisoned.of_users(order), np.argsort(order)
    cleaned = spec.defense.cleaned(poisoned, data.n_users, cache_dir)
    trained = train_or_load(
        cleaned, settings, point["epoch"], point["seed"], cache_dir / "victims", progress
    )
    P, Q = _transformed(trained, settings, spec.defense, poisoned, cache_dir)
    P = P[rank[: data.n_users]]
    lists = evaluation.top_k(P, Q, data, point["k"])
    row = point | evaluation.poisoning_metrics(P, Q, data, targets, point["k"], lists)
    if isinstance(settings, PMFConfig) and data.test_ratings is not None:
        from advrec_tf.recommenders.pmf import rmse  # needs TensorFlow

        row["RMSE"] = rmse(P, Q, float(trained["mean"]), data)
    emptied = ((np.diff(poisoned.indptr) > 0) & (np.diff(cleaned.indptr) == 0))[rank]
    row["emptied_users"] = int(emptied[: data.n_users].sum())
    row["emptied_fakes"] = int(emptied[data.n_users :].sum())
    per_user = evaluation.per_user_poisoning_metrics(lists, data, targets)
    return [row], {name: values.astype(np.float32)[None] for name, values in per_user.items()}


def _transformed(
    trained: storage.Arrays,
    settings: RecommenderConfig,
    defense: Defense,
    poisoned: Interactions,
    cache_dir: Path,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors that rank items, after the defence on factors.

    Biases are further columns, which the defence does not change.
    """
    P, Q = trained["P"], trained["Q"]
    dim = settings.embedding_dim if settings.reads_ratings else P.shape[1]
    users, items = defense.transformed(P[:, :dim], Q[:, :dim], poisoned, cache_dir)
    return np.hstack([users, P[:, dim:]]), np.hstack([items, Q[:, dim:]])


def certify(
    points: list[dict],
    data: Interactions,
    settings: EnsembleConfig,
    targets: tuple[int, ...],
    cache_dir: Path,
    progress: bool = True,
) -> Measured:
    """Return certified metrics of an ensemble trained on clean data, for each number of fakes."""
    epochs, seed = points[0]["epoch"], points[0]["seed"]
    folder = cache_dir / "victims"
    votes = train_or_load(data, settings, epochs, seed, folder, progress)["P"]
    shares = evaluation.share_bounds(epochs * settings.BASES, data.n_items)
    rows = []
    for point in points:
        untouched = evaluation.untouched_share(
            data.n_users, settings.users, point["certified_fakes"]
        )
        bounds = evaluation.certified_votes(votes, shares, untouched, data, targets, point["k"])
        rows.append(point | bounds)
    return rows, {}


def profile_similarity(
    points: list[dict],
    data: Interactions,
    profiles: Profiles,
    changed_entries: int | None = None,
) -> Measured:
    """Return the points with how close fake profiles are to real ones, and no users' values.

    changed_entries: how many entries zeroth-order steps have changed, if there were steps
    """
    changed = {} if changed_entries is None else {"changed_entries": changed_entries}
    return [point | likeness(profiles, data) | changed for point in points], {}
