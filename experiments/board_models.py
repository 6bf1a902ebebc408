"""The models of the leaderboard: what is trained for each, and its factors."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse.linalg import svds

from advrec_tf.cli.options import TodayOptions
from advrec_tf.defenses.measuring import train_or_load
from advrec_tf.execution.jobs import Task
from advrec_tf.leaderboard.entries import Entry
from advrec_tf.recommenders import (
    MarginMFConfig,
    RecommenderConfig,
    WRMFConfig,
    model_folder,
    selected_factors,
)
from advrec_tf.recommenders.baselines import MostPopular
from advrec_tf.recommenders.continuing import continued

from .multistep.trainings import TrainingSpec
from .today import models

Pair = tuple[np.ndarray, np.ndarray]


class BoardModel:
    """A model of the leaderboard."""

    ranked = False  # whether the rank follows the name, as in `SVD-16`
    seeded = True  # whether the factors depend on the seed
    trained: tuple[str, ...] = ()  # models of Table 1 whose training it needs
    quick = True  # whether it can be trained again for each of many data sets
    goes_on = False  # whether trained factors can go on training on other data

    def tasks(self, training: TrainingSpec, source: Entry) -> list[Task]:
        """Return the trainings that this model needs besides `trained`."""
        return []

    def factors(self, training: TrainingSpec, source: Entry) -> Pair:
        """Return P [U, D] and Q [I, D] for the seed and the rank of `source`."""
        raise NotImplementedError

    def warm_start(
        self, training: TrainingSpec, source: Entry, start: Pair, epochs: int
    ) -> tuple[Task, Callable[[], Pair]]:
        """Return the task that goes on with trained factors, and what returns its result."""
        raise NotImplementedError


@dataclass(frozen=True)
class BestEpoch(BoardModel):
    """BPR-MF or AMF at its best epoch, trained as for Table 1."""

    trained: tuple[str, ...]  # the last one is the model
    quick = False

    def factors(self, training: TrainingSpec, source: Entry) -> Pair:
        """Return the factors with the best HR@10 on the test set."""
        config = training.amf if self.trained[-1] == training.amf.name else training.bprmf
        folder = model_folder(training.output_dir / "models", training.data, config, source.seed)
        _, P, Q = selected_factors(folder, "best", training.last_epoch(config))
        return P, Q


class Rescaled(BestEpoch):
    """1000 P and Q / 10 of a model: the same lists, so the same row of the leaderboard."""

    def factors(self, training: TrainingSpec, source: Entry) -> Pair:
        """Return float64 factors: rounding to single precision would give other lists."""
        P, Q = super().factors(training, source)
        return 1000 * np.float64(P), np.float64(Q) / 10


class Popularity(BoardModel):
    """MostPopular, whose factors have one column."""

    seeded = False

    def factors(self, training: TrainingSpec, source: Entry) -> Pair:
        """Return a column of ones and the train counts of the items."""
        popular = MostPopular(training.data)
        return popular.user_embedding, popular.item_embedding


class TruncatedSVD(BoardModel):
    """The truncated SVD of the matrix of train interactions."""

    ranked = True
    seeded = False

    def factors(self, training: TrainingSpec, source: Entry) -> Pair:
        """Return U S and V."""
        data = training.data
        rank = min(source.rank or 0, min(data.n_users, data.n_items) - 1)
        U, values, Vt = svds(data.matrix(), k=rank, random_state=0)
        return U * values, Vt.T


class LastEpoch(BoardModel):
    """A model that is trained for a fixed number of epochs."""

    def config(self, training: TrainingSpec, source: Entry) -> tuple[RecommenderConfig, int]:
        """Return the model's configuration and its number of epochs."""
        raise NotImplementedError

    def _arguments(self, training: TrainingSpec, source: Entry) -> dict:
        settings, epochs = self.config(training, source)
        folder = training.output_dir / "models" / training.data.name / "whole"
        shared = {"data": training.data, "folder": folder, "seed": source.seed}
        return {**shared, "settings": settings, "epochs": epochs}

    def tasks(self, training: TrainingSpec, source: Entry) -> list[Task]:
        """Return its training."""
        function = "advrec_tf.defenses.measuring:train_or_load"
        return [Task(function, self._arguments(training, source))]

    def factors(self, training: TrainingSpec, source: Entry) -> Pair:
        """Return the factors after the last epoch."""
        trained = train_or_load(**self._arguments(training, source))
        return trained["P"], trained["Q"]


class MaximumMargin(LastEpoch):
    """MarginMF in its default configuration."""

    quick = False

    def config(self, training: TrainingSpec, source: Entry) -> tuple[RecommenderConfig, int]:
        """Return a configuration that has at most the rank of BPR-MF."""
        config = MarginMFConfig(min(training.bprmf.embedding_dim, MarginMFConfig.embedding_dim))
        return config, config.epochs


@dataclass(frozen=True)
class OfToday(BoardModel):
    """LightGCN or SASRec, trained as for `--experiment=baselines`."""

    name: str

    quick = False

    def _training(self, training: TrainingSpec, source: Entry) -> models.Training:
        """Return the training with the default number of epochs."""
        where = training.data, source.seed, training.output_dir
        return models.training(self.name, *where, vars(TodayOptions()))

    def tasks(self, training: TrainingSpec, source: Entry) -> list[Task]:
        """Return its training."""
        return [self._training(training, source).task()]

    def factors(self, training: TrainingSpec, source: Entry) -> Pair:
        """Return the factors that it serves after the last epoch."""
        made = self._training(training, source)
        return made.trained.model(made.epochs).factors


@dataclass(frozen=True)
class LeastSquares(LastEpoch):
    """Regularised least squares (Hu et al. 2008).

    alpha: what is added to the weight 1 of an interaction.
    """

    regularization: float
    alpha: float

    ranked = True
    goes_on = True

    def config(self, training: TrainingSpec, source: Entry) -> tuple[RecommenderConfig, int]:
        """Return WRMF solved by alternating least squares."""
        weights = {"regularization": self.regularization, "weight": 1 + self.alpha}
        return WRMFConfig(source.rank, solver="als", **weights), 15

    def warm_start(
        self, training: TrainingSpec, source: Entry, start: Pair, epochs: int
    ) -> tuple[Task, Callable[[], Pair]]:
        """Return the task of further sweeps over the data, and what returns its factors."""
        arguments = {**self._arguments(training, source), "epochs": epochs, "start": start}

        def factors() -> Pair:
            """Return the factors from the cache, or make them."""
            trained = continued(**arguments)
            return trained["P"], trained["Q"]

        return Task("advrec_tf.recommenders.continuing:continued", arguments), factors
