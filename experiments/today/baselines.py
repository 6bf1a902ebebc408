"""How accurate the recommenders are, beside published numbers, and their learning curves."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.evaluation import mean_interval
from advrec_tf.execution.records import read_record
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results
from advrec_tf.reporting.vocabulary import color_of, markdown, number

from .models import TodaySpec, specs, train
from .published import beside

LAYOUT = Layout(("dataset", "model", "factors", "seed", "epoch", "k"), ("RE", "nDCG", "ICov"))


def jobs(spec: TodaySpec) -> list[Job]:
    """Return a job for each training: its accuracy at the epochs of the learning curve.

    Entries count as the models that they are made from.
    """
    made = []
    for training in spec.trainings:
        shared: dict[str, Any] = {"dataset": spec.data.name, "model": training.name}
        shared |= {"factors": training.digest, "seed": training.seed}
        points = [{**shared, "epoch": n, "k": spec.k} for n in training.measured_epochs]
        arguments = {"trained": training.trained}
        made.append(Job("advrec_tf.leaderboard.trained:accuracy", points, arguments))
    return made


def last_epochs(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of each training's last epoch."""
    return rows[rows["epoch"] == rows.groupby(["model", "seed"])["epoch"].transform("max")]


def comparison(rows: pd.DataFrame, dataset: str) -> pd.DataFrame:
    """Return measured and published accuracy of each model after its last epoch.

    Columns: model, seeds, RE, nDCG, low and high (95% interval of nDCG over seeds), published
    (the model that the numbers are of), published RE and nDCG, difference (of nDCG, relative).
    """
    table = []
    for model, part in last_epochs(rows).groupby("model", sort=False):
        values = part["nDCG"].to_numpy()
        interval = mean_interval(values) if len(values) > 2 else (np.nan, np.nan)
        other = beside(dataset, str(model), int(part["k"].iloc[0]))
        known = (other.model, other.RE, other.nDCG) if other else ("", np.nan, np.nan)
        difference = values.mean() / known[2] - 1
        means = part["RE"].mean(), values.mean()
        table.append((model, len(part), *means, *interval, *known, difference))
    names = ["model", "seeds", "RE", "nDCG", "low", "high", "published", "published_RE"]
    return pd.DataFrame(table, columns=[*names, "published_nDCG", "difference"])


def answer(rows: pd.DataFrame, dataset: str) -> str:
    """Return one sentence a model that stands beside a published number."""
    lines = []
    for row in comparison(rows, dataset).itertuples():
        if row.published:
            far = f"{abs(row.difference):.1%} {'above' if row.difference > 0 else 'below'}"
            other = "" if row.published == row.model else f"{row.published}'s "
            lines.append(
                f"{row.model} has nDCG {number(row.nDCG)}, {far} {other}published "
                f"{number(row.published_nDCG)}."
            )
    best = comparison(rows, dataset).nlargest(1, "nDCG").iloc[0]
    return "\n".join(lines) or f"{best['model']} is the most accurate: nDCG {best['nDCG']:.4f}."


def report(folders: list[Path]) -> None:
    """Write report.md and the learning curves of each data set."""
    for folder in folders:
        rows = read_results(folder, columns=LAYOUT.columns)
        record = read_record(folder / "config.json")
        published = record is not None and record["statistics"]["published"]
        dataset = folder.name if published else ""  # nothing is published on other data
        title = f"# How accurate the recommenders are on {folder.name}\n\n"
        pictures = {"learning.png": figure(rows)}
        page(folder, title + text(rows, dataset), pictures, answer=answer(rows, dataset))


def text(rows: pd.DataFrame, dataset: str) -> str:
    """Return report.md without title and answer."""
    return (
        "All items that a user does not know are ranked. Each model is measured after its last "
        "epoch, which no test item chose.\n\n" + table(rows, dataset)
    )


def table(rows: pd.DataFrame, dataset: str) -> str:
    """Return measured beside published accuracies, a row a model."""
    k, lines = int(rows["k"].iloc[0]), []
    for row in comparison(rows, dataset).itertuples():
        interval = f"[{number(row.low)}, {number(row.high)}]" if row.low == row.low else ""
        known = ["", "", "", ""]
        if row.published:
            numbers = [number(value) for value in (row.published_RE, row.published_nDCG)]
            known = [row.published, *numbers, f"{row.difference:+.1%}"]
        means = [number(row.RE), number(row.nDCG)]
        lines.append([row.model, str(row.seeds), *means, interval, *known])
    header = [
        *("model", "seeds", f"RE@{k}", f"nDCG@{k}", "95% interval over seeds"),
        *("published", f"its RE@{k}", f"its nDCG@{k}", "difference of nDCG"),
    ]
    return markdown(header, lines)


def figure(rows: pd.DataFrame) -> Figure:
    """Plot nDCG over the share of the training, a line a model."""
    made = Figure(figsize=(6, 4), layout="constrained")
    axis = made.subplots()
    for model, part in rows.groupby("model", sort=False):
        curve = part.groupby("epoch")["nDCG"].mean()
        axis.plot(curve.index / curve.index.max(), curve, "o-", color=color_of(model), label=model)
    axis.set_xlabel("share of the epochs")
    axis.set_ylabel(f"nDCG@{int(rows['k'].iloc[0])}")
    axis.legend(fontsize=8, frameon=False)
    return made


EXPERIMENT = Experiment(LAYOUT, specs, jobs, report, train)
