"""Figures from results; nothing here measures anything."""

import io
from itertools import cycle
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from advrec_tf.files import replacing
from advrec_tf.reporting import curves, detection, projected
from advrec_tf.reporting.vocabulary import BASELINES, CERTIFICATES, FGSM, MODELS, STYLES, color_of, label_of, multi_step, plain, select

DPI = 150  # of pictures that are saved
Where: TypeAlias = Literal["outside upper center", "outside lower center"]


def panels(rows: int, columns: int, sharex: bool | Literal["col"] = True) -> tuple[Figure, np.ndarray]:
    """A figure of this house's size and manner, and its axes [rows, columns]."""
    figure = Figure(figsize=(4.2 * columns, 2.7 * rows + 0.5), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False, sharex=sharex)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
    return figure, axes


def legend(figure: Figure, axes: np.ndarray, where: Where = "outside upper center", columns: int = 6, size: int = 8) -> None:
    """One legend for all panels, of what is drawn in any of them."""
    entries = {label: handle for axis in axes.flat for handle, label in zip(*axis.get_legend_handles_labels())}
    shown = figure.legend(list(entries.values()), list(entries), loc=where, ncols=columns, fontsize=size, frameon=False)
    for text in shown.get_texts():
        text.set_parse_math(False)  # names are anyone's


def _line(axis: Axes, value: float, label: str, style: str = "--") -> None:
    """A level across a panel, if there is one."""
    if value == value:
        axis.axhline(value, color=color_of(label.removesuffix(" at .5")), linestyle=style, linewidth=1, label=label)


def baselines(axis: Axes, rows: pd.DataFrame, column: str) -> None:
    """What recommenders that learn next to nothing, and nothing, reach in a column, as levels."""
    for name, label in zip(BASELINES, ("most popular", "random")):
        _line(axis, rows.loc[rows["model"] == name, column].mean(), label, ":")


def bars(axis: Axes, places, part: pd.DataFrame, label: str, width: float = 0.7, color: str | None = None) -> None:
    """Means with deviations as bars, and the published values, where there are any, as marks."""
    axis.bar(places, part["mean"], width, yerr=part["sd"].fillna(0), color=color, label=label, error_kw={"linewidth": 0.8})
    printed = part["published"].notna().to_numpy()
    if printed.any():
        axis.plot(np.asarray(places)[printed], part["published"][printed], "D", color=color_of("published"), markersize=4, label="published")


def png(figure: Figure) -> bytes:
    """A figure as the bytes of a PNG file."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=DPI, bbox_inches="tight")
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Writes a figure as PNG at once."""
    with replacing(path) as temporary:
        temporary.write_bytes(png(figure))


def _curve(axis: Axes, points: pd.DataFrame, label: str, style: str = "-") -> None:
    if len(points):
        axis.plot(points.index, points["mean"], style, color=color_of(label), label=label, markersize=3)
        ends = points["mean"] - points["std"], points["mean"] + points["std"]
        axis.fill_between(points.index, *ends, color=color_of(label), alpha=0.2, linewidth=0)


def iterations_figure(rows: pd.DataFrame, metrics: tuple[str, ...]) -> Figure:
    """Figure 1: a row of panels a metric, a column a model; curves over L, and the unperturbed model, FGSM and random as lines."""
    figure, axes = panels(len(metrics), len(MODELS))
    for line, metric in zip(axes, metrics):
        for axis, model in zip(line, MODELS):
            for attack, label in multi_step(rows).items():
                _curve(axis, curves.over(select(rows, model, attack), "iterations", metric), label)
            _line(axis, select(rows, model)[metric].mean(), "unperturbed")
            _line(axis, select(rows, model, FGSM)[metric].mean(), "FGSM")
            baselines(axis, rows, metric)
            axis.set_ylim(bottom=0)
        line[0].set_ylabel(f"{metric}@{rows['k'].iloc[0]:.0f}")
    for axis, model in zip(axes[0], MODELS):
        axis.set_title(f"{model} on {rows['dataset'].iloc[0]}", fontsize=10)
    for axis in axes[-1]:
        axis.set_xlabel("iterations L")
    legend(figure, axes)
    return figure


def budget_figure(rows: pd.DataFrame) -> Figure:
    """Figure 2: nDCG over epsilon on a logarithmic axis, a panel a model, with FGSM at .5 as a line and the certified bounds."""
    figure, axes = panels(1, len(MODELS))
    for axis, model in zip(axes[0], MODELS):
        for attack, label in ({FGSM: "FGSM"} | multi_step(rows)).items():
            _curve(axis, curves.over(select(rows, model, attack), "epsilon", "nDCG"), label, "o-")
        for attack, label in CERTIFICATES.items():
            _curve(axis, curves.over(select(rows, model, attack), "epsilon", "nDCG"), label, ":")
        fgsm = curves.over(select(rows, model, FGSM), "epsilon", "nDCG")["mean"]
        _line(axis, fgsm.get(curves.REFERENCE_EPSILON, float("nan")), "FGSM at .5")
        _line(axis, select(rows, model)["nDCG"].mean(), "unperturbed")
        baselines(axis, rows, "nDCG")
        axis.set(xscale="log", xlabel="epsilon", title=f"{model} on {rows['dataset'].iloc[0]}")
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(f"nDCG@{rows['k'].iloc[0]:.0f}")
    legend(figure, axes, columns=4)
    return figure


def audit_figures(points: pd.DataFrame, k: int, iterations: int, epsilon: float) -> list[Figure]:
    """nDCG of an audit over epsilon with the certified bounds, and over iterations at one epsilon.  points: its rows"""
    own = points[points["model"] == "factors"]
    over_budget, over_steps = (panels(1, 1) for _ in range(2))
    for axis in (over_budget[1][0, 0], over_steps[1][0, 0]):
        _line(axis, select(own, "factors")["nDCG"].iloc[0], "unperturbed")
        baselines(axis, points, "nDCG")
    for (attack, ball, start), part in own[own["attack"] != ""].groupby(["attack", "ball", "start"]):
        shown = part[(part["iterations"].isna() | part["iterations"].isin([1, iterations])) & (part["epsilon"] > 0)].drop_duplicates(
            "epsilon", keep="last"
        )
        label = label_of((attack, ball, start))
        over_budget[1][0, 0].plot(
            shown["epsilon"], shown["nDCG"], ":" if attack == "certificate" else "o-", color=color_of(label), label=label, markersize=3
        )
    steps = select(own, "factors", ("bim", "linf", "zero"))
    steps = steps[np.isclose(steps["epsilon"], epsilon)].sort_values("iterations")
    over_steps[1][0, 0].plot(steps["iterations"], steps["nDCG"], "o-", color=color_of("BIM"), label=f"BIM at epsilon {epsilon:.3g}")
    over_budget[1][0, 0].set(xscale="log", xlabel="epsilon", ylabel=f"nDCG@{k}")
    over_steps[1][0, 0].set(xlabel="iterations L", ylabel=f"nDCG@{k}")
    for figure, axes in (over_budget, over_steps):
        figure.set_size_inches(7, 3.6)
        axes[0, 0].set_ylim(bottom=0)
        axes[0, 0].legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    return [over_budget[0], over_steps[0]]


def trajectory_figure(name: str, run: pd.DataFrame) -> Figure:
    """How an attack went over its outer epochs, or a GAN over its own: what it raised, how its profiles look, those of real users as a line."""
    says = {
        "target_HR": "target HR of the surrogate", "goal": "goal at the recommender asked", "changed_entries": "entries changed so far",
        "generator": "loss", "Jaccard": "Jaccard between profiles", "popular": "share of popular items", "clicks": "clicks per profile",
    }  # fmt: skip
    shown, over = [column for column in says if column in run], run.columns[0]
    figure, axes = panels(1, len(shown), sharex=False)
    for axis, column, color in zip(axes[0], shown, ("PGD", "BIM", "FGSM", "random")):
        beside = {"generator": "discriminator"}.get(column, f"real_{column}")
        for part, values, style in ((column, run[column], "-"), (beside, run.get(beside), "--")):
            if values is not None:
                axis.plot(run[over], values, style, color=color_of(color), label=part.replace("_", " "))
        if beside in run:
            axis.legend(fontsize=8, frameon=False)
        axis.set(xlabel=over.replace("_", " "), ylabel=says[column])
        axis.set_ylim(bottom=0)
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.suptitle(name, fontsize=10)
    return figure


def poison_figure(table: pd.DataFrame) -> Figure:
    """Target and overall hit ratio of every attack, mean and deviation over victim seeds, the published value as a mark.

    table: what `poisoning.summary` returns
    """
    figure, axes = panels(1, 2, sharex=False)
    for axis, metric in zip(axes[0], ("target_HR", "HR")):
        part = table[table["metric"] == metric]
        told = ["attack", *(column for column in ("group", "model") if part[column].nunique() > 1)]
        names = [", ".join(row[column] for column in told) for _, row in part.iterrows()]
        bars(axis, range(len(part)), part, "measured", color=color_of("measured"))
        axis.set_xticks(range(len(part)), names, rotation=45, ha="right", fontsize=8)
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    legend(figure, axes)
    return figure


def defense_figure(table: pd.DataFrame) -> Figure:
    """Target and overall hit ratio of every defence, a bar for each attack, the published value as a mark.

    table: what `poisoning.summary` returns
    """
    figure, axes = panels(2, 1, sharex=False)
    attacks = list(table["attack"].unique())
    width = 0.8 / len(attacks)
    for axis, metric in zip(axes[:, 0], ("target_HR", "HR")):
        part = table[table["metric"] == metric]
        parts = zip(*(part[name] for name in ("defense", "patch", "kernel", "rank", "components")))
        names = pd.Series([" ".join(filter(None, map(plain, each))) for each in parts], part.index)
        points = list(dict.fromkeys(names))
        for place, attack in enumerate(attacks):
            own = part[part["attack"] == attack]
            bars(axis, [points.index(names[at]) + (place - (len(attacks) - 1) / 2) * width for at in own.index], own, attack, width)
        axis.set_xticks(range(len(points)), points, rotation=20, ha="right", fontsize=8)
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    legend(figure, axes)
    return figure


def projected_figure(rows: pd.DataFrame, metric: str = "nDCG") -> Figure:
    """A panel a model: the metric over the rank of the projection, by attack; dashed: the attacker does not know of it."""
    models = list(rows["model"].unique())
    figure, axes = panels(1, len(models))
    for axis, model in zip(axes[0], models):
        for attack, label in projected.ATTACKS.items():
            color = color_of(label)
            for defense, style in (("projected", "-"), ("projected, aware", "-"), ("projected, unaware", "--")):
                points = projected.curve(rows, model, attack, defense, metric)
                if len(points):
                    axis.plot(points.index, points, style, marker=".", color=color, label=label if style == "-" else f"{label}, unaware")
            axis.axhline(projected.curve(rows, model, attack, "none", metric).iloc[0], color=color, linewidth=0.8, linestyle=":")
        axis.set_title(model, fontsize=10)
        axis.set_xscale("log")
        axis.set_xlabel("rank of the projection (dotted: none)")
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(metric)
    legend(figure, axes, columns=4)
    return figure


def components_figure(points: pd.DataFrame) -> Figure:
    """Figure 1: users on two principal components.  points: columns first, second, fake -> matplotlib Figure"""
    figure, axes = panels(1, 1)
    for fake, label in ((False, "real"), (True, "fake")):
        chosen = points[points["fake"] == fake]
        axes[0, 0].scatter(chosen["first"], chosen["second"], s=4, color=color_of(label), alpha=0.5, label=label, linewidths=0)
    axes[0, 0].set_xlabel("first principal component")
    axes[0, 0].set_ylabel("second")
    axes[0, 0].legend(fontsize=8, frameon=False)
    return figure


def detection_figure(rows: pd.DataFrame, score: str = "recall") -> Figure:
    """Figure 2: a panel a sampling, a line a kernel, over the principal components; bars are deviations over folds."""
    table = detection.over_folds(rows)
    samplings = list(table.index.unique("sampling"))
    figure, axes = panels(1, len(samplings))
    for axis, sampling in zip(axes[0], samplings):
        for kernel, part in table.loc[sampling].groupby("kernel"):
            found = part.loc[kernel, score]
            axis.errorbar(found.index, found["mean"], found["std"], marker="o", markersize=3, linewidth=1, elinewidth=0.5, label=kernel)
        axis.set_title(sampling, fontsize=10)
        axis.set_xlabel("principal components")
        axis.set_ylim(0, 1.05)
    axes[0, 0].set_ylabel(score)
    legend(figure, axes, columns=5)
    return figure


def defense_curves_figure(table: pd.DataFrame, over: str) -> Figure:
    """Figures 3 to 6: Recall, Precision and target_HR of PMF over the SVD rank, the length of its factors (dim) or the share of new ratings.

    A line for each attack and defence (and rank, where that is not the axis); dotted: undefended.  table: what `poisoning.summary` returns
    """
    table = table.assign(dim=table["model"].str.extract(r"\((\d+)\)", expand=False).astype(float))
    figure, axes = panels(1, 3)
    colors = dict(zip(table["attack"].unique(), cycle(("#4c78a8", "#e45756", "#54a24b", "#b279a2"))))
    styles = dict(zip([name for name in table["defense"].unique() if name != "none"], cycle(STYLES)))
    for axis, metric in zip(axes[0], ("Recall", "Precision", "target_HR")):
        part = table[table["metric"] == metric]
        for (attack, defense), group in part.groupby(["attack", "defense"], sort=False):
            data = "clean" if attack == "none" else attack
            if defense == "none" and over != "dim":
                axis.axhline(group["mean"].iloc[0], color=colors[attack], linestyle=":", linewidth=1, label=f"{data}, as it is")
                continue
            lines = [("", group)] if over == "rank" else [(f", rank {rank:g}", own) for rank, own in group.groupby("rank", dropna=False)]
            for place, (suffix, own) in enumerate(lines):
                own = own.sort_values(over)
                label = f"{data}, {'as it is' if defense == 'none' else defense + suffix}"
                style = ":" if defense == "none" else styles[defense]
                axis.errorbar(own[over], own["mean"], own["sd"], fmt=style, marker="os^"[place % 3], markersize=3, linewidth=1, elinewidth=0.5,
                              color=colors[attack], label=label)  # fmt: skip
        axis.set_xlabel({"rank": "SVD rank", "dim": "length of PMF's factors", "share": "new ratings added, %"}[over])
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    legend(figure, axes, columns=4, size=7)
    return figure
