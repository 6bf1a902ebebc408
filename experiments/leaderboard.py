"""A leaderboard of factors under an ensemble of attacks whose budgets no scale can fake."""

import json
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy.sparse.linalg import svds

from advrec_tf import evaluation, leaderboard, perturbations
from advrec_tf.data import Interactions
from advrec_tf.defenses import measuring
from advrec_tf.errors import UserError
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.records import read_record
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment, Running, list_length
from advrec_tf.execution.storage import write_csv
from advrec_tf.files import write_text
from advrec_tf.leaderboard import auditing, board_page, comparison, front, summary, user_ranks
from advrec_tf.recommenders import (
    MarginMFConfig,
    RecommenderConfig,
    WRMFConfig,
    model_folder,
    selected_factors,
)
from advrec_tf.recommenders.baselines import BASELINES, MostPopular
from advrec_tf.recommenders.importers import read_factors
from advrec_tf.reporting import page, plots, read_results, read_users, web
from advrec_tf.reporting.vocabulary import DEFENDED, EQUAL

from .multistep import trainings
from .multistep.trainings import TrainingSpec

LEAST_SQUARES_EPOCHS = 15
# Regularised least squares (Hu et al. 2008): how many times the dimensions of the models, regularisation, and alpha, the weight of what was
# clicked beside 1.
LEAST_SQUARES = {
    "iALS": (1, 10.0, 1.0),
    "iALS 50": (1, 50.0, 2.0),
    "iALS 100": (1, 100.0, 10.0),
    "wide iALS": (2, 10.0, 1.0),
}
TRAINED = ("BPR-MF", "AMF")
MARGIN = "MarginMF"
TWIN = "rescaled BPR-MF"  # 1000 P and Q / 10, whose lists are the same; not rounded to single precision, which would be other factors
DECOMPOSED = {
    "SVD": None,
    "SVD 16": 16,
    "SVD 128": 128,
}  # the rank of the clicks' truncated SVD, or that of the models
_NAME = re.compile(
    f"(?s)(.*?)(?: at rank ([1-9][0-9]{{0,5}}))?({EQUAL})?"
)  # of whose factors, truncated, and with equal users
ENTRIES = (*TRAINED, TWIN, *LEAST_SQUARES, *DECOMPOSED, "MostPopular", MARGIN)


@dataclass(frozen=True)
class Study:
    """What stands on the leaderboard of one data set."""

    data: Interactions
    output_dir: Path
    seeds: list[int]
    entries: list[str]
    factors: dict[str, tuple[np.ndarray, np.ndarray]]  # of one's own, by name
    training: TrainingSpec
    k: int

    published = False  # no paper has this

    @property
    def asked(self) -> set[str]:
        """Whose factors are needed."""
        return {_parts(name)[0] for name in self.entries}

    @property
    def config(self) -> dict[str, Any]:
        versions = {
            "perturbations": perturbations.VERSION,
            "evaluation": evaluation.VERSION,
            "certificates": evaluation.CERTIFICATES,
        }
        return {
            **self.training.models,
            "k": self.k,
            "versions": versions | {"robustness": leaderboard.VERSION},
            "data": self.data.fingerprint,
        }


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The study of each data set.  Raises UserError for entries that are unknown, files that cannot be read and factors that do not fit."""
    own = dict(_own(text) for text in values["factors"])
    if len(own) < len(values["factors"]) or set(own) & {*ENTRIES, *BASELINES}:
        raise UserError(
            f"--factors must have names of their own, and none of {', '.join(dict.fromkeys((*ENTRIES, *BASELINES)))}"
        )
    unknown = {name for name in values["entries"] if _parts(name)[0] not in {*ENTRIES, *own}}
    if unknown:
        asked = f"{', '.join(ENTRIES)}, or one of these or of --factors at rank N{EQUAL}, or either"
        raise UserError(f"--entries must be of {asked}, not {min(unknown)!r}")
    trained, found = trainings.settings({**values, "model_selection": ["best"]}), []
    for data in datasets:
        fitting = {name: _fitting(name, pair, data) for name, pair in own.items()}
        training = TrainingSpec(data=data, output_dir=output_dir, **trained)
        found.append(
            Study(
                data,
                output_dir,
                values["seed"],
                values["entries"],
                fitting,
                training,
                list_length(values, data),
            )
        )
    return found


def _fitting(
    name: str, pair: tuple[np.ndarray, np.ndarray], data: Interactions
) -> tuple[np.ndarray, np.ndarray]:
    try:
        return auditing.checked(*pair, data)[:2]
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def _own(text: str) -> tuple[str, tuple[np.ndarray, np.ndarray]]:
    name, *paths = text.split(":")
    if (
        len(paths) not in (1, 2)
        or not re.fullmatch(r"[^/\\]{1,80}", name)
        or _parts(name)[0] != name
    ):
        raise UserError(f"--factors must be NAME:USERS.npy:ITEMS.npy or NAME:MODEL, not {text!r}")
    return name, read_factors(paths)


def prepare(study: Study, how: Running) -> Stages:
    """Trains what is to be trained."""
    names = (
        TRAINED if "AMF" in study.asked else TRAINED[:1] if {"BPR-MF", TWIN} & study.asked else ()
    )
    first, then = trainings.train(study.training, how, names)
    yield first + [
        Task("advrec_tf.defenses.measuring:train_or_load", arguments)
        for _, arguments in _trained_whole(study)
    ]
    yield then


def _trained_whole(study: Study) -> Iterator[tuple[str, dict[str, Any]]]:
    """Entries that are trained to their last epoch, each with the arguments of `measuring.train_or_load`."""
    dim, folder = (
        study.training.bprmf.embedding_dim,
        study.output_dir / "models" / study.data.name / "whole",
    )
    margin = MarginMFConfig(min(dim, MarginMFConfig.embedding_dim))
    whole: dict[str, tuple[RecommenderConfig, int]] = {MARGIN: (margin, margin.epochs)}
    for name, (times, regularization, alpha) in LEAST_SQUARES.items():
        whole[name] = (
            WRMFConfig(times * dim, solver="als", regularization=regularization, weight=1 + alpha),
            LEAST_SQUARES_EPOCHS,
        )
    for name, (settings, epochs) in whole.items():
        for seed in study.seeds if name in study.asked else ():
            yield (
                name,
                {
                    "data": study.data,
                    "settings": settings,
                    "epochs": epochs,
                    "folder": folder,
                    "seed": seed,
                },
            )


def _parts(entry: str) -> tuple[str, int | None, bool]:
    """Whose factors an entry has, the rank they are truncated to, if they are, and whether users are equal."""
    name, rank, equal = _NAME.fullmatch(entry).groups()
    return name, int(rank) if rank else None, bool(equal)


def entries(study: Study) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    """Every entry: its name, seed, P and Q.  What no seed matters to has the first."""
    for name, seed, P, Q in _factors(study):
        for entry in dict.fromkeys((*study.entries, *study.factors)):
            of, rank, equal = _parts(entry)
            if of == name:
                yield entry, seed, *_modified(P, Q, rank, equal)


def _modified(
    P: np.ndarray, Q: np.ndarray, rank: int | None, equal: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Users are equal before they are truncated, so that all of them count alike, and after."""
    if equal:
        P, Q = perturbations.normalize_users(P, Q)
    if rank:
        P, Q = perturbations.truncate(P, Q, rank)
    return perturbations.normalize_users(P, Q) if rank and equal else (P, Q)


def _factors(study: Study) -> Iterator[tuple[str, int, np.ndarray, np.ndarray]]:
    data, training, first = study.data, study.training, study.seeds[0]
    for name, settings in (
        ("BPR-MF", training.bprmf),
        ("AMF", training.amf),
        (TWIN, training.bprmf),
    ):
        for seed in study.seeds if name in study.asked else ():
            folder = model_folder(study.output_dir / "models", data, settings, seed)
            P, Q = selected_factors(folder, "best", training.last_epoch(settings))[1:]
            yield (
                name,
                seed,
                *((1000 * np.float64(P), np.float64(Q) / 10) if name == TWIN else (P, Q)),
            )
    for name, arguments in _trained_whole(study):
        trained = measuring.train_or_load(**arguments)
        yield name, arguments["seed"], trained["P"], trained["Q"]
    for name in (each for each in DECOMPOSED if each in study.asked):
        rank = DECOMPOSED[name] or training.bprmf.embedding_dim
        U, values, Vt = svds(
            data.matrix(), k=min(rank, min(data.n_users, data.n_items) - 1), random_state=0
        )
        yield name, first, U * values, Vt.T
    if "MostPopular" in study.asked:
        popular = MostPopular(data)
        yield "MostPopular", first, popular.user_embedding, popular.item_embedding
    for name, (P, Q) in study.factors.items():
        yield name, first, P, Q


def jobs(study: Study) -> list[Job]:
    """Every entry under every threat."""
    return [
        job
        for name, seed, P, Q in entries(study)
        for job in leaderboard.jobs(name, P, Q, study.data, seed, study.k)
    ]


def report(folders: list[Path]) -> None:
    """Write the leaderboard's tables and a JSON for each entry, and render the pages from there.

    leaderboard.csv; worst.csv, which has more columns; tests.csv of the entry that is compared;
    groups.csv of users; users.npz with every tested user's rank.
    """
    for folder in folders:
        measured, left_out = summary.complete(read_results(folder))
        for name in left_out:
            print(
                f"advrec: {name} is left out of the leaderboard: its measuring has not ended",
                file=sys.stderr,
            )
        kept = read_users(folder)
        board = user_ranks.Board(_specified(summary.tidy(measured, kept)), summary.quarters(kept))
        rows = board.rows
        config = read_record(folder / "config.json") or {}
        tables = {
            "leaderboard": rows[list(summary.COLUMNS)],
            "worst": rows[[*summary.DETAILS, *summary.SPEC]],
            "tests": comparison.compared(rows, DEFENDED),
            "groups": front.protected(*board),
        }
        for name, table in tables.items():
            write_csv(folder / f"{name}.csv", table)
        _write_users(folder, board)
        _write_records(folder / "entries", board_page.records(rows, config))
        render(folder, DEFENDED)


def _specified(rows: pd.DataFrame) -> pd.DataFrame:
    """Add SPEC, what --entries says of each entry, as columns."""
    specs = pd.DataFrame([_parts(entry) for entry in rows["entry"]], rows.index, summary.SPEC)
    return pd.concat([rows, specs], axis=1)


def _write_users(folder: Path, board: user_ranks.Board) -> None:
    """Write users' ranks where each user has one test item, which is where there are certificates."""
    one_item = board.rows["certified_nDCG"].notna().any()
    if one_item and board.rows["k"].max() <= user_ranks.MOST:
        user_ranks.write_users(folder, board)


def _write_records(folder: Path, records: dict[str, dict[str, Any]]) -> None:
    """Write a JSON for each entry, and remove those whose name has changed."""
    for path in folder.glob("*.json"):
        if path.stem not in records:
            path.unlink()
    for name, record in records.items():
        write_text(folder / f"{name}.json", json.dumps(record, indent=1) + "\n")


def render(folder: Path, compared: str | None = None) -> None:
    """Render report.md, leaderboard.html and the pictures from worst.csv, tests.csv and groups.csv.

    Raises UserError where tests.csv is about another entry than `compared`.
    """
    rows, tests, groups = (
        read_results(folder, f"{name}.csv") for name in ("worst", "tests", "groups")
    )
    first = []
    if len(tests):
        comparison.entry_of(tests, compared)
        first = [comparison.summary(rows, tests)]
    if older := summary.older(read_record(folder / "config.json")):
        first.append(older)
    pictures = {"leaderboard.png": board_page.figure(rows), "front.png": front.front_figure(rows)}
    if len(groups):
        pictures["groups.png"] = front.groups_figure(groups, rows)
    tables = front.tables(rows, tests) + front.tables_of_groups(groups)
    text = summary.report(rows, folder.name, first) + "".join(each.markdown for each in tables)
    for name, picture in pictures.items():
        plots.save_figure(picture, folder / name)
    image, pareto = ((folder / f"{name}.png").read_bytes() for name in ("leaderboard", "front"))
    parts = [web.picture(pareto, front.ALT)]
    for each in tables:
        parts.append(web.section(each.title, each.table, str, each.table.index.name or "entry"))
        parts.append(web.paragraph(each.note))
    write_text(
        folder / "leaderboard.html", board_page.html_page(rows, image, folder.name, first, parts)
    )
    files = (
        "leaderboard.csv",
        "worst.csv",
        "tests.csv",
        "groups.csv",
        "leaderboard.html",
        "entries",
    )
    page(folder, text, None, *files, *pictures)


EXPERIMENT = Experiment(leaderboard.LAYOUT, studies, jobs, report, prepare)
