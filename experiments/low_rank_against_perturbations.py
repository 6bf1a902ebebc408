"""Does the low-rank transformation of factors protect BPR-MF and AMF against FGSM, BIM and PGD?

The attacks are those of the first paper, the defence is that of the second.
"""

from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from advrec_tf.defenses import Transformation
from advrec_tf.defenses.perturbed import AWARE, UNAWARE
from advrec_tf.evaluation import NAMES
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.reporting import page, read_results
from advrec_tf.reporting.plots import legend, panels
from advrec_tf.reporting.vocabulary import color_of, markdown

from .multistep import perturbed, trainings
from .multistep.perturbed import MultistepSpec

LAYOUT = Layout((*perturbed.KEYS, "defense", "rank"), NAMES)
ATTACK_LABELS = {"": "no attack", "fgsm": "FGSM", "bim": "BIM", "pgd": "PGD"}
PROJECTED = "projected"  # value of the column `defense` where there is no attack
ATTACKER_LABELS = {PROJECTED: "projected", UNAWARE: "unaware", AWARE: "aware"}


def jobs(spec: MultistepSpec) -> list[Job]:
    """Return the jobs of every attack, without the projection and at each of its ranks.

    At each rank there are two attackers: one knows of the projection, the other does not.
    """
    ranks = sorted({min(rank, spec.data.n_users, spec.data.n_items) for rank in spec.ranks})
    attacks = []
    for base in ({}, *(spec.points(name)[0] for name in ("fgsm", "bim", "pgd"))):
        points = [{**base, "defense": "none"}]
        for defense in (UNAWARE, AWARE) if base else (PROJECTED,):
            points += [{**base, "defense": defense, "rank": rank} for rank in ranks]
        attacks.append(points)
    widest = Transformation(ranks[-1], clicks=True, widest=ranks[-1])
    return perturbed.jobs(
        spec, attacks, "defend", defense=widest, cache_dir=spec.output_dir / "cache"
    )


def report(folders: list[Path]) -> None:
    """Render report.md and ranks.png from the results of each data set."""
    for folder in folders:
        rows = read_results(folder)
        page(folder, page_of(rows), {"ranks.png": projected_figure(rows)})


def curve(
    rows: pd.DataFrame, model: str, attack: str, defense: str, metric: str = "nDCG"
) -> pd.Series:
    """Return a metric over the rank, mean over seeds. Without a projection the rank is NaN."""
    chosen = rows[
        (rows["model"] == model) & (rows["attack"] == attack) & (rows["defense"] == defense)
    ]
    return chosen.groupby("rank", dropna=False)[metric].mean()


def page_of(rows: pd.DataFrame) -> str:
    """Return report.md: nDCG of every model and attack without the projection, and by rank."""
    parts = [
        "# Low-rank transformation against perturbations of embeddings\n",
        f"{rows['dataset'].iloc[0]}, nDCG@{rows['k'].iloc[0]:.0f}, {rows['seed'].nunique()} "
        f"seed(s), epsilon {rows['epsilon'].max():g}; BIM and PGD with "
        f"{rows['iterations'].max():.0f} iterations. The factors users are served from are "
        "U_k U_k^T P and V_k V_k^T Q of the clean train matrix; an attacker is unaware of it, or "
        "differentiates through it.\n",
    ]
    ranks = sorted(rows["rank"].dropna().unique())
    columns = ["attack", "attacker", "no projection", *(f"rank {rank:.0f}" for rank in ranks)]
    for model in rows["model"].unique():
        parts += [f"\n## {model}\n", markdown(columns, _table(rows, model, ranks))]
    return "\n".join(parts)


def _table(rows: pd.DataFrame, model: str, ranks: list[float]) -> list[list[str]]:
    """Return a row of nDCG for every attack and attacker."""
    table = []
    for attack, label in ATTACK_LABELS.items():
        plain = f"{curve(rows, model, attack, 'none').iloc[0]:.4f}"
        for defense in (UNAWARE, AWARE) if attack else (PROJECTED,):
            values = curve(rows, model, attack, defense)
            cells = [f"{values[rank]:.4f}" for rank in ranks]
            table.append([label, ATTACKER_LABELS[defense], plain, *cells])
    return table


def projected_figure(rows: pd.DataFrame, metric: str = "nDCG") -> Figure:
    """Draw a panel a model: the metric over the rank of the projection, by attack.

    A dashed line means that the attacker does not know of the projection.
    """
    models = list(rows["model"].unique())
    figure, axes = panels(1, len(models))
    for axis, model in zip(axes[0], models):
        for attack in ATTACK_LABELS:
            _draw(axis, rows, model, attack, metric)
        axis.set_title(model, fontsize=10)
        axis.set_xscale("log")
        axis.set_xlabel("rank of the projection (dotted: none)")
        axis.set_ylim(bottom=0)
    axes[0, 0].set_ylabel(metric)
    legend(figure, axes, columns=4)
    return figure


def _draw(axis: Axes, rows: pd.DataFrame, model: str, attack: str, metric: str) -> None:
    """Draw the curves of one attack, and a dotted line without the projection."""
    label = ATTACK_LABELS[attack]
    color = color_of(label)
    labels = {PROJECTED: label, AWARE: label, UNAWARE: f"{label}, unaware"}
    for defense, name in labels.items():
        points = curve(rows, model, attack, defense, metric)
        if len(points):
            style = "--" if defense == UNAWARE else "-"
            axis.plot(points.index, points, style, marker=".", color=color, label=name)
    plain = curve(rows, model, attack, "none", metric).iloc[0]
    axis.axhline(plain, color=color, linewidth=0.8, linestyle=":")


EXPERIMENT = Experiment(
    LAYOUT,
    perturbed.single("epsilon", "iterations", "model_selection"),
    jobs,
    report,
    trainings.train,
    split=trainings.by_seed,
)
