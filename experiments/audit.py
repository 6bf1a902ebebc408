"""An audit of factors that any library has trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf import evaluation, leaderboard, perturbations
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment, list_length
from advrec_tf.execution.storage import digest, load_matrix
from advrec_tf.leaderboard import auditing
from advrec_tf.leaderboard.audit import facts_of, of_results
from advrec_tf.reporting import read_results, read_users


@dataclass(frozen=True, eq=False)
class Study:
    """The factors and what they are audited on."""

    data: Interactions
    output_dir: Path
    P: np.ndarray
    Q: np.ndarray
    norm: float
    k: int
    seed: int
    budget: str

    published = False  # the papers audit nothing

    @property
    def config(self) -> dict[str, Any]:
        facts = facts_of(self.P, self.Q, self.data, self.norm, self.k, self.seed, self.budget)
        versions = {
            "perturbations": perturbations.VERSION,
            "evaluation": evaluation.VERSION,
            "certificates": evaluation.CERTIFICATES,
        }
        versions |= {"robustness": leaderboard.VERSION}
        return {
            "facts": facts,
            "factors": digest({"P": self.P, "Q": self.Q})[:12],
            "data": self.data.fingerprint,
            "versions": versions,
        }


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The one study.  Raises UserError for factors that cannot be read or do not fit the data."""
    for name in ("user_factors", "item_factors"):
        if values[name] is None:
            raise UserError(f"--{name} is needed")
    if len(values["seed"]) > 1 or (values["train"] is None and len(values["dataset"]) > 1):
        raise UserError("an audit takes one --dataset and one --seed")
    P, Q = load_matrix(values["user_factors"]), load_matrix(values["item_factors"])
    found = []
    for data in datasets:
        own = (
            auditing.align(P, values["user_rows"], data.user_ids, "user"),
            auditing.align(Q, values["item_rows"], data.item_ids, "item"),
        )
        k = list_length(values, data)
        found.append(
            Study(
                data,
                output_dir,
                *auditing.checked(*own, data),
                k,
                values["seed"][0],
                values["budget"],
            )
        )
    return found


def jobs(study: Study) -> list[Job]:
    """Everything that `auditing` measures."""
    return auditing.jobs(study.P, study.Q, study.data, study.k, study.seed, study.budget)


def report(folders: list[Path]) -> None:
    """Renders audit.html and its tables, and prints the budget at which half of nDCG is gone."""
    for folder in folders:
        rows = read_results(folder)
        result = of_results(rows.attrs["config"]["facts"], rows, read_users(folder))
        print(f"{result.summary}\nKept in {result.save(folder)}")


EXPERIMENT = Experiment(leaderboard.LAYOUT, studies, jobs, report)
