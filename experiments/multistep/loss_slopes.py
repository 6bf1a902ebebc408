"""Relative losses of metrics on sub-samples, and their slopes over characteristics of the data."""

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.errors import UserError
from advrec_tf.evaluation import mean_interval
from advrec_tf.execution.results import read_results
from advrec_tf.reporting.vocabulary import BASELINES

from . import paper
from .labels import BIM, FGSM, MODELS, PGD, first_selection, numbered_draws, select
from .table1_tables import accumulate

CHARACTERISTICS = ("density", "size", "shape")
SCALES = {"density": 1, "size": 1e6, "shape": 1}  # slopes over size are per million pairs
ATTACKS = {"FGSM": FGSM, "BIM": BIM, "PGD": PGD}
# Column -> the metric whose relative loss it is.  The paper shows the first.
LOSSES = {"relative_loss": "nDCG", "relative_loss_RE": "RE", "relative_loss_EFD": "EFD"}
SHOWN_ITERATIONS = 25  # the "elbow" of Figure 1; the paper gives no number for Figure 3
PAPER_EPSILON = 0.5  # of Table 1; the paper gives none for Figure 3
READING = ["selection", "epsilon", "metric", "iterations"]  # what the paper leaves open


class Fit(NamedTuple):
    """A least-squares line, and Student's 95% interval of its slope over independent points."""

    slope: float
    low: float
    high: float
    intercept: float


def paper_epsilon(epsilons: list[float]) -> float:
    """Return the paper's epsilon if it was measured, or else the smallest."""
    return PAPER_EPSILON if PAPER_EPSILON in epsilons else min(epsilons)


def losses(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the relative losses 100 (clean - attacked) / clean on one sub-sample, in percent.

    Columns: selection, epsilon, seed, draw, iterations, model, attack, those of LOSSES, and facts
    that all rows share (`_facts`). Attacks are ATTACKS, and BASELINES in the place of the model.
    FGSM has 1 iteration, and baselines have 0.
    """
    rows, tables = numbered_draws(rows), []
    for model in MODELS:
        clean = select(rows, model).set_index(["selection", "seed"])
        attacked = {label: select(rows, model, attack) for label, attack in ATTACKS.items()}
        for name in BASELINES:
            level = select(rows, name).assign(epsilon=np.nan, iterations=0)
            selections = clean.index.unique("selection")
            attacked[name] = pd.concat([level.assign(selection=value) for value in selections])
        for label, part in attacked.items():
            before = clean.loc[pd.MultiIndex.from_frame(part[["selection", "seed"]])]
            table = part[["selection", "epsilon", "seed", "draw", "iterations"]]
            table = table.assign(model=model, attack=label)
            for column, metric in LOSSES.items():
                table[column] = 100 * (1 - part[metric].to_numpy() / before[metric].to_numpy())
            tables.append(table)
    return pd.concat(tables, ignore_index=True).assign(**_facts(rows))


def _facts(rows: pd.DataFrame) -> dict[str, Any]:
    """Return the sub-sample's name and characteristics, and the epochs of its training."""
    config, statistics = rows.attrs["config"], rows.attrs["statistics"]
    return {
        "dataset": rows["dataset"].iloc[0],
        **{name: statistics[name] for name in CHARACTERISTICS},
        "published": statistics.get("published", False),
        "amf_start": config["AMF"]["first_epoch"],
        "epochs": config["epochs"],
        "bprmf_epochs": config.get("bprmf_epochs", config["epochs"]),
    }


def losses_of(folder: Path) -> pd.DataFrame:
    """Return `losses` of all folders <folder>-<k> that have the config of the sparsest one.

    folder: the results of <data set>-<protocol>. Raises UserError if there are none.
    """
    paths = folder.parent.glob(f"{folder.name}-*/results.csv")
    tables = [rows for rows in (read_results(path.parent) for path in paths) if len(rows)]
    if not tables:
        raise UserError(f"{folder}-* holds no results: run --experiment=characteristics")
    tables.sort(key=lambda rows: rows.attrs["statistics"]["density"])
    configs = [{**rows.attrs["config"], "data": None} for rows in tables]
    same = [losses(rows) for rows, config in zip(tables, configs) if config == configs[0]]
    order = ["density", "model", "selection", "attack", "epsilon", "seed", "draw", "iterations"]
    return pd.concat(same, ignore_index=True).sort_values(order, ignore_index=True)


def as_read(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the losses at the paper's epsilon, of the models that `first_selection` selects."""
    epsilon = paper_epsilon(list(losses["epsilon"].dropna().unique()))
    return first_selection(losses[losses["epsilon"].isin([epsilon, np.nan])])


def shown(losses: pd.DataFrame) -> pd.DataFrame:
    """Return what Figure 3 shows: `as_read`, after `shown_iterations`."""
    read = as_read(losses)
    at_end = read["iterations"] == shown_iterations(losses)
    return read[at_end | ~read["attack"].isin(["BIM", "PGD"])]


def shown_iterations(losses: pd.DataFrame) -> int:
    """Return SHOWN_ITERATIONS if they were measured, or else the most that were."""
    measured = set(losses["iterations"])
    return SHOWN_ITERATIONS if SHOWN_ITERATIONS in measured else int(max(measured))


def fit(x: pd.Series, y: pd.Series) -> Fit:
    """Return the line through points, of NaN for fewer than three different x."""
    if x.nunique() < 3:
        return Fit(np.nan, np.nan, np.nan, np.nan)
    line = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * line.stderr
    return Fit(line.slope, line.slope - half, line.slope + half, line.intercept)


def slopes(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the lines of the relative nDCG loss over each characteristic, size in SCALES.

    Points are the sub-samples' means. Columns: model, attack, characteristic, and those of Fit.
    """
    lines = []
    attacked = losses[losses["attack"].isin(list(ATTACKS))]
    for (model, attack), part in attacked.groupby(["model", "attack"]):
        means = part.groupby(list(CHARACTERISTICS), as_index=False)["relative_loss"].mean()
        for name in CHARACTERISTICS:
            line = fit(means[name] / SCALES[name], means["relative_loss"])
            lines.append((model, attack, name, *line))
    return pd.DataFrame(lines, columns=["model", "attack", "characteristic", *Fit._fields])


def density_slopes(losses: pd.DataFrame) -> dict[str, pd.Series]:
    """Return each model's line of `slopes` under PGD over density, as Figure 3 shows it."""
    table = slopes(shown(losses))
    table = table[(table["attack"] == "PGD") & (table["characteristic"] == "density")]
    return {model: line for model, line in table.set_index("model").iterrows()}


def readings(losses: pd.DataFrame) -> pd.DataFrame:
    """Return PGD's slopes over density in every READING of what the paper leaves open.

    iterations: 0 for the mean over all of them, by the trapezoid rule as in Table 1. Columns:
    model, those of READING and Fit, and whether the published slopes are of the same data.
    """
    lines = []
    pgd = losses[losses["attack"] == "PGD"]
    for (model, selection, epsilon), part in pgd.groupby(["model", "selection", "epsilon"]):
        for column, metric in LOSSES.items():
            wide = part.pivot_table(index="density", columns="iterations", values=column)
            wide[0] = accumulate(wide.columns, wide.T)
            for n in sorted(wide.columns):
                line = fit(pd.Series(wide.index), wide[n].reset_index(drop=True))
                lines.append((model, selection, epsilon, metric, int(n), *line))
    table = pd.DataFrame(lines, columns=["model", *READING, *Fit._fields])
    return table.assign(published=of_published_data(losses))


def of_published_data(losses: pd.DataFrame) -> bool:
    """Return whether the losses are of the data and the setting of the published numbers."""
    sub_samples = losses["dataset"].str.startswith(f"{paper.CHARACTERISTICS_DATA}-")
    return bool(losses["published"].all() and sub_samples.all())


def nearest_readings(readings: pd.DataFrame) -> dict[str, pd.Series]:
    """Return the reading in which each model's slope is nearest to the published one.

    "both": the reading with the smallest sum of the models' relative distances, and their slopes.
    """
    published = readings["model"].map(paper.SLOPES)
    distances = readings.assign(distance=(readings["slope"] / published - 1).abs())
    distances = distances.dropna(subset="distance")
    nearest = {}
    for model, part in distances.groupby("model", sort=False):
        nearest[model] = part.loc[part["distance"].idxmin()]
    sums = distances.groupby(READING)["distance"].agg(["sum", "count"])
    sums = sums[sums["count"] == len(MODELS)]["sum"]
    if len(sums):
        keys = pd.Series(dict(zip(READING, sums.idxmin())))
        lines = distances[(distances[READING] == keys).all(axis=1)].set_index("model")["slope"]
        nearest["both"] = pd.concat([keys, lines[list(MODELS)]])
    return nearest


def pgd_losses(losses: pd.DataFrame, model: str) -> pd.DataFrame:
    """Return the relative nDCG losses to PGD [density, iterations], means over seeds and draws."""
    read = as_read(losses)
    read = read[(read["model"] == model) & (read["attack"] == "PGD")]
    return read.pivot_table(index="density", columns="iterations", values="relative_loss")


def nearest_iterations(losses: pd.DataFrame) -> tuple[int, dict[float, float]]:
    """Return the iterations after which BPR-MF's losses are nearest to the published ones.

    The second part maps the published densities to the losses measured there.
    """
    wide = pgd_losses(losses, "BPR-MF")
    measured = {density: at_density(wide, density) for density in paper.LOSSES}
    distance = sum((measured[density] - loss).abs() for density, loss in paper.LOSSES.items())
    best = distance.idxmin()
    return int(best), {density: float(row[best]) for density, row in measured.items()}


def at_density(table: pd.DataFrame, density: float) -> pd.Series:
    """Return the row of a table whose index, the density, is nearest."""
    return table.iloc[np.abs(table.index - density).argmin()]


def ends(losses: pd.DataFrame) -> pd.DataFrame:
    """Return the losses on the sparsest and the densest sub-sample, and the slope between them.

    Means over the seeds that both have, with Student's 95% intervals over seeds. Columns: model,
    attack, seeds, least and most (the densities), and sparse, dense and slope with _low and _high.
    """
    rows, lines = shown(losses), []
    for model in MODELS:
        for attack in ATTACKS:
            part = rows[(rows["model"] == model) & (rows["attack"] == attack)]
            wide = part.pivot_table(index="seed", columns="density", values="relative_loss")
            least, most = min(wide.columns), max(wide.columns)
            wide = wide[[least, most]].dropna()
            slope = (wide[most] - wide[least]) / (most - least)
            line = [model, attack, len(wide), least, most]
            for values in (wide[least], wide[most], slope):
                line += [values.mean(), *mean_interval(values)]
            lines.append(line)
    columns = ["model", "attack", "seeds", "least", "most"]
    for name in ("sparse", "dense", "slope"):
        columns += [name, f"{name}_low", f"{name}_high"]
    return pd.DataFrame(lines, columns=columns)
