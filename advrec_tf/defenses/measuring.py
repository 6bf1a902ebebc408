"""Training recommenders on poisoned and defended data, and measuring them: the work of one job."""

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.defenses import Defense
from advrec_tf.execution import storage
from advrec_tf.poisoning import Profiles, likeness
from advrec_tf.recommenders import (
    EnsembleSettings,
    PMFSettings,
    Settings,
    WRMFSettings,
    checkpoints,
    epoch_file,
)

ORDERS = ("as made", "users permuted", "real users permuted", "fakes permuted", "fakes first")


def train_or_load(
    data: Interactions,
    settings: Settings,
    epochs: int,
    seed: int,
    folder: Path,
    progress: bool = True,
) -> storage.Arrays:
    """P, Q and the mean rating (0 but for PMF) of a recommender trained on these data, from the cache when it was trained before."""
    from advrec_tf.recommenders.trainer import train  # needs TensorFlow

    def build():
        scratch = train(
            data,
            settings,
            seed,
            folder / f"in-progress-{epochs}",
            epochs,
            save_every=25,
            progress=progress,
        )
        model = settings.build(data, seed)
        checkpoints.restore(model, storage.load(epoch_file(scratch, epochs)))
        P, Q = model.factors
        shutil.rmtree(scratch)
        return {
            "P": P,
            "Q": Q,
            "mean": np.float64(
                model.mean.numpy() if settings.reads_ratings and "mean" in vars(model) else 0
            ),
        }

    fingerprint = data.ratings_fingerprint if settings.reads_ratings else data.fingerprint
    return storage.cached(
        folder, {**settings.identity, "data": fingerprint, "epochs": epochs, "seed": seed}, build
    )


def order_of(name: str, n_real: int, n_fakes: int, draw: int = 0) -> np.ndarray:
    """One of ORDERS, the order in which users are given to a recommender that was poisoned: real users come first and fakes after them, all of
    them, one of both kinds or both each are permuted, or fakes come first."""
    rng, real, fakes = (
        np.random.default_rng([draw, 1 << 23]),
        np.arange(n_real),
        n_real + np.arange(n_fakes),
    )
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
    poisoned: Interactions,
    defense: Defense,
    settings: Settings,
    targets: tuple[int, ...],
    cache_dir: Path,
    progress: bool = True,
    order: np.ndarray | None = None,
) -> tuple[list[dict], storage.Arrays]:
    """The row of one recommender: trained on the poisoned data (or the clean ones) after the defence, and measured on the clean data's real users;
    and every tested user's own metrics.  order: the one in which the users are given to the defence and the recommender, as they are if None"""
    from advrec_tf.recommenders.pmf import rmse  # needs TensorFlow

    (point,) = points
    if isinstance(settings, WRMFSettings):
        settings = replace(settings, feedback=defense.feedback)
    order = np.arange(poisoned.n_users) if order is None else order
    poisoned, places = poisoned.of_users(order), np.argsort(order)
    cleaned = defense.cleaned(poisoned, data.n_users, cache_dir)
    emptied = ((np.diff(poisoned.indptr) > 0) & (np.diff(cleaned.indptr) == 0))[places]
    trained = train_or_load(
        cleaned, settings, point["epoch"], point["seed"], cache_dir / "victims", progress
    )
    # Biases are columns of their own beyond the factors, and no part of a transformation.
    P, Q = trained["P"], trained["Q"]
    dim = settings.embedding_dim if settings.reads_ratings else P.shape[1]
    moved = defense.transformed(P[:, :dim], Q[:, :dim], poisoned, cache_dir)
    P, Q = (np.hstack([new, old[:, dim:]]) for new, old in zip(moved, (P, Q)))
    P = P[places[: data.n_users]]
    lists = evaluation.top_k(P, Q, data, point["k"])
    row = point | evaluation.poisoning_metrics(P, Q, data, targets, point["k"], lists)
    if isinstance(settings, PMFSettings) and data.test_ratings is not None:
        row["RMSE"] = rmse(P, Q, float(trained["mean"]), data)
    row |= {
        "emptied_users": int(emptied[: data.n_users].sum()),
        "emptied_fakes": int(emptied[data.n_users :].sum()),
    }
    own = evaluation.per_user_poisoning_metrics(lists, data, targets)
    return [row], {name: values.astype(np.float32)[None] for name, values in own.items()}


def certify(
    points: list[dict],
    data: Interactions,
    settings: EnsembleSettings,
    targets: tuple[int, ...],
    cache_dir: Path,
    progress: bool = True,
) -> tuple[list[dict], storage.Arrays]:
    """What as many fake users as each point says cannot do to an ensemble that was trained on clean data."""
    first = points[0]
    votes = train_or_load(
        data, settings, first["epoch"], first["seed"], cache_dir / "victims", progress
    )["P"]
    bases = first["epoch"] * settings.BASES
    found = (
        evaluation.certified_votes(
            votes, bases, settings.users, point["certified_fakes"], data, targets, point["k"]
        )
        for point in points
    )
    return [point | bounds for point, bounds in zip(points, found)], {}


def profile_similarity(
    points: list[dict],
    data: Interactions,
    profiles: Profiles,
    changed_entries: int | None = None,
) -> tuple[list[dict], storage.Arrays]:
    """How close fake profiles are to real ones; changed_entries: how many steps have changed, where there are steps."""
    own = {} if changed_entries is None else {"changed_entries": changed_entries}
    return [point | likeness(profiles, data) | own for point in points], {}
