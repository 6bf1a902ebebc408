"""Training recommenders on poisoned and defended data, and measuring them: the work of one job."""

import shutil
from dataclasses import asdict
from pathlib import Path

import numpy as np

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.defenses import Defense
from advrec_tf.models.pmf import rmse
from advrec_tf.reporting import victim_path
from advrec_tf.training import Settings, cache, checkpoints, epoch_file
from advrec_tf.training.trainer import build_model, train


def victim(data: Interactions, settings: Settings, epochs: int, seed: int, folder: Path, progress: bool = True, position: int = 0) -> dict:
    """P, Q and the mean rating (0 but for PMF) of a recommender trained on these data, from the cache when it was trained before."""

    def build():
        scratch = train(data, settings, seed, folder / "in-progress", epochs, save_every=25, progress=progress, position=position)
        model = build_model(data, settings, seed)
        checkpoints.restore(model, checkpoints.load(epoch_file(scratch, epochs)))
        P, Q = model.factors
        shutil.rmtree(scratch)
        return {"P": P, "Q": Q, "mean": np.float64(model.mean.numpy() if hasattr(model, "mean") else 0)}

    identity = {"model": settings.name, **asdict(settings), "data": data.ratings_fingerprint, "epochs": epochs, "seed": seed}
    return cache.cached(folder, identity, build)


def measure(
    data: Interactions, poisoned: Interactions, defense: Defense | None, settings: Settings, epochs: int, seed: int, targets: tuple[int, ...],
    key: dict, folder: Path, cache_dir: Path, progress: bool = True, position: int = 0,
) -> list[dict]:  # fmt: skip
    """The row of one recommender: trained on the poisoned data (or the clean ones) after the defense, and measured on the clean data's real users.

    Beside it, in a file of `folder`/users, every tested user's own metrics, for intervals and paired tests.
    """
    cleaned = poisoned if defense is None else defense.applied(poisoned, data.n_users, cache_dir)
    trained = victim(cleaned, settings, epochs, seed, cache_dir / "victims", progress, position)
    P, Q = trained["P"], trained["Q"]
    if hasattr(defense, "transformed"):
        # Biases are columns of their own beyond the factors, and no part of the transformation.
        dim = settings.embedding_dim
        moved = defense.transformed(P[:, :dim], Q[:, :dim], poisoned, cache_dir)
        P, Q = (np.hstack([new, old[:, dim:]]) for new, old in zip(moved, (P, Q)))
    P = P[: data.n_users]
    lists = evaluation.top_k(P, Q, data, key["k"])
    row = key | evaluation.poisoning_metrics(P, Q, data, targets, key["k"], lists)
    if settings.name == "PMF" and data.test_ratings is not None:
        row["RMSE"] = rmse(P, Q, float(trained["mean"]), data)
    own = evaluation.per_user_poisoning_metrics(lists, data, targets)
    checkpoints.save(victim_path(folder, key), {name: values.astype(np.float32) for name, values in own.items()})
    return [row]
