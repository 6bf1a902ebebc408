"""A recommender that a worker makes again from its weights, and how accurate it is."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.execution.results import Measured
from advrec_tf.recommenders import FactorModel, RecommenderConfig
from advrec_tf.recommenders.checkpoints import trained_model


class Trained(NamedTuple):
    """Where the weights of one training are, and what they belong to."""

    folder: Path
    config: RecommenderConfig
    seed: int
    data: Interactions

    def model(self, epoch: int) -> FactorModel:
        """Return the model with the weights of a kept epoch."""
        return trained_model(self.folder, epoch, self.data, self.config, self.seed)


def accuracy(points: list[dict], trained: Trained) -> Measured:
    """Measure the lists of each point's epoch, and keep each tested user's nDCG."""
    rows, users = [], []
    for point in points:
        P, Q = trained.model(point["epoch"]).factors
        lists = evaluation.top_k(P, Q, trained.data, point["k"])
        metrics = evaluation.metrics(lists, trained.data)
        rows.append(point | {name: metrics[name] for name in ("RE", "nDCG", "ICov")})
        users.append(evaluation.per_user_metrics(lists, trained.data)["nDCG"])
    return rows, {"nDCG": np.array(users, np.float32)}
