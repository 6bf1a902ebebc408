"""The low-rank transformation against perturbations: pure functions of results."""

import pandas as pd

from advrec_tf.reporting.vocabulary import markdown

ATTACKS = {"": "no attack", "fgsm": "FGSM", "bim": "BIM", "pgd": "PGD"}


def curve(rows: pd.DataFrame, model: str, attack: str, defense: str, metric: str = "nDCG") -> pd.Series:
    """A metric over the rank, mean over seeds; without a projection a single value at rank NaN."""
    chosen = rows[(rows["model"] == model) & (rows["attack"] == attack) & (rows["defense"] == defense)]
    return chosen.groupby("rank", dropna=False)[metric].mean()


def report(rows: pd.DataFrame) -> str:
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
            for defense in ("projected",) if not attack else ("projected, unaware", "projected, aware"):
                values = curve(rows, model, attack, defense)
                body.append([label, defense.removeprefix("projected, "), plain, *(f"{values[rank]:.4f}" for rank in ranks)])
        parts.append(f"\n## {model}\n")
        parts.append(markdown(["attack", "attacker", "no projection", *(f"rank {rank:.0f}" for rank in ranks)], body))
    return "\n".join(parts)
