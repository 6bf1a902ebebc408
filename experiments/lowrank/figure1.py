"""Figure 1 of the low-rank defences paper: users on the first two principal components."""

from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Experiment
from advrec_tf.execution.storage import write_csv
from advrec_tf.reporting import page, read_results, read_users
from advrec_tf.reporting.plots import panels
from advrec_tf.reporting.vocabulary import color_of

from . import poisoned_flags, profile_jobs
from .poisoned_spec import PoisonedSpec

LAYOUT = Layout(("dataset", "attack", "profiles", "component"), ("variance", "AUROC"))


def jobs(spec: PoisonedSpec) -> list[Job]:
    """Return a job that measures each component and stores the coordinates of all users."""
    fakes = spec.profiles[next(iter(spec.plans)), spec.attack]
    key = {"dataset": spec.data.name, "attack": spec.attack, "profiles": fakes.digest()[:12]}
    points = [{**key, "component": number} for number in (1, 2)]
    arguments = {"data": spec.data, "fakes": fakes}
    return [Job("advrec_tf.defenses.detection:component_separation", points, arguments)]


def coordinates(folder: Path) -> pd.DataFrame:
    """Return the coordinates of every user on both components, and whether the user is fake."""
    by_component = {row["component"]: users for row, users in read_users(folder)}
    first, second = by_component[1], by_component[2]
    return pd.DataFrame(
        {
            "first": first["place"],
            "second": second["place"],
            "user": first["user"],
            "fake": first["fake"].astype(bool),
        }
    )


def page_text(rows: pd.DataFrame, points: pd.DataFrame) -> str:
    """Return report.md.  points: from `coordinates`"""
    first = rows.iloc[0]
    shares = ", ".join(f"{100 * share:.2f}%" for share in rows["variance"])
    aurocs = ", ".join(f"{auroc:.4f}" for auroc in rows["AUROC"])
    return (
        f"# Figure 1: {first['dataset']} and {first['attack']} on two principal components\n\n"
        f"{points['fake'].sum()} fakes, {np.sum(~points['fake'])} real users. "
        f"The components hold {shares} of the variance. "
        f"AUROC of each as a detector (or of its opposite): {aurocs}.\n"
    )


def components_figure(points: pd.DataFrame) -> Figure:
    """Draw the users on two principal components.  points: from `coordinates`"""
    figure, axes = panels(1, 1)
    axis = axes[0, 0]
    for label, chosen in (("real", points[~points["fake"]]), ("fake", points[points["fake"]])):
        style = {"s": 4, "color": color_of(label), "alpha": 0.5, "linewidths": 0}
        axis.scatter(chosen["first"], chosen["second"], label=label, **style)
    axis.set_xlabel("first principal component")
    axis.set_ylabel("second")
    axis.legend(fontsize=8, frameon=False)
    return figure


def report(folders: list[Path]) -> None:
    """Write report.md, figure1.png and points.csv, the coordinates of all users."""
    for folder in folders:
        points = coordinates(folder)
        write_csv(folder / "points.csv", points)
        text = page_text(read_results(folder), points)
        page(folder, text, {"figure1.png": components_figure(points)})


EXPERIMENT = Experiment(
    LAYOUT, poisoned_flags.one_attack_and_seed, jobs, report, profile_jobs.prepare
)
