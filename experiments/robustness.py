"""A leaderboard of factors under an ensemble of attacks whose budgets no scale can fake."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.sparse.linalg import svds

from advrec_tf import auditing, evaluation, perturbations, robustness
from advrec_tf.cli import perturbed, victims
from advrec_tf.cli.runner import Experiment, Running
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.files import write_text
from advrec_tf.models.baselines import MostPopular
from advrec_tf.reporting import leaderboard, page, read_results
from advrec_tf.results import Job
from advrec_tf.storage import load_matrix, write_csv
from advrec_tf.training import WRMFSettings, model_folder, selected_factors

LEAST_SQUARES_EPOCHS = 15
# Regularised least squares (Hu et al. 2008): regularisation and alpha, the weight of what was clicked beside 1.
LEAST_SQUARES = {"iALS": (10.0, 1.0), "iALS 50": (50.0, 2.0), "iALS 100": (100.0, 10.0)}
TRAINED = ("BPR-MF", "AMF")
ENTRIES = (*TRAINED, *LEAST_SQUARES, "SVD", "MostPopular")


@dataclass(frozen=True)
class Study:
    """What stands on the leaderboard of one data set."""

    data: Interactions
    output_dir: Path
    seeds: list[int]
    entries: list[str]
    factors: dict[str, tuple[np.ndarray, np.ndarray]]  # of one's own, by name
    training: perturbed.Study
    k: int

    published = False  # no paper has this

    @property
    def config(self) -> dict[str, Any]:
        versions = {"perturbations": perturbations.VERSION, "evaluation": evaluation.VERSION, "certificates": evaluation.CERTIFICATES}
        return {"k": self.k, "versions": versions | {"robustness": robustness.VERSION}, "data": self.data.fingerprint}


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The study of each data set.  Raises UserError for entries that are unknown, files that cannot be read and factors that do not fit."""
    unknown = set(values["entries"]) - set(ENTRIES)
    if unknown:
        raise UserError(f"--entries must be of {', '.join(ENTRIES)}, not {min(unknown)!r}")
    own = dict(_own(text) for text in values["factors"])
    if len(own) < len(values["factors"]) or set(own) & {*values["entries"]}:
        raise UserError("--factors must have names of their own")
    trainings = perturbed.studies({**values, **_UNUSED}, datasets, output_dir)
    found = []
    for data, training in zip(datasets, trainings):
        fitting = {name: auditing.checked(*pair)[:2] for name, pair in own.items()}
        for name, (P, Q) in fitting.items():
            if (len(P), len(Q)) != (data.n_users, data.n_items):
                raise UserError(f"the factors {name} have {len(P)} and {len(Q)} rows, {data.name} {data.n_users} users and {data.n_items} items")
        found.append(Study(data, output_dir, values["seed"], values["entries"], fitting, training, values["k"] or 10))
    return found


# Of a `perturbed.Study`, which only trains here.
_UNUSED = {"model_selection": ["best"], "epsilon": [0.5], "iterations": [1], "step_size": None, "pgd_init": 0.0}


def _own(text: str) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    name, *paths = text.split(":")
    if len(paths) != 2 or not name:
        raise UserError(f"--factors must be NAME:USERS.npy:ITEMS.npy, not {text!r}")
    return name, (load_matrix(paths[0]), load_matrix(paths[1]))


def prepare(studies: Sequence[Study], how: Running) -> None:
    """Trains what is to be trained."""
    perturbed.train([study.training for study in studies if set(TRAINED) & {*study.entries}], how)
    for _ in how.jobs("advrec_tf.cli.victims:victim", [asked for study in studies for _, asked in _least_squares(study)]):
        pass


def _least_squares(study: Study) -> list[tuple[str, dict[str, Any]]]:
    """Entries by regularised least squares, each with the arguments of `victims.victim`."""
    dim, folder, found = study.training.bprmf.embedding_dim, study.output_dir / "models" / study.data.name / "least-squares", []
    for name in (each for each in study.entries if each in LEAST_SQUARES):
        regularization, alpha = LEAST_SQUARES[name]
        settings = WRMFSettings(dim, solver="als", regularization=regularization, weight=1 + alpha)
        common = {"data": study.data, "settings": settings, "epochs": LEAST_SQUARES_EPOCHS, "folder": folder}
        found += [(name, {**common, "seed": seed}) for seed in study.seeds]
    return found


def entries(study: Study) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Every entry: its name, seed, P and Q.  What no seed matters to has the first."""
    data, training, first = study.data, study.training, study.seeds[0]
    for settings in (training.bprmf, training.amf):
        for seed in study.seeds if settings.name in study.entries else ():
            folder = model_folder(study.output_dir / "models", data, settings, seed)
            yield settings.name, seed, *selected_factors(folder, "best", training.last_epoch(settings))[1:]
    for name, asked in _least_squares(study):
        trained = victims.victim(**asked)
        yield name, asked["seed"], trained["P"], trained["Q"]
    if "SVD" in study.entries:
        U, values, Vt = svds(data.matrix(), k=min(training.bprmf.embedding_dim, min(data.n_users, data.n_items) - 1), random_state=0)
        yield "SVD", first, U * values, Vt.T
    if "MostPopular" in study.entries:
        popular = MostPopular(data)
        yield "MostPopular", first, popular.user_embedding, popular.item_embedding
    for name, (P, Q) in study.factors.items():
        yield name, first, P, Q


def jobs(study: Study) -> list[Job]:
    """Every entry under every threat."""
    return [job for name, seed, P, Q in entries(study) for job in robustness.jobs(name, P, Q, study.data, seed, study.k)]


def report(folders: list[Path]) -> None:
    """Renders leaderboard.csv, report.md, leaderboard.png and leaderboard.html from the results of each data set."""
    for folder in folders:
        rows = leaderboard.tidy(read_results(folder))
        write_csv(folder / "leaderboard.csv", rows[list(leaderboard.COLUMNS)])
        picture = leaderboard.figure(rows)
        write_text(folder / "leaderboard.html", leaderboard.html_page(rows, picture, folder.name))
        page(folder, leaderboard.report(rows, folder.name), {"leaderboard.png": picture}, "leaderboard.csv", "leaderboard.html")


EXPERIMENT = Experiment(robustness.LAYOUT, studies, jobs, report, prepare)
