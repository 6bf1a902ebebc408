"""Detectors of fake users: pure functions of results."""

from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.defenses.detection import FLAGGED, KNOWN
from advrec_tf.evaluation import DETECTION
from advrec_tf.execution.results import read_users
from advrec_tf.reporting.vocabulary import markdown


def over_folds(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over folds of every score, by sampling, kernel and number of components: columns (score, mean or std)."""
    return rows.groupby(["sampling", "kernel", "components"])[list(DETECTION)].agg(["mean", "std"])


def report(rows: pd.DataFrame) -> str:
    """report.md of Figure 2: the best kernels at each size, and every score."""
    table = over_folds(rows)
    parts = [
        f"# Figure 2: detecting {rows['attack'].iloc[0]} on {rows['dataset'].iloc[0]}\n",
        f"{rows['fold'].nunique():.0f} folds, stratified, of one seed. Cells: mean ± standard deviation over folds.\n",
    ]
    for sampling, part in table.groupby("sampling"):
        best = part["recall", "mean"].idxmax()
        parts.append(
            f"\n## {sampling}: highest recall by {best[1]} at {best[2]:.0f} components, {part.loc[best, ('recall', 'mean')]:.4f}\n"
        )
        body = []
        for (_, kernel, components), row in part.iterrows():
            body.append(
                [
                    kernel,
                    f"{components:.0f}",
                    *(f"{row[score, 'mean']:.4f} ± {row[score, 'std']:.4f}" for score in DETECTION),
                ]
            )
        parts.append(markdown(["kernel", "components", *DETECTION], body))
    return "\n".join(parts)


def detectors(rows: pd.DataFrame) -> pd.DataFrame:
    """The detectors among the rows of Table I: what they learnt from (attack, targets, profiles) and were tested on, and their scores."""
    own = rows[rows["tested_on"] != ""]
    names = [
        f"{row.kernel}, {row.sampling}" if row.kernel else row.defense for row in own.itertuples()
    ]
    named = own.assign(detector=names, known=own["tested_on"] != KNOWN).sort_values(
        ["attack", "group", "profiles", "detector", "known", "tested_on"]
    )
    columns = ["attack", "group", "profiles", "detector", "tested_on", *DETECTION, FLAGGED]
    return named[columns].rename(columns={"attack": "trained on", "tested_on": "tested on"})


def detectors_report(rows: pd.DataFrame) -> str:
    """A table of every detector: out of fold on the fakes it learnt from, on another run's and on other attacks'; and without labels."""
    parts = []
    for (attack, group, profiles), frame in detectors(rows).groupby(
        ["trained on", "group", "profiles"]
    ):
        own = frame.drop(columns=["trained on", "group", "profiles"])
        body = [
            [*row[:2], *(f"{value:.4f}" for value in row[2:-1]), f"{row[-1]:.0f}"]
            for row in own.itertuples(index=False)
        ]
        parts.append(
            f"\n## Detectors trained on {attack} ({group}, {profiles})\n\n"
            + markdown(list(own.columns), body)
        )
    return "".join(parts)


def coordinates(folder: Path) -> pd.DataFrame:
    """Every user's place on the two components of Figure 1, and whether the user is fake."""
    kept = {row["component"]: users for row, users in read_users(folder)}
    first = kept[1]
    return pd.DataFrame(
        {
            "first": first["place"],
            "second": kept[2]["place"],
            "user": first["user"],
            "fake": first["fake"].astype(bool),
        }
    )


def components_report(rows: pd.DataFrame, points: pd.DataFrame) -> str:
    """report.md of Figure 1."""
    shares, apart = (
        ", ".join(found)
        for found in (
            [f"{100 * x:.2f}%" for x in rows["variance"]],
            [f"{a:.4f}" for a in rows["AUROC"]],
        )
    )
    return (
        f"# Figure 1: {rows['dataset'].iloc[0]} and {rows['attack'].iloc[0]} on two principal components\n\n{points['fake'].sum()} fakes, "
        f"{np.sum(~points['fake'])} real users. The components hold {shares} of the variance. AUROC of each as a detector (or of its opposite): "
        f"{apart}.\n"
    )
