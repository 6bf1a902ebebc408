"""Factors that go on training on other data: a warm start."""

from pathlib import Path

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.execution import storage
from advrec_tf.recommenders.config import RecommenderConfig


def continued(
    data: Interactions,
    settings: RecommenderConfig,
    epochs: int,
    seed: int,
    folder: Path,
    start: tuple[np.ndarray, np.ndarray],
) -> storage.Arrays:
    """Return P and Q after further epochs from those of another training, cached in `folder`.

    start: P [U, D], Q [I, D] of the same users and items
    """

    def build() -> dict[str, np.ndarray]:
        """Train a model that begins with the given factors."""
        model = settings.build(data, seed)
        model.user_embedding.assign(start[0])
        model.item_embedding.assign(start[1])
        model.fit(data, settings.batch_size, epochs=epochs, verbose=0)
        P, Q = model.factors
        return {"P": P, "Q": Q}

    identity = {**settings.identity, "data": data.fingerprint, "epochs": epochs, "seed": seed}
    identity["start"] = storage.digest({"P": start[0], "Q": start[1]})
    return storage.cached(folder, identity, build)
