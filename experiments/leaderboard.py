"""A leaderboard of factors under an ensemble of attacks, in an epsilon that no scale changes."""

import re
import sys
from pathlib import Path
from typing import Any

from advrec_tf import leaderboard
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.runner import Experiment, list_length
from advrec_tf.files import plain_name
from advrec_tf.leaderboard import auditing, doubts
from advrec_tf.leaderboard.board_page import render, report
from advrec_tf.leaderboard.entries import Entry, parse_entry
from advrec_tf.recommenders.alignment import Rows, aligned
from advrec_tf.recommenders.baselines import BASELINES
from advrec_tf.recommenders.importers import Factors, read_factors

from .board_factors import MODELS, RANKED_MODELS, BoardSpec, jobs_by, prepare
from .board_models import Pair
from .multistep import trainings
from .multistep.trainings import TrainingSpec

__all__ = ["EXPERIMENT", "jobs", "render", "report", "specs"]


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[BoardSpec]:
    """Return the spec of each data set.

    Raises UserError for unknown entries, files that cannot be read and factors that do not fit.
    """
    pairs = [_read_own(text) for text in values["factors"]]
    own_factors = dict(pairs)
    taken = dict.fromkeys((*MODELS, *RANKED_MODELS, *BASELINES))
    if len(own_factors) < len(pairs) or set(taken) & set(own_factors):
        raise UserError(f"--factors must have names of their own, and none of {', '.join(taken)}")
    models = (*MODELS, *own_factors)
    asked = [parse_entry(text, models, RANKED_MODELS) for text in values["entries"]]
    asked += [Entry(name) for name in own_factors]
    settings = trainings.settings({**values, "model_selection": ["best"]})
    rows = values["user_rows"], values["item_rows"]
    boards = []
    for data in datasets:
        boards.append(
            BoardSpec(
                data=data,
                output_dir=output_dir,
                seeds=values["seed"],
                entries=list(dict.fromkeys(asked)),
                factors={
                    name: _fitting(name, given, data, rows) for name, given in own_factors.items()
                },
                training=TrainingSpec(data=data, output_dir=output_dir, **settings),
                k=list_length(values, data),
            )
        )
    return boards


def _fitting(name: str, given: Factors, data: Interactions, rows: Rows) -> Pair:
    """Return given factors that fit the data, and say on stderr what is doubtful about them.

    Raises UserError with their name for others.
    """
    try:
        P, Q, _ = auditing.checked(*aligned(given, data, rows), data)
    except UserError as error:
        raise UserError(f"{name}: {error}") from None
    for doubt in doubts.doubts(P, Q, data):
        print(f"advrec: {name}: {doubt}", file=sys.stderr)
    return P, Q


def _read_own(text: str) -> tuple[str, Factors]:
    """Return the name and the factors that one value of --factors says."""
    name, *paths = text.split(":")
    # Such a name would be the label of another entry, or no name of a file.
    reserved = re.fullmatch(rf"({'|'.join(RANKED_MODELS)})-[0-9]+", name)
    if len(paths) not in (1, 2) or not name or "→" in name or reserved:
        raise UserError(f"--factors must be NAME:USERS.npy:ITEMS.npy or NAME:MODEL, not {text!r}")
    return plain_name(name), read_factors(paths)


jobs = jobs_by(leaderboard.jobs)
EXPERIMENT = Experiment(leaderboard.LAYOUT, specs, jobs, report, prepare)
