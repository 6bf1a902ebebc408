"""An audit of factors that any library has trained."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf import leaderboard
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.inputs import load_datasets
from advrec_tf.execution.records import read_record
from advrec_tf.execution.results import Job
from advrec_tf.execution.runner import Experiment, list_length
from advrec_tf.execution.storage import digest
from advrec_tf.leaderboard import auditing, measuring
from advrec_tf.leaderboard.entries import changed
from advrec_tf.recommenders.alignment import aligned
from advrec_tf.recommenders.importers import Factors, read_factors, save_factors
from advrec_tf.reporting import read_results, read_users


@dataclass(frozen=True, eq=False)
class AuditSpec:
    """The factors of an audit, and the data that they are audited on."""

    data: Interactions
    output_dir: Path
    P: np.ndarray
    Q: np.ndarray
    facts: dict[str, Any]  # of `auditing.facts_of`, and the unit of epsilon
    other: auditing.Pair | None  # of --other

    published = False  # no paper has an audit

    @property
    def config(self) -> dict[str, Any]:
        """What the results depend on, as plain values."""
        return {
            "facts": self.facts,
            "factors": digest({"P": self.P, "Q": self.Q})[:12],
            "other": self.other and digest(dict(zip("PQ", self.other)))[:12],
            "data": self.data.fingerprint,
            "versions": measuring.versions(),
        }


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[AuditSpec]:
    """Return the only spec.

    Raises UserError for factors that cannot be read or do not fit the data.
    """
    if values["user_factors"] is None:
        raise UserError("--user_factors is needed")
    if len(values["seed"]) > 1 or (values["train"] is None and len(values["dataset"]) > 1):
        raise UserError("an audit takes one --dataset and one --seed")
    factors = _given(values)
    audits = []
    for data in datasets:
        rows = values["user_rows"], values["item_rows"]
        P, Q, norm = auditing.checked(*aligned(factors, data, rows), data)
        facts = auditing.facts_of(P, Q, data, norm, list_length(values, data), values["seed"][0])
        other = None
        if values["other"]:
            given = aligned(read_factors(values["other"].split(":")), data, rows)
            other = auditing.another_training((P, Q), given, data)
        facts |= {"unit": values["unit"]}
        audits.append(AuditSpec(data, output_dir, P, Q, facts, other))
    return audits


def _given(values: dict[str, Any]) -> Factors:
    """Return the factors that the flags name."""
    return read_factors([*filter(None, (values["user_factors"], values["item_factors"]))])


def jobs(spec: AuditSpec) -> list[Job]:
    """Return the jobs of `auditing`."""
    return auditing.jobs(spec.P, spec.Q, spec.data, spec.facts, spec.other)


def report(folders: list[Path]) -> None:
    """Render audit.html and its tables, and print the epsilon at which half of nDCG is lost."""
    for folder in folders:
        rows = read_results(folder, columns=leaderboard.LAYOUT.columns)
        facts = rows.attrs["config"]["facts"]
        result = auditing.of_results(facts, rows, read_users(folder))
        print(f"{result.summary}\nKept in {result.save(folder)}")
        _export(folder, result)


def _export(folder: Path, result: auditing.Audit) -> None:
    """Save the variant that keeps most, where --export of the last run asks for it."""
    record = read_record(folder / "config.json") or {}
    flags = record["runs"][-1]["flags"]
    if not flags.get("export"):
        return
    if result.best is None:
        print("No variant keeps more than the factors as they are, so none is saved")
        return
    ((data,), _) = load_datasets(flags)
    P, Q, _ = auditing.checked(
        *aligned(_given(flags), data, (flags["user_rows"], flags["item_rows"])), data
    )
    variants = auditing.variants_of(P.shape[1], flags["seed"][0])
    (entry,) = (each for each in variants if each.label == result.best["entry"])
    save_factors(flags["export"], Factors(*changed(P, Q, entry), data.user_ids, data.item_ids))
    print(f"Saved {entry.label} in {flags['export']}")


EXPERIMENT = Experiment(leaderboard.LAYOUT, specs, jobs, report)
