"""Curves over iterations and budgets: pure functions of results."""

import numpy as np
import pandas as pd

from advrec_tf.evaluation import equal_harm
from advrec_tf.reporting.vocabulary import BASELINES, MEASURES, markdown, number

from .labels import BALLS, CERTIFICATES, FGSM, MODELS, multi_step, select

REFERENCE_EPSILON = 0.5  # of FGSM, whose harm the multi-step attacks are to match


def over(rows: pd.DataFrame, x: str, metric: str) -> pd.DataFrame:
    """Mean and deviation over seeds of a metric along `x`, in its order; the deviation of one seed is 0."""
    return rows.groupby(x)[metric].agg(["mean", "std"]).fillna({"std": 0})


def equal_harm_table(rows: pd.DataFrame) -> pd.DataFrame:
    """For each model, multi-step attack and seed: the epsilon that costs as much nDCG as FGSM at REFERENCE_EPSILON."""
    found = []
    for model in MODELS:
        fgsm = select(rows, model, FGSM)
        for attack, label in multi_step(rows).items():
            for seed, part in select(rows, model, attack).sort_values("epsilon").groupby("seed"):
                reference = fgsm[
                    (fgsm["seed"] == seed) & np.isclose(fgsm["epsilon"], REFERENCE_EPSILON)
                ]["nDCG"]
                if len(reference):
                    epsilon = equal_harm(
                        part["epsilon"].to_numpy(), part["nDCG"].to_numpy(), reference.iloc[0]
                    )
                    found.append((model, label, seed, epsilon, REFERENCE_EPSILON / epsilon))
    return pd.DataFrame(found, columns=["model", "attack", "seed", "epsilon", "times less"])


def _there(
    rows: pd.DataFrame, attacks: dict[tuple[str, str, str], str]
) -> dict[tuple[str, str, str], str]:
    """Those of the attacks that there are rows of."""
    return {
        attack: label
        for attack, label in attacks.items()
        if any(len(select(rows, model, attack)) for model in MODELS)
    }


def iterations_report(rows: pd.DataFrame) -> str:
    """report.md of Figure 1: nDCG and ICov along the iterations, a column for each attack."""
    parts = [f"# Figure 1: performance over iterations on {rows['dataset'].iloc[0]}\n"]
    for metric in ("nDCG", "ICov"):
        parts.append(
            f"\n## {metric}@{rows['k'].iloc[0]:.0f} at epsilon {rows['epsilon'].max():g} (mean over {rows['seed'].nunique()} seed(s))\n"
        )
        columns = {
            (m, label): over(select(rows, m, a), "iterations", metric)["mean"]
            for m in MODELS
            for a, label in multi_step(rows).items()
        }
        wide = pd.DataFrame(columns).sort_index()
        lines = [
            [f"{n:.0f}", *(number(value, metric) for value in row)] for n, row in wide.iterrows()
        ]
        parts.append(markdown(["L", *(f"{m}, {label}" for m, label in wide.columns)], lines))
        still = [(name, select(rows, name)[metric].mean()) for name in (*BASELINES, *MODELS)]
        still += [(f"{m}, FGSM", select(rows, m, FGSM)[metric].mean()) for m in MODELS]
        parts.append(
            "Without iterations: "
            + "; ".join(
                f"{name} {number(value, metric)}" for name, value in still if value == value
            )
            + ".\n"
        )
    return "\n".join([*parts, MEASURES, BALLS])


def budget_report(rows: pd.DataFrame) -> str:
    """report.md of Figure 2: nDCG along the budget, and the budgets that do as much harm as FGSM's."""
    steps = rows[rows["attack"].isin(["bim", "pgd"])]["iterations"].max()
    parts = [
        f"# Figure 2: nDCG@{rows['k'].iloc[0]:.0f} over the budget on {rows['dataset'].iloc[0]}, {steps:.0f} iterations\n"
    ]
    for model in MODELS:
        columns = {"FGSM": FGSM} | {
            label: attack
            for attack, label in (multi_step(rows) | _there(rows, CERTIFICATES)).items()
        }
        wide = pd.DataFrame(
            {
                label: over(select(rows, model, attack), "epsilon", "nDCG")["mean"]
                for label, attack in columns.items()
            }
        )
        parts.append(
            f"\n## {model}: unperturbed {number(select(rows, model)['nDCG'].mean(), 'nDCG')}\n"
        )
        parts.append(
            markdown(
                ["epsilon", *wide.columns],
                [[f"{e:g}", *(number(v, "nDCG") for v in row)] for e, row in wide.iterrows()],
            )
        )
    parts.append(
        f"{BALLS}\nA certified column is a lower bound that holds against every perturbation of that size, whatever the attack.\n\n"
        f"## The budget that does as much harm as FGSM at {REFERENCE_EPSILON:g} (paper: about .1, 5 times less)\n"
    )
    means = (
        equal_harm_table(rows)
        .groupby(["model", "attack"], sort=False)[["epsilon", "times less"]]
        .mean()
    )
    parts.append(
        markdown(
            ["model", "attack", "epsilon", "times less"],
            [
                [*key, f"{r['epsilon']:.3f}", f"{r['times less']:.1f}"]
                for key, r in means.iterrows()
            ],
        )
    )
    return "\n".join(parts)
