"""The factors of a leaderboard's entries: trained, decomposed, or from a user's files."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.linalg import svds

from advrec_tf import perturbations
from advrec_tf.data import Interactions
from advrec_tf.defenses import measuring as defense_measuring
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Running
from advrec_tf.leaderboard.entries import Entry
from advrec_tf.leaderboard.measuring import versions
from advrec_tf.recommenders import (
    MarginMFConfig,
    RecommenderConfig,
    WRMFConfig,
    model_folder,
    selected_factors,
)
from advrec_tf.recommenders.baselines import MostPopular

from .multistep import trainings
from .multistep.trainings import TrainingSpec

LEAST_SQUARES_EPOCHS = 15
# Regularised least squares (Hu et al. 2008): regularisation, and alpha, which is added to the
# weight 1 of an interaction.
LEAST_SQUARES = {"iALS": (10.0, 1.0), "iALS-reg50": (50.0, 2.0), "iALS-reg100": (100.0, 10.0)}
TRAINED = ("BPR-MF", "AMF")
MARGIN = "MarginMF"
TWIN = "rescaled BPR-MF"  # 1000 P and Q / 10, whose lists are those of BPR-MF
POPULAR = "MostPopular"
SVD = "SVD"  # truncated SVD of the interactions
MODELS = (*TRAINED, TWIN, POPULAR, MARGIN)  # of fixed rank
RANKED_MODELS = (*LEAST_SQUARES, SVD)
Factors = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class BoardSpec:
    """The entries of the leaderboard of one data set, and what their factors depend on."""

    data: Interactions
    output_dir: Path
    seeds: list[int]
    entries: list[Entry]  # those of --factors included, all of seed 0
    factors: dict[str, Factors]  # of --factors, by name
    training: TrainingSpec
    k: int

    published = False  # no paper has a leaderboard

    @property
    def config(self) -> dict[str, Any]:
        """What the results depend on apart from their keys, as plain values."""
        shared = {"k": self.k, "versions": versions(), "data": self.data.fingerprint}
        return {**self.training.models, **shared}

    @property
    def sources(self) -> list[Entry]:
        """The unchanged entries whose factors are needed, each with every seed that matters."""
        sources: list[Entry] = []
        for source in dict.fromkeys(entry.source for entry in self.entries):
            seeded = source.model in (*TRAINED, TWIN, MARGIN, *LEAST_SQUARES)
            seeds = self.seeds if seeded else self.seeds[:1]
            sources += [replace(source, seed=seed) for seed in seeds]
        return sources


def prepare(spec: BoardSpec, how: Running) -> Stages:
    """Train the models of all entries."""
    models = {source.model for source in spec.sources}
    names: tuple[str, ...] = TRAINED
    if "AMF" not in models:
        names = TRAINED[:1] if {"BPR-MF", TWIN} & models else ()
    first, then = trainings.train(spec.training, how, names)
    for source in spec.sources:
        if source.model in (MARGIN, *LEAST_SQUARES):
            arguments = _training_arguments(spec, source)
            first.append(Task("advrec_tf.defenses.measuring:train_or_load", arguments))
    yield first
    yield then


def _training_arguments(spec: BoardSpec, source: Entry) -> dict[str, Any]:
    """Return the arguments of `train_or_load` for a model that is trained to its last epoch."""
    if source.model == MARGIN:
        dim = min(spec.training.bprmf.embedding_dim, MarginMFConfig.embedding_dim)
        margin = MarginMFConfig(dim)
        settings: RecommenderConfig = margin
        epochs = margin.epochs
    else:
        regularization, alpha = LEAST_SQUARES[source.model]
        weights = {"regularization": regularization, "weight": 1 + alpha}
        settings = WRMFConfig(source.rank, solver="als", **weights)
        epochs = LEAST_SQUARES_EPOCHS
    folder = spec.output_dir / "models" / spec.data.name / "whole"
    shared = {"data": spec.data, "folder": folder, "seed": source.seed}
    return {**shared, "settings": settings, "epochs": epochs}


def entries(spec: BoardSpec) -> Iterator[tuple[Entry, np.ndarray, np.ndarray]]:
    """Yield every entry with its factors; factors that no seed matters to have the first seed."""
    for source in spec.sources:
        P, Q = _factors(spec, source)
        for entry in spec.entries:
            if replace(entry.source, seed=source.seed) == source:
                yield replace(entry, seed=source.seed), *_changed(P, Q, entry)


def jobs_by(measure: Callable[..., list[Job]]) -> Callable[[BoardSpec], list[Job]]:
    """Return the function of the jobs of a spec: those that `measure` gives for every entry."""

    def jobs(spec: BoardSpec) -> list[Job]:
        """Return the jobs of every entry with its factors."""
        measurements: list[Job] = []
        for entry, P, Q in entries(spec):
            measurements += measure(entry, P, Q, spec.data, spec.k)
        return measurements

    return jobs


def _changed(P: np.ndarray, Q: np.ndarray, entry: Entry) -> Factors:
    """Truncate and normalise factors as the entry says.

    Users are normalised before the truncation, so that all count alike in it, and after it.
    """
    if entry.user_normalized:
        P, Q = perturbations.normalize_users(P, Q)
    if entry.truncated_rank:
        P, Q = perturbations.truncate(P, Q, entry.truncated_rank)
        if entry.user_normalized:
            P, Q = perturbations.normalize_users(P, Q)
    return P, Q


def _factors(spec: BoardSpec, source: Entry) -> Factors:
    """Return P and Q of an entry's source: given, trained, from an SVD, or by popularity."""
    data, training = spec.data, spec.training
    if source.model in spec.factors:
        return spec.factors[source.model]
    if source.model in (*TRAINED, TWIN):
        settings = training.amf if source.model == "AMF" else training.bprmf
        folder = model_folder(spec.output_dir / "models", data, settings, source.seed)
        _, P, Q = selected_factors(folder, "best", training.last_epoch(settings))
        # Double precision: rounding to single precision would give other factors.
        return (1000 * np.float64(P), np.float64(Q) / 10) if source.model == TWIN else (P, Q)
    if source.model == SVD:
        rank = min(source.rank or 0, min(data.n_users, data.n_items) - 1)
        U, values, Vt = svds(data.matrix(), k=rank, random_state=0)
        return U * values, Vt.T
    if source.model == POPULAR:
        popular = MostPopular(data)
        return popular.user_embedding, popular.item_embedding
    trained = defense_measuring.train_or_load(**_training_arguments(spec, source))
    return trained["P"], trained["Q"]
