"""Whether the attack on held-out items has converged: pure functions of results."""

import pandas as pd

from advrec_tf.reporting.vocabulary import markdown, number

CLOSE = 2.0  # percent of the nDCG that is left, by which more effort may lower it
_PLACE = ["entry", "seed", "rho"]


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each entry, seed and epsilon, with nDCG: clean, and what is left by the attack, by ten times its steps and by ten restarts.

    `lower`: by how many percent the better of the last two lowers what the attack leaves; 0 where neither does.  rows: of `robustness.convergence`
    """
    effort = (
        rows["steps"].astype(int).astype(str) + " x " + rows["restarts"].astype(int).astype(str)
    )
    wide = rows.assign(effort=effort).pivot(index=_PLACE, columns="effort", values="nDCG")
    steps = int(rows.loc[rows["steps"] > 0, "steps"].min())
    names = {
        "0 x 0": "clean",
        f"{steps} x 1": "attack",
        f"{10 * steps} x 1": "ten times the steps",
        f"{steps} x 10": "ten restarts",
    }
    wide = wide.rename(columns=names)[list(names.values())]
    best = wide[["attack", "ten times the steps", "ten restarts"]].min(axis=1)
    lower = 100 * (1 - best / wide["attack"].where(wide["attack"] > 0, 1)).where(
        wide["attack"] > 0, 0
    )
    return wide.assign(lower=lower).reset_index()


def report(rows: pd.DataFrame, dataset: str) -> str:
    """report.md."""
    found = gains(rows)
    converged = int((found["lower"] < CLOSE).sum())
    lines = []
    for row in found.to_dict("records"):
        cells = [
            number(row[name]) for name in ("clean", "attack", "ten times the steps", "ten restarts")
        ]
        lines.append(
            [row["entry"], str(row["seed"]), f"{row['rho']:g}", *cells, f"{row['lower']:.1f}%"]
        )
    head = [
        "entry",
        "seed",
        "epsilon",
        "clean",
        "attack",
        "ten times the steps",
        "ten restarts",
        "lower",
    ]
    return "\n".join(
        [
            f"# Has the attack on held-out items converged on {dataset}?\n",
            f"In {converged} of {len(found)} cases neither ten times the steps nor ten restarts lower nDCG by {CLOSE:g}% or more of what the attack "
            f"leaves. The largest fall is {found['lower'].max():.1f}%.\n",
            "The cells are nDCG, in the l2 ball of a relative epsilon. `attack` is the smooth DCG of the leaderboard's ensemble (`test`).\n",
            markdown(head, lines),
        ]
    )
