"""Save the training part and the held-out part of a table, so that any library can use them."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advrec_tf.data import Interactions
from advrec_tf.execution.inputs import load_datasets
from advrec_tf.execution.runner import Page
from advrec_tf.execution.storage import write_csv
from advrec_tf.files import locked


def show(values: dict[str, Any]) -> int:
    """Write <output_dir>/split/<data set>/train.csv and test.csv; return the exit status."""
    datasets, skipped = load_datasets(values)
    for data in datasets:
        folder = Path(values["output_dir"]) / "split" / data.name
        with locked(folder):
            for part in ("train", "test"):
                write_csv(folder / f"{part}.csv", part_of(data, part))
        counts = f"{len(data.train_users):,} train and {len(data.test_users):,} test interactions"
        print(f"{counts}: --train={folder / 'train.csv'} --test={folder / 'test.csv'}")
    return 1 if skipped else 0


def part_of(data: Interactions, part: str) -> pd.DataFrame:
    """Return one part as a table of ids, and ratings and timestamps where they are known."""
    users, items = getattr(data, f"{part}_users"), getattr(data, f"{part}_items")
    frame = pd.DataFrame({"user": data.user_ids[users], "item": data.item_ids[items]})
    for field in ("rating", "timestamp"):
        values = getattr(data, f"{part}_{field}s", None)
        if values is not None:
            frame[field] = np.asarray(values, np.float64)
    return frame


EXPERIMENT = Page(show)
