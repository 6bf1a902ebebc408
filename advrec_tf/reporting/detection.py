"""The detectors' cross-validation: pure functions of results."""

import pandas as pd

from advrec_tf.evaluation import DETECTION
from advrec_tf.reporting.tables import markdown


def over_folds(rows: pd.DataFrame) -> pd.DataFrame:
    """Mean and deviation over folds of every score, by sampling, kernel and number of components: columns (score, mean or std)."""
    return rows.groupby(["sampling", "kernel", "components"])[list(DETECTION)].agg(["mean", "std"])


def report(rows: pd.DataFrame) -> str:
    """report.md of Figure 2: the best kernels at each size, and every score."""
    table = over_folds(rows)
    parts = [f"# Figure 2: detecting {rows['attack'].iloc[0]} on {rows['dataset'].iloc[0]}\n", f"{rows['fold'].nunique():.0f} folds, stratified.\n"]
    for sampling, part in table.groupby("sampling"):
        best = part["recall", "mean"].idxmax()
        parts.append(f"\n## {sampling}: highest recall by {best[1]} at {best[2]:.0f} components, {part.loc[best, ('recall', 'mean')]:.4f}\n")
        body = []
        for (_, kernel, components), row in part.iterrows():
            body.append([kernel, f"{components:.0f}", *(f"{row[score, 'mean']:.4f} ± {row[score, 'std']:.4f}" for score in DETECTION)])
        parts.append(markdown(["kernel", "components", *DETECTION], body))
    return "\n".join(parts)
