"""A gate for releases: what changed between two trainings of one model, and whether it may."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution.inputs import load_datasets
from advrec_tf.execution.runner import Page, list_length
from advrec_tf.files import write_text
from advrec_tf.leaderboard import auditing
from advrec_tf.recommenders.alignment import aligned
from advrec_tf.recommenders.importers import read_factors
from advrec_tf.stability.gate import MEASURES, Comparison, compare, parse_bound


def show(values: dict[str, Any]) -> int:
    """Print what changed, write it as JSON, and return 1 if a bound is broken."""
    bounds = tuple(map(parse_bound, values["fail_if"]))
    for flag in ("before", "after"):
        if values[flag] is None:
            raise UserError(f"--{flag} is needed: USERS.npy:ITEMS.npy, or a file with both")
    datasets, skipped = load_datasets(values)
    status = 1 if skipped else 0
    for data in datasets:
        before, after = (_factors(values, flag, data) for flag in ("before", "after"))
        result = compare(before, after, data, list_length(values, data), bounds)
        path = Path(values["output_dir"]) / "compare" / data.name / "compare.json"
        write_text(path, _json(result))
        _print(result, path)
        status = 1 if result.broken else status
    return status


def _factors(
    values: dict[str, Any], flag: str, data: Interactions
) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors that --before or --after names, in the order of the data's ids."""
    try:
        rows = values["user_rows"], values["item_rows"]
        P, Q, _ = auditing.checked(
            *aligned(read_factors(values[flag].split(":")), data, rows), data
        )
    except UserError as error:
        raise UserError(f"--{flag}: {error}") from None
    return P, Q


def _json(result: Comparison) -> str:
    """Return all measures as JSON, null where there is none."""
    frame = result.table.astype(object).where(np.isfinite(result.table), None)
    content = {"measures": frame.to_dict("index"), "broken": result.broken}
    return json.dumps(content, indent=1) + "\n"


def _print(result: Comparison, path: Path) -> None:
    """Print a line for each measure, and the verdict."""
    for name, row in result.table.iterrows():
        ratio = f" ({row['before']:.4f} -> {row['after']:.4f})" if row["before"] >= 0 else ""
        value = f"{row['value']:.4f}" if np.isfinite(row["value"]) else "-"
        print(f"{name:<11}{value:>8}  {MEASURES[str(name)]}{ratio}")
    broken = ", ".join(result.broken)
    print(f"Broken: {broken}" if broken else "No bound is broken")
    print(f"Kept in {path}")


EXPERIMENT = Page(show)
