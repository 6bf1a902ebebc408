"""How the characteristics of the data change what a perturbation costs: pure functions of results."""

from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.reporting.vocabulary import FGSM, MODELS, markdown, select
from advrec_tf.results import read_results

CHARACTERISTICS = ("density", "size", "shape")
ATTACKS = {"FGSM": FGSM, "BIM": ("bim", "linf", "zero"), "PGD": ("pgd", "linf", "uniform")}
SHOWN_ITERATIONS = 25  # the paper does not say how many; this is its "elbow"
# What the paper prints of PGD on ML-1M: rho of BPR-MF by density, and the slopes of rho over density.
PUBLISHED_RHO = {0.0507: 43.79, 0.1387: 28.90}
PUBLISHED_SLOPES = {("BPR-MF", "PGD"): -96.10, ("AMF", "PGD"): -3.65}


def losses(rows: pd.DataFrame) -> pd.DataFrame:
    """rho = 100 (nDCG before - nDCG after) / nDCG before, for each model, seed, attack and number of iterations of one sub-sample.

    FGSM has one iteration.  Beside rho stand the sub-sample's density, size and shape, and the epochs of its training.
    """
    config, found = rows.attrs["config"], []
    facts = {name: rows.attrs["statistics"][name] for name in CHARACTERISTICS} | {"dataset": rows["dataset"].iloc[0]}
    facts |= {
        "epochs": config["epochs"],
        "amf_start": config["AMF"]["first_epoch"],
        "epsilon": config["epsilons"][0],
    }
    for model in MODELS:
        before = select(rows, model).set_index("seed")["nDCG"]
        for label, attack in ATTACKS.items():
            part = select(rows, model, attack)
            rho = 100 * (1 - part["nDCG"].to_numpy() / before[part["seed"]].to_numpy())
            keys = zip(part["seed"], part["iterations"], rho)
            found += [{**facts, "model": model, "attack": label, "seed": s, "iterations": int(n), "rho": value} for s, n, value in keys]
    return pd.DataFrame(found)


def losses_of(folders: list[Path]) -> pd.DataFrame:
    """The losses of all sub-samples of one data set, from the results in their folders."""
    rows = [read_results(each) for each in folders]
    found = pd.concat(map(losses, rows), ignore_index=True).sort_values(["density", "model", "attack", "seed", "iterations"], ignore_index=True)
    found.attrs["published"] = all(each.attrs["statistics"].get("published", False) for each in rows)
    return found


def at_iterations(losses: pd.DataFrame, iterations: int) -> pd.DataFrame:
    """The losses of FGSM and of the multi-step attacks after that many iterations."""
    return losses[(losses["iterations"] == iterations) | (losses["attack"] == "FGSM")]


def slopes(losses: pd.DataFrame) -> pd.DataFrame:
    """Least-squares slope of rho over each characteristic, with its standard error; size counts in millions of user-item pairs."""
    found = []
    for (model, attack), part in losses.groupby(["model", "attack"]):
        for name in CHARACTERISTICS:
            x = part[name] / 1e6 if name == "size" else part[name]
            fit = stats.linregress(x, part["rho"]) if x.nunique() > 2 else None
            values = (fit.slope, fit.stderr, fit.intercept) if fit else (np.nan,) * 3
            found.append((model, attack, name, *values))
    return pd.DataFrame(found, columns=["model", "attack", "characteristic", "slope", "error", "intercept"])


def shown_iterations(losses: pd.DataFrame) -> int:
    """SHOWN_ITERATIONS where they were measured, else the most there are."""
    measured = set(losses[losses["attack"] != "FGSM"]["iterations"])
    return SHOWN_ITERATIONS if SHOWN_ITERATIONS in measured else max(measured)


def nearest_iterations(losses: pd.DataFrame) -> tuple[int, dict[float, float]]:
    """The number of iterations at which PGD on BPR-MF comes nearest to PUBLISHED_RHO, and rho there at those densities."""
    part = losses[(losses["model"] == "BPR-MF") & (losses["attack"] == "PGD")]
    wide = part.pivot_table(index="iterations", columns="density", values="rho")
    columns = {density: min(wide.columns, key=lambda c: abs(c - density)) for density in PUBLISHED_RHO}
    distance = sum((wide[column] - PUBLISHED_RHO[density]).abs() for density, column in columns.items())
    best = distance.idxmin()
    return int(best), {density: float(wide.loc[best, column]) for density, column in columns.items()}


def report(losses: pd.DataFrame) -> str:
    """report.md of Figure 3: rho of every sub-sample, slopes beside the published ones, and the iterations nearest to the paper."""
    first, steps = losses.iloc[0], shown_iterations(losses)
    shown = at_iterations(losses, steps)
    parts = [
        f"# Figure 3: data characteristics ({first['epochs']} epochs of BPR-MF, AMF from {first['amf_start']} to {first['epochs']})\n",
        f"rho: percent of nDCG lost at epsilon {first['epsilon']:g}, BIM and PGD after {steps} iterations, mean over "
        f"{losses['seed'].nunique()} seed(s), models at their best epoch.\n",
    ]
    of_paper = first["dataset"].startswith("ml-1m") and losses.attrs.get("published", False)
    columns = [(model, attack) for model in MODELS for attack in ATTACKS]
    wide = shown.pivot_table(index=["dataset", *CHARACTERISTICS], columns=["model", "attack"], values="rho", sort=False)[columns]
    lines = [[d, f"{y:.4f}", f"{s:,.0f}", f"{h:.3f}", *(f"{v:.2f}" for v in row)] for (d, y, s, h), row in wide.iterrows()]
    parts.append(markdown(["sub-sample", *CHARACTERISTICS, *(f"{m}, {a}" for m, a in columns)], lines))
    parts.append("\n## Slopes of rho (± standard error; size in millions)\n")
    lines = []
    for (model, attack), part in slopes(shown).set_index("characteristic").groupby(["model", "attack"], sort=False):
        cells = [f"{part.loc[name, 'slope']:.2f} ± {part.loc[name, 'error']:.2f}" for name in CHARACTERISTICS]
        published = PUBLISHED_SLOPES.get((model, attack)) if of_paper else None
        lines.append([model, attack, *cells, "" if published is None else f"{published:.2f}"])
    header = ["model", "attack", *CHARACTERISTICS, *(["density, published on ML-1M"] if of_paper else [])]
    parts.append(markdown(header, [line[: len(header)] for line in lines]))
    if of_paper:
        nearest, rho = nearest_iterations(losses)
        beside = "; ".join(f"{rho[density]:.2f} at density {density} (published {value:.2f})" for density, value in PUBLISHED_RHO.items())
        parts.append(f"\nThe paper does not say its iterations. PGD on BPR-MF comes nearest to its printed losses after {nearest}: {beside}.\n")
    return "\n".join(parts)
