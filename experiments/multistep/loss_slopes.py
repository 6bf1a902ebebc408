"""How the characteristics of the data change what a perturbation costs: pure functions of results."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.errors import UserError
from advrec_tf.execution.results import read_results
from advrec_tf.reporting.vocabulary import BASELINES, markdown

from .labels import FGSM, MODELS, first_selection, select
from .table1_tables import accumulate

CHARACTERISTICS = ("density", "size", "shape")
ATTACKS = {"FGSM": FGSM, "BIM": ("bim", "linf", "zero"), "PGD": ("pgd", "linf", "uniform")}
LOSSES = {
    "rho": "nDCG",
    "rho_RE": "RE",
    "rho_EFD": "EFD",
}  # column -> the metric whose loss it is; the paper's is the first
SHOWN_ITERATIONS = 25  # the paper does not say how many; this is its "elbow"
PAPER_EPSILON = 0.5  # of its Table 1; of Figure 3 it says none
PRINTED = "ml-1m"  # the data set of what is printed, PGD's: rho of BPR-MF by density, and the slopes of rho over density
PUBLISHED_RHO = {0.0507: 43.79, 0.1387: 28.90}
PUBLISHED_SLOPES = {"BPR-MF": -96.10, "AMF": -3.65}


class Fit(NamedTuple):
    """A least-squares line, and the 95% interval of its slope (Student's t, over points taken for independent)."""

    slope: float
    low: float
    high: float
    intercept: float


def paper_epsilon(epsilons: list[float]) -> float:
    """The budget of the paper's Table 1 where it was measured, else the smallest."""
    return PAPER_EPSILON if PAPER_EPSILON in epsilons else min(epsilons)


def losses(rows: pd.DataFrame) -> pd.DataFrame:
    """rho = 100 (nDCG before - nDCG after) / nDCG before of one sub-sample, and the same of other metrics (LOSSES).

    A row for each model, selection, seed, draw, attack, epsilon and number of iterations; FGSM has one, and recommenders that learn next to nothing,
    in the model's place, none.  Beside stand the sub-sample's density, size and shape, and the epochs of its training.
    """
    config, statistics = rows.attrs["config"], rows.attrs["statistics"]
    facts = {"dataset": rows["dataset"].iloc[0]} | {
        name: statistics[name] for name in CHARACTERISTICS
    }
    facts |= {
        "published": statistics.get("published", False),
        "amf_start": config["AMF"]["first_epoch"],
        "epochs": config["epochs"],
    }
    facts["bprmf_epochs"] = config.get("bprmf_epochs", config["epochs"])
    found = []
    rows = rows.assign(draw=rows["draw"].fillna(0).astype(int) if "draw" in rows else 0)
    for model in MODELS:
        before = select(rows, model).set_index(["selection", "seed"])
        after = {label: select(rows, model, attack) for label, attack in ATTACKS.items()}
        for name in BASELINES:
            level = select(rows, name).assign(epsilon=np.nan, iterations=0)
            after[name] = pd.concat(
                [
                    level.assign(selection=selection)
                    for selection in before.index.unique("selection")
                ]
            )
        for label, part in after.items():
            start = before.loc[pd.MultiIndex.from_frame(part[["selection", "seed"]])]
            lost = {
                column: 100 * (1 - part[metric].to_numpy() / start[metric].to_numpy())
                for column, metric in LOSSES.items()
            }
            found.append(
                part[["selection", "epsilon", "seed", "draw", "iterations"]].assign(
                    model=model, attack=label, **lost
                )
            )
    return pd.concat(found, ignore_index=True).assign(**facts)


def losses_of(folder: Path) -> pd.DataFrame:
    """The losses of all sub-samples of one data set and protocol: of every folder <folder>-<k> measured in the setting of the sparsest one.

    Raises UserError where there is none.
    """
    rows = [
        read_results(path.parent) for path in folder.parent.glob(f"{folder.name}-*/results.csv")
    ]
    rows = sorted(
        (each for each in rows if len(each)), key=lambda each: each.attrs["statistics"]["density"]
    )
    if not rows:
        raise UserError(f"{folder}-... is not there: --experiment=characteristics makes it")
    settings = [
        {name: value for name, value in each.attrs["config"].items() if name != "data"}
        for each in rows
    ]
    found = pd.concat(
        [losses(each) for each, own in zip(rows, settings) if own == settings[0]], ignore_index=True
    )
    return found.sort_values(
        ["density", "model", "selection", "attack", "epsilon", "seed", "draw", "iterations"],
        ignore_index=True,
    )


def as_read(losses: pd.DataFrame) -> pd.DataFrame:
    """The losses at the paper's epsilon, of models at their best epoch (or the first selection there is), in which Figure 3 is read."""
    epsilon = paper_epsilon(list(losses["epsilon"].dropna().unique()))
    return first_selection(losses[losses["epsilon"].isin([epsilon, np.nan])])


def shown(losses: pd.DataFrame) -> pd.DataFrame:
    """`as_read`, after SHOWN_ITERATIONS where they were measured, else after the most there are."""
    own = as_read(losses)
    return own[
        (own["iterations"] == shown_iterations(losses)) | ~own["attack"].isin(["BIM", "PGD"])
    ]


def shown_iterations(losses: pd.DataFrame) -> int:
    """How many `shown` shows of attacks that have iterations."""
    measured = set(losses["iterations"])
    return SHOWN_ITERATIONS if SHOWN_ITERATIONS in measured else int(max(measured))


def fit(x: pd.Series, y: pd.Series) -> Fit:
    """The line through points; NaN through less than three."""
    if x.nunique() < 3:
        return Fit(*(np.nan,) * 4)
    line = stats.linregress(x, y)
    half = stats.t.ppf(0.975, len(x) - 2) * line.stderr
    return Fit(line.slope, line.slope - half, line.slope + half, line.intercept)


def slopes(losses: pd.DataFrame) -> pd.DataFrame:
    """The line of rho over each characteristic for each model and attack, through sub-samples' means over seeds; size in millions of pairs."""
    found = []
    for (model, attack), part in losses[losses["attack"].isin(list(ATTACKS))].groupby(
        ["model", "attack"]
    ):
        means = part.groupby(list(CHARACTERISTICS), as_index=False)["rho"].mean()
        means["size"] /= 1e6
        found += [
            (model, attack, name, *fit(means[name], means["rho"])) for name in CHARACTERISTICS
        ]
    return pd.DataFrame(found, columns=["model", "attack", "characteristic", *Fit._fields])


def readings(losses: pd.DataFrame) -> pd.DataFrame:
    """The slope over density of PGD's losses in every reading of what the paper leaves open: selection, epsilon, metric and iterations, which are 0
    for the mean over all of them (the trapezoid rule, as in Table 1)."""
    found = []
    pgd = losses[losses["attack"] == "PGD"]
    for (model, selection, epsilon), part in pgd.groupby(["model", "selection", "epsilon"]):
        for column, metric in LOSSES.items():
            wide = part.pivot_table(index="density", columns="iterations", values=column)
            wide[0] = accumulate(wide.columns, wide.T)
            at = {
                int(n): fit(pd.Series(wide.index), wide[n].reset_index(drop=True))
                for n in sorted(wide.columns)
            }
            found += [(model, selection, epsilon, metric, n, *line) for n, line in at.items()]
    table = pd.DataFrame(
        found, columns=["model", "selection", "epsilon", "metric", "iterations", *Fit._fields]
    )
    return table.assign(published=_of_print(losses))


def _of_print(losses: pd.DataFrame) -> bool:
    return bool(losses["published"].all() and losses["dataset"].str.startswith(f"{PRINTED}-").all())


def nearest_readings(readings: pd.DataFrame) -> dict[str, pd.Series]:
    """The reading in which each model's slope comes nearest to its print, and ("both") the one in which both do, by the sum of relative distances."""
    distance = (readings["slope"] / readings["model"].map(PUBLISHED_SLOPES) - 1).abs()
    own = readings.assign(distance=distance).dropna(subset="distance")
    found = {
        model: part.loc[part["distance"].idxmin()]
        for model, part in own.groupby("model", sort=False)
    }
    sums = own.groupby(["selection", "epsilon", "metric", "iterations"])["distance"].agg(
        ["sum", "count"]
    )
    sums = sums[sums["count"] == len(MODELS)]["sum"]
    if len(sums):
        keys = dict(zip(sums.index.names, sums.idxmin()))
        lines = own[(own[list(keys)] == pd.Series(keys)).all(axis=1)].set_index("model")
        found["both"] = pd.Series(keys | {model: lines.loc[model, "slope"] for model in MODELS})
    return found


def nearest_iterations(losses: pd.DataFrame) -> tuple[int, dict[float, float]]:
    """The number of iterations at which PGD on BPR-MF comes nearest to PUBLISHED_RHO, and rho there at those densities."""
    wide = _wide(losses, "BPR-MF", "PGD").T
    columns = {
        density: min(wide.columns, key=lambda c: abs(c - density)) for density in PUBLISHED_RHO
    }
    distance = sum(
        (wide[column] - PUBLISHED_RHO[density]).abs() for density, column in columns.items()
    )
    best = distance.idxmin()
    return int(best), {
        density: float(wide.loc[best, column]) for density, column in columns.items()
    }


def _wide(losses: pd.DataFrame, model: str, attack: str) -> pd.DataFrame:
    own = as_read(losses)
    return own[(own["model"] == model) & (own["attack"] == attack)].pivot_table(
        index="density", columns="iterations", values="rho"
    )


def ends(losses: pd.DataFrame) -> pd.DataFrame:
    """rho on the sparsest and on the densest sub-sample over the seeds both have, and the slope between them: means with 95% intervals (t)."""
    own, found = shown(losses), []
    for model in MODELS:
        for attack in ATTACKS:
            part = own[(own["model"] == model) & (own["attack"] == attack)]
            wide = part.pivot_table(index="seed", columns="density", values="rho")
            sparse, dense = min(wide.columns), max(wide.columns)
            wide = wide[[sparse, dense]].dropna()
            measured = [wide[sparse], wide[dense], (wide[dense] - wide[sparse]) / (dense - sparse)]
            found.append(
                (
                    model,
                    attack,
                    len(wide),
                    sparse,
                    dense,
                    *(value for each in measured for value in _interval(each)),
                )
            )
    columns = [
        f"{name}{suffix}"
        for name in ("sparse", "dense", "slope")
        for suffix in ("", "_low", "_high")
    ]
    return pd.DataFrame(found, columns=["model", "attack", "seeds", "least", "most", *columns])


def _interval(values: pd.Series) -> tuple[float, float, float]:
    mean, count = values.mean(), len(values)
    half = stats.t.ppf(0.975, count - 1) * values.std(ddof=1) / count**0.5 if count > 1 else np.nan
    return mean, mean - half, mean + half


def _bounded(value: float, low: float, high: float) -> str:
    return f"{value:.2f}" if np.isnan(low) else f"{value:.2f} [{low:.2f}, {high:.2f}]"


def report(losses: pd.DataFrame, readings: pd.DataFrame) -> str:
    """report.md of Figure 3: rho of every sub-sample, slopes, what the print says of them, and what other readings of the paper give."""
    first, own = losses.iloc[0], shown(losses)
    epsilon, iterations = own["epsilon"].dropna().iloc[0], shown_iterations(losses)
    seeds = own.groupby("dataset")["seed"].nunique()
    parts = [
        f"# Figure 3: data characteristics ({first['bprmf_epochs']} epochs of BPR-MF, AMF from {first['amf_start']} to {first['epochs']})\n",
        f"rho: percent of nDCG lost at epsilon {epsilon:g}, BIM and PGD after {iterations} iterations, models at their epoch "
        f"'{own['selection'].iloc[0]}', mean over {' or '.join(map(str, sorted(set(seeds))))} seed(s) and {own['draw'].nunique()} draw(s) of the "
        "attack each.  MostPopular: what it would cost to take the most popular items in the model's "
        "place; an attack beyond that leaves less than no model would.\n",
    ]
    columns = [(model, attack) for model in MODELS for attack in (*ATTACKS, "MostPopular")]
    wide = own.pivot_table(
        index=["dataset", *CHARACTERISTICS], columns=["model", "attack"], values="rho", sort=False
    )[columns]
    lines = [
        [d, f"{y:.4f}", f"{s:,.0f}", f"{h:.3f}", str(seeds[d]), *(f"{v:.2f}" for v in row)]
        for (d, y, s, h), row in wide.iterrows()
    ]
    parts.append(
        markdown(
            ["sub-sample", *CHARACTERISTICS, "seeds", *(f"{m}, {a}" for m, a in columns)], lines
        )
    )
    parts.append(
        "\n## Slopes of rho [95% interval over sub-samples] (size in millions of user-item pairs)\n"
    )
    table = slopes(own).set_index(["model", "attack", "characteristic"])
    lines = [
        [
            m,
            a,
            *(
                _bounded(*table.loc[(m, a, name)][["slope", "low", "high"]])
                for name in CHARACTERISTICS
            ),
        ]
        for m in MODELS
        for a in ATTACKS
    ]
    parts.append(markdown(["model", "attack", *CHARACTERISTICS], lines))
    parts.append(
        "The sub-samples are cut from one data set and lie within each other, so density, size and shape are one finding seen three times, and the "
        "intervals tell how straight the line is rather than what other data would give.\n"
    )
    parts += [_ends_report(losses), readings_report(losses, readings)]
    return "\n".join(parts)


def _ends_report(losses: pd.DataFrame) -> str:
    if losses["density"].nunique() < 2:
        return ""
    table = ends(losses)
    names = [
        ("sparse", "sparse_low", "sparse_high"),
        ("dense", "dense_low", "dense_high"),
        ("slope", "slope_low", "slope_high"),
    ]
    lines = [
        [
            row["model"],
            row["attack"],
            str(row["seeds"]),
            *(_bounded(*row[list(each)]) for each in names),
        ]
        for _, row in table.iterrows()
    ]
    least, most = table.iloc[0][["least", "most"]]
    header = [
        "model",
        "attack",
        "seeds",
        f"rho at {least:.4f}",
        f"rho at {most:.4f}",
        "slope between",
    ]
    return f"\n## From the sparsest to the densest sub-sample [95% interval over seeds]\n\n{markdown(header, lines)}"


def readings_report(losses: pd.DataFrame, readings: pd.DataFrame) -> str:
    """What is printed beside what was measured, as the figure is read and in the nearest reading; nothing where the print is of other data."""
    if not _of_print(losses) or losses["density"].nunique() < 3:
        return ""
    parts = ["\n## The printed slopes of PGD over density\n"]
    table, nearest, lines = (
        slopes(shown(losses)).set_index(["model", "attack", "characteristic"]),
        nearest_readings(readings),
        [],
    )
    for model, printed in PUBLISHED_SLOPES.items():
        line = table.loc[(model, "PGD", "density")]
        verdict = "inside" if line["low"] <= printed <= line["high"] else "outside"
        inside = readings[
            (readings["model"] == model)
            & readings["low"].le(printed)
            & readings["high"].ge(printed)
        ]
        total, best = (readings["model"] == model).sum(), nearest[model]
        near = f"{_bounded(*best[['slope', 'low', 'high']])}: {_described(best)}"
        lines.append(
            [
                model,
                f"{printed:.2f}",
                _bounded(*line[["slope", "low", "high"]]),
                verdict,
                f"{len(inside)} of {total}",
                near,
            ]
        )
    parts.append(
        markdown(
            [
                "model",
                "printed",
                "measured",
                "the print is",
                "readings whose interval holds the print",
                "nearest reading",
            ],
            lines,
        )
    )
    if "both" in nearest:
        both = nearest["both"]
        parts.append(
            f"One reading for both models comes nearest with {' and '.join(f'{both[m]:.2f} ({m})' for m in MODELS)}: {_described(both)}.\n"
        )
    steps, rho = nearest_iterations(losses)
    beside = "; ".join(
        f"{rho[density]:.2f} at density {density} (printed {value:.2f})"
        for density, value in PUBLISHED_RHO.items()
    )
    (least, high), (most, low) = PUBLISHED_RHO.items()
    slopes_there = {
        model: fit(pd.Series(wide.index), wide[steps].reset_index(drop=True))
        for model in MODELS
        for wide in [_wide(losses, model, "PGD")]
    }
    parts.append(
        f"The two losses printed for BPR-MF come nearest after {steps} iterations: {beside}. There the slopes are "
        f"{', '.join(f'{_bounded(*line[:3])} ({model})' for model, line in slopes_there.items())}. The two printed losses alone have the slope "
        f"{(low - high) / (most - least):.1f} between them.\n"
    )
    return "\n".join([*parts, _exchanged(losses)])


def _exchanged(losses: pd.DataFrame) -> str:
    """What is printed of each model beside what was measured of the other, as if the names had been exchanged."""
    own = shown(losses)
    table = slopes(own).set_index(["model", "attack", "characteristic"])
    said = []
    for model, other in (MODELS, MODELS[::-1]):
        line, printed = table.loc[(other, "PGD", "density")], PUBLISHED_SLOPES[model]
        where = "inside" if line["low"] <= printed <= line["high"] else "outside"
        said.append(
            f"{printed:.2f}, printed of {model}, is {where} {other}'s {_bounded(*line[['slope', 'low', 'high']])}"
        )
    pgd = own[own["attack"] == "PGD"].pivot_table(index="model", columns="density", values="rho")
    at = [pgd.columns[np.abs(pgd.columns - density).argmin()] for density in PUBLISHED_RHO]
    rho = "; ".join(
        f"{' and '.join(f'{pgd.loc[model, density]:.2f}' for density in at)} ({model})"
        for model in MODELS
    )
    printed_rho = " and ".join(f"{value:.2f}" for value in PUBLISHED_RHO.values())
    return f"With the models' names exchanged: {'; '.join(said)}. The losses printed of BPR-MF are {printed_rho}; measured: {rho}.\n"


def _described(reading: pd.Series) -> str:
    steps = (
        f"after {reading['iterations']} iterations"
        if reading["iterations"]
        else "mean over the iterations"
    )
    return f"{reading['metric']}, epsilon {reading['epsilon']:g}, {steps}, epoch '{reading['selection']}'"
