"""Figures of poisoned and defended recommenders; nothing here measures anything."""

from pathlib import Path

import pandas as pd

from advrec_tf.reporting import detection, projected
from advrec_tf.reporting.plots import COLORS, panels


def trajectory_figure(folder: Path, name: str):
    """How an attack went: what it raised over its outer epochs, and of recsys19 the losses of its GAN.  -> matplotlib Figure"""
    run = pd.read_csv(Path(folder) / "trajectory.csv")
    gan = Path(folder) / "gan.csv"
    figure, axes = panels(1, 3 if gan.exists() else 2, sharex=False)
    raised = "target_HR" if "target_HR" in run else "goal"
    axes[0, 0].plot(run["outer_epoch"], run[raised], "o-", color="#e45756", markersize=3)
    axes[0, 0].set_ylabel(f"{raised} of the surrogate")
    axes[0, 1].plot(run["outer_epoch"], run["clicks"], "o-", color="#4c78a8", markersize=3)
    axes[0, 1].set_ylabel("clicks per fake profile")
    for axis in axes[0, :2]:
        axis.set_xlabel("outer epoch")
        axis.set_ylim(bottom=0)
    if gan.exists():
        for column, values in pd.read_csv(gan).set_index("epoch").items():
            axes[0, 2].plot(values.index, values, label=column)
        axes[0, 2].set_xlabel("epoch of the GAN")
        axes[0, 2].set_ylabel("loss")
        axes[0, 2].legend(fontsize=8, frameon=False)
    figure.suptitle(name, fontsize=10)
    return figure


def poison_figure(table: pd.DataFrame):
    """Target and overall hit ratio of every attack, mean and deviation over victim seeds, the published value as a mark.

    table: what `poisoning.summary` returns -> matplotlib Figure
    """
    figure, axes = panels(1, 2, sharex=False)
    for axis, metric in zip(axes[0], ("target_HR", "HR")):
        part = table[table["metric"] == metric]
        several = part["group"].nunique() > 1
        names = [f"{row['attack']}, {row['group']}" if several else row["attack"] for _, row in part.iterrows()]
        places = range(len(part))
        axis.bar(places, part["mean"], yerr=part["sd"].fillna(0), color="#4c78a8", width=0.7, label="measured")
        axis.plot(places, part["published"], "D", color="#e45756", label="published")
        axis.set_xticks(places, names, rotation=45, ha="right", fontsize=8)
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=2, fontsize=8, frameon=False)
    return figure


def defense_figure(table: pd.DataFrame):
    """Target and overall hit ratio of every defence, a bar for each attack, the published value as a mark.

    table: what `poisoning.summary` returns -> matplotlib Figure
    """
    figure, axes = panels(2, 1, sharex=False)
    attacks = list(table["attack"].unique())
    width = 0.8 / len(attacks)
    for axis, metric in zip(axes[:, 0], ("target_HR", "HR")):
        part = table[table["metric"] == metric]
        names = [" ".join(filter(None, (d, p, "" if pd.isna(r) else f"{r:g}"))) for d, p, r in zip(part["defense"], part["patch"], part["rank"])]
        points = list(dict.fromkeys(names))
        for number, attack in enumerate(attacks):
            chosen = (part["attack"] == attack).to_numpy()
            at = [points.index(name) + (number - (len(attacks) - 1) / 2) * width for name, kept in zip(names, chosen) if kept]
            own = part[chosen]
            axis.bar(at, own["mean"], width, yerr=own["sd"].fillna(0), label=attack, error_kw={"linewidth": 0.8})
            axis.plot(at, own["published"], "D", color="black", markersize=3, label="published" if number == 0 else None)
        axis.set_xticks(range(len(points)), points, rotation=20, ha="right", fontsize=8)
        axis.set_ylabel(f"{metric}@{table['k'].iloc[0]:.0f}")
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=len(attacks) + 1, fontsize=8, frameon=False)
    return figure


def projected_figure(rows: pd.DataFrame, metric: str = "nDCG"):
    """A panel a model: the metric over the rank of the projection, by attack; dashed: the attacker does not know of it."""
    models = list(rows["model"].unique())
    figure, axes = panels(1, len(models))
    for axis, model in zip(axes[0], models):
        for attack, label in projected.ATTACKS.items():
            color = COLORS.get(label, "#444444")
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
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=8, frameon=False)
    return figure


def components_figure(points: pd.DataFrame):
    """Figure 1: users on two principal components.  points: columns first, second, fake -> matplotlib Figure"""
    figure, axes = panels(1, 1)
    for fake, color, label in ((False, "#e45756", "real"), (True, "#4c78a8", "fake")):
        chosen = points[points["fake"] == fake]
        axes[0, 0].scatter(chosen["first"], chosen["second"], s=4, color=color, alpha=0.5, label=label, linewidths=0)
    axes[0, 0].set_xlabel("first principal component")
    axes[0, 0].set_ylabel("second")
    axes[0, 0].legend(fontsize=8, frameon=False)
    return figure


def detection_figure(rows: pd.DataFrame, score: str = "recall"):
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
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=5, fontsize=8, frameon=False)
    return figure


def defense_curves_figure(table: pd.DataFrame, over: str):
    """Figures 3 to 6: Recall, Precision and target_HR of PMF over the SVD rank, the length of its factors (dim) or the share of new ratings.

    A line for each attack and defence (and rank, where that is not the axis); dotted: undefended.  table: what `poisoning.summary` returns
    """
    table = table.assign(dim=table["model"].str.extract(r"\((\d+)\)", expand=False).astype(float))
    figure, axes = panels(1, 3)
    colors = dict(zip(table["attack"].unique(), ("#4c78a8", "#e45756", "#54a24b", "#b279a2")))
    styles = dict(zip([name for name in table["defense"].unique() if name != "none"], ("-", "--", "-.")))
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
    figure.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4, fontsize=7, frameon=False)
    return figure
