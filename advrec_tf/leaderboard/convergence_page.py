"""The page on the convergence of the attack on held-out items."""

import pandas as pd

from advrec_tf.reporting.vocabulary import markdown, number

CLOSE = 2.0  # percent of the nDCG that is left, by which more effort may lower it
EFFORTS = ["attack", "ten times the steps", "ten restarts"]


def gains(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the nDCG that each of EFFORTS leaves, for each entry, seed and epsilon.

    rows: of `leaderboard.convergence`. `clean` is nDCG without attack. `lower` is by how many
    percent the better of the last two efforts, more steps and more restarts, lowers what the plain
    attack leaves; 0 where neither does.
    """
    counts = rows[["steps", "restarts"]].astype(int).itertuples(index=False, name=None)
    steps = int(rows.loc[rows["steps"] > 0, "steps"].min())
    titles = dict(zip([(steps, 1), (10 * steps, 1), (steps, 10)], EFFORTS)) | {(0, 0): "clean"}
    effort = [titles[pair] for pair in counts]
    keys = ["entry", "seed", "epsilon"]
    wide = rows.assign(effort=effort).pivot(index=keys, columns="effort", values="nDCG")
    left = wide["attack"]
    share = wide[EFFORTS].min(axis=1) / left.where(left > 0, 1)
    lower = 100 * (1 - share).where(left > 0, 0)
    return wide[["clean", *EFFORTS]].assign(lower=lower).reset_index()


def answer(rows: pd.DataFrame) -> str:
    """Return in how many cases more effort does not lower what the attack leaves."""
    lower = gains(rows)["lower"]
    return (
        f"In {(lower < CLOSE).sum()} of {len(lower)} cases neither ten times the steps nor ten "
        f"restarts lower nDCG by {CLOSE:g}% or more of what the attack leaves. The largest fall is "
        f"{lower.max():.1f}%."
    )


def report(rows: pd.DataFrame, dataset: str) -> str:
    """Return report.md without the answer."""
    table, lines = gains(rows), []
    for row in table.to_dict("records"):
        cells = [number(row[name]) for name in ("clean", *EFFORTS)]
        keys = [row["entry"], str(row["seed"]), f"{row['epsilon']:g}"]
        lines.append([*keys, *cells, f"{row['lower']:.1f}%"])
    parts = [
        f"# Has the attack on held-out items converged on {dataset}?\n",
        "The cells are nDCG, in the l2 ball of a relative epsilon. `attack` is the smooth DCG of "
        "the leaderboard's ensemble (`test`).\n",
        markdown(["entry", "seed", "epsilon", "clean", *EFFORTS, "lower"], lines),
    ]
    return "\n".join(parts)
