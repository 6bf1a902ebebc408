"""The page of Figure 3: relative losses, slopes, and readings beside the published numbers."""

import numpy as np
import pandas as pd

from advrec_tf.reporting.vocabulary import markdown

from . import paper
from .labels import MODELS
from .loss_slopes import (
    ATTACKS,
    CHARACTERISTICS,
    at_density,
    density_slopes,
    ends,
    fit,
    nearest_iterations,
    nearest_readings,
    of_published_data,
    pgd_losses,
    shown,
    shown_iterations,
    slopes,
)


def _bounded(line: pd.Series, name: str = "slope", low: str = "low", high: str = "high") -> str:
    """Return a field of a row with the interval that two others hold, if any."""
    value = f"{line[name]:.2f}"
    return value if np.isnan(line[low]) else f"{value} [{line[low]:.2f}, {line[high]:.2f}]"


def characteristics_report(losses: pd.DataFrame, readings: pd.DataFrame) -> str:
    """Return the page of Figure 3.

    losses: of `loss_slopes.losses_of`.  readings: of `loss_slopes.readings`.
    """
    parts = [_setting(losses), _losses_table(losses), _slopes_table(losses)]
    return "\n".join([*parts, _ends_table(losses), readings_report(losses, readings)])


def _setting(losses: pd.DataFrame) -> str:
    """Return the page's title and the sentence on trainings, epsilon, iterations and seeds."""
    first, rows = losses.iloc[0], shown(losses)
    trained = f"{first['bprmf_epochs']} epochs of BPR-MF, AMF from {first['amf_start']}"
    epsilon, iterations = rows["epsilon"].dropna().iloc[0], shown_iterations(losses)
    counts = sorted(set(rows.groupby("dataset")["seed"].nunique()))
    return (
        f"# Figure 3: data characteristics ({trained} to {first['epochs']})\n\n"
        f"Relative nDCG loss in percent at epsilon {epsilon:g}, BIM and PGD after {iterations} "
        f"iterations, models at their epoch '{rows['selection'].iloc[0]}', mean over "
        f"{' or '.join(map(str, counts))} seed(s) and {rows['draw'].nunique()} draw(s) of the "
        "attack each.  MostPopular: what it would cost to take the most popular items in the "
        "model's place; an attack beyond that leaves less than no model would.\n"
    )


def _losses_table(losses: pd.DataFrame) -> str:
    """Return a table of each sub-sample's characteristics and relative nDCG losses in percent."""
    rows = shown(losses)
    seeds = rows.groupby("dataset")["seed"].nunique()
    columns = [(model, attack) for model in MODELS for attack in (*ATTACKS, "MostPopular")]
    index = ["dataset", *CHARACTERISTICS]
    wide = rows.pivot_table("relative_loss", index, ["model", "attack"], sort=False)[columns]
    lines = []
    for (dataset, density, size, shape), values in wide.iterrows():
        facts = [dataset, f"{density:.4f}", f"{size:,.0f}", f"{shape:.3f}", str(seeds[dataset])]
        lines.append([*facts, *(f"{value:.2f}" for value in values)])
    names = [f"{model}, {attack}" for model, attack in columns]
    return markdown(["sub-sample", *CHARACTERISTICS, "seeds", *names], lines)


def _slopes_table(losses: pd.DataFrame) -> str:
    """Return a table of the slopes of the losses over each characteristic, with intervals."""
    table = slopes(shown(losses)).set_index(["model", "attack", "characteristic"])
    lines = []
    for model in MODELS:
        for attack in ATTACKS:
            texts = [_bounded(table.loc[(model, attack, name)]) for name in CHARACTERISTICS]
            lines.append([model, attack, *texts])
    return (
        "\n## Slopes of the relative nDCG loss [95% interval over sub-samples] "
        "(size in millions of user-item pairs)\n\n"
        f"{markdown(['model', 'attack', *CHARACTERISTICS], lines)}\n"
        "The sub-samples are cut from one data set and lie within each other, so density, size and "
        "shape are one finding seen three times, and the intervals tell how straight the line is "
        "rather than what other data would give.\n"
    )


def _ends_table(losses: pd.DataFrame) -> str:
    """Return a table of losses on the sparsest and densest sub-sample, "" if there is one."""
    if losses["density"].nunique() < 2:
        return ""
    table = ends(losses)
    lines = []
    for _, row in table.iterrows():
        names = ("sparse", "dense", "slope")
        texts = [_bounded(row, name, f"{name}_low", f"{name}_high") for name in names]
        lines.append([row["model"], row["attack"], str(row["seeds"]), *texts])
    losses_at = [f"loss at {density:.4f}" for density in table.iloc[0][["least", "most"]]]
    header = ["model", "attack", "seeds", *losses_at, "slope between"]
    title = "From the sparsest to the densest sub-sample [95% interval over seeds]"
    return f"\n## {title}\n\n{markdown(header, lines)}"


def readings_report(losses: pd.DataFrame, readings: pd.DataFrame) -> str:
    """Return the published numbers beside the measured ones and those of the nearest reading.

    A reading is a choice of epoch, epsilon and iterations, which the paper leaves open.
    "" where the published numbers are of other data, and for fewer than three densities.
    """
    if not of_published_data(losses) or losses["density"].nunique() < 3:
        return ""
    parts = ["\n## The published slopes of PGD over density\n", _readings_table(losses, readings)]
    both = nearest_readings(readings).get("both")
    if both is not None:
        slopes_of_both = " and ".join(f"{both[model]:.2f} ({model})" for model in MODELS)
        parts.append(
            f"One reading for both models comes nearest with {slopes_of_both}: "
            f"{_described(both)}.\n"
        )
    return "\n".join([*parts, _at_published_densities(losses), _models_exchanged(losses)])


def _readings_table(losses: pd.DataFrame, readings: pd.DataFrame) -> str:
    """Return a table of the published slopes over density beside the measured and nearest ones."""
    measured, nearest = density_slopes(losses), nearest_readings(readings)
    lines = []
    for model, slope in paper.SLOPES.items():
        of_model = readings[readings["model"] == model]
        inside = of_model["low"].le(slope) & of_model["high"].ge(slope)
        near = f"{_bounded(nearest[model])}: {_described(nearest[model])}"
        verdict = _where(slope, measured[model])
        counts = f"{inside.sum()} of {len(of_model)}"
        lines.append([model, f"{slope:.2f}", _bounded(measured[model]), verdict, counts, near])
    header = ["model", "published", "measured", "the published slope is"]
    header += ["readings whose interval holds the published slope", "nearest reading"]
    return markdown(header, lines)


def _where(slope: float, line: pd.Series) -> str:
    """Return whether a slope is inside the interval of a line."""
    return "inside" if line["low"] <= slope <= line["high"] else "outside"


def _at_published_densities(losses: pd.DataFrame) -> str:
    """Return a sentence on the two published losses and the nearest iteration count."""
    steps, measured = nearest_iterations(losses)
    texts = []
    for density, loss in paper.LOSSES.items():
        texts.append(f"{measured[density]:.2f} at density {density} (published {loss:.2f})")
    lines = []
    for model in MODELS:
        wide = pgd_losses(losses, model)
        line = fit(pd.Series(wide.index), wide[steps].reset_index(drop=True))
        lines.append(f"{_bounded(pd.Series(line._asdict()))} ({model})")
    (least, high), (most, low) = paper.LOSSES.items()
    return (
        f"The two losses published for BPR-MF come nearest after {steps} iterations: "
        f"{'; '.join(texts)}. There the slopes are {', '.join(lines)}. The two published losses "
        f"alone have the slope {(low - high) / (most - least):.1f} between them.\n"
    )


def _models_exchanged(losses: pd.DataFrame) -> str:
    """Compare what is published of each model with what was measured of the other one."""
    measured = density_slopes(losses)
    texts = []
    for model, other in zip(MODELS, reversed(MODELS)):
        slope, line = paper.SLOPES[model], measured[other]
        where = _where(slope, line)
        texts.append(f"{slope:.2f}, published of {model}, is {where} {other}'s {_bounded(line)}")
    pgd = shown(losses)
    pgd = pgd[pgd["attack"] == "PGD"].pivot_table("relative_loss", "density", "model")
    at_densities = [at_density(pgd, density) for density in paper.LOSSES]
    values = []
    for model in MODELS:
        values.append(f"{' and '.join(f'{row[model]:.2f}' for row in at_densities)} ({model})")
    published = " and ".join(f"{loss:.2f}" for loss in paper.LOSSES.values())
    return (
        f"With the models' names exchanged: {'; '.join(texts)}. The losses published of BPR-MF are "
        f"{published}; measured: {'; '.join(values)}.\n"
    )


def _described(reading: pd.Series) -> str:
    """Return the fields of a reading in words."""
    steps = f"after {reading['iterations']} iterations"
    steps = steps if reading["iterations"] else "mean over the iterations"
    setting = f"{reading['metric']}, epsilon {reading['epsilon']:g}, {steps}"
    return f"{setting}, epoch '{reading['selection']}'"
