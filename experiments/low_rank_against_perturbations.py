"""Both papers together: does the low-rank transformation of the factors protect BPR-MF and AMF against FGSM, BIM and PGD?"""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.defenses import Transformation
from advrec_tf.defenses.perturbed import AWARE
from advrec_tf.evaluation import NAMES
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import color_of, markdown

from .multistep import perturbed, trainings
from .multistep.perturbed import MultistepSpec

ATTACKS = {"": "no attack", "fgsm": "FGSM", "bim": "BIM", "pgd": "PGD"}
LAYOUT = Layout((*perturbed.KEYS, "defense", "rank"), NAMES)


def jobs(study: MultistepSpec) -> list[Job]:
    """Every attack without the projection, and at each rank by an attacker who does not know of it and by one who does."""
    ranks = sorted({min(rank, study.data.n_users, study.data.n_items) for rank in study.ranks})
    attacks = []
    for base in ({}, *(study.points(name)[0] for name in ("fgsm", "bim", "pgd"))):
        knowing = ("projected, unaware", AWARE) if base else ("projected",)
        attacks.append(
            [
                {**base, "defense": "none"},
                *({**base, "defense": name, "rank": rank} for name in knowing for rank in ranks),
            ]
        )
    widest = Transformation(ranks[-1], clicks=True, widest=ranks[-1])
    return perturbed.jobs(
        study, attacks, "defend", defense=widest, cache_dir=study.output_dir / "cache"
    )


def report(folders: list[Path]) -> None:
    """Renders report.md and ranks.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(folder, page_of(rows), {"ranks.png": projected_figure(rows)})


def curve(
    rows: pd.DataFrame, model: str, attack: str, defense: str, metric: str = "nDCG"
) -> pd.Series:
    """A metric over the rank, mean over seeds; without a projection a single value at rank NaN."""
    chosen = rows[
        (rows["model"] == model) & (rows["attack"] == attack) & (rows["defense"] == defense)
    ]
    return chosen.groupby("rank", dropna=False)[metric].mean()


def page_of(rows: pd.DataFrame) -> str:
    """report.md: nDCG of every model and attack without the projection, and by rank with it."""
    parts = [
        "# Low-rank transformation against perturbations of embeddings\n",
        f"{rows['dataset'].iloc[0]}, nDCG@{rows['k'].iloc[0]:.0f}, {rows['seed'].nunique()} seed(s), epsilon {rows['epsilon'].max():g}; BIM and PGD "
        f"with {rows['iterations'].max():.0f} iterations. The factors users are served from are U_k U_k^T P and V_k V_k^T Q of the clean train "
        "matrix; an attacker is unaware of it, or differentiates through it.\n",
    ]
    ranks = sorted(rows["rank"].dropna().unique())
    for model in rows["model"].unique():
        body = []
        for attack, label in ATTACKS.items():
            plain = f"{curve(rows, model, attack, 'none').iloc[0]:.4f}"
            for defense in (
                ("projected",) if not attack else ("projected, unaware", "projected, aware")
            ):
                values = curve(rows, model, attack, defense)
                body.append(
                    [
                        label,
                        defense.removeprefix("projected, "),
                        plain,
                        *(f"{values[rank]:.4f}" for rank in ranks),
                    ]
                )
        parts.append(f"\n## {model}\n")
        parts.append(
            markdown(
                ["attack", "attacker", "no projection", *(f"rank {rank:.0f}" for rank in ranks)],
                body,
            )
        )
    return "\n".join(parts)


def projected_figure(rows: pd.DataFrame, metric: str = "nDCG") -> Figure:
    """A panel a model: the metric over the rank of the projection, by attack; dashed: the attacker does not know of it."""
    models = list(rows["model"].unique())
    figure, axes = panels(1, len(models))
    for axis, model in zip(axes[0], models):
        for attack, label in ATTACKS.items():
            color = color_of(label)
            for defense, style in (
                ("projected", "-"),
                ("projected, aware", "-"),
                ("projected, unaware", "--"),
            ):
                points = curve(rows, model, attack, defense, metric)
                if len(points):
                    axis.plot(
                        points.index,
                        points,
                        style,
                        marker=".",
                        color=color,
                        label=label if style == "-" else f"{label}, unaware",
                    )
            axis.axhline(
                curve(rows, model, attack, "none", metric).iloc[0],
                color=color,
                linewidth=0.8,
                linestyle=":",
            )
        axis.set_title(model, fontsize=10)
        axis.set_xscale("log")
        axis.set_xlabel("rank of the projection (dotted: none)")
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(metric)
    legend(figure, axes, columns=4)
    return figure


EXPERIMENT = Experiment(
    LAYOUT,
    perturbed.single("epsilon", "iterations", "model_selection"),
    jobs,
    report,
    trainings.train,
    split=trainings.by_seed,
)
