"""The page of Table 1."""

import numpy as np
import pandas as pd

from advrec_tf.evaluation import NAMES
from advrec_tf.reporting.vocabulary import BASELINES, MEASURES, cell, markdown, number

from .labels import BALLS, numbered_draws
from .table1_tables import PAPER_COLUMNS, agreement, columns_of, table1

SHOWN_COLUMNS = [*PAPER_COLUMNS, "bim l2"]


def overview(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the mean nDCG over seeds of the first selection, a row for each model, BPR-MF first.

    cells: of `table1_tables.cells`
    """
    models = cells[(cells["selection"] != "") & (cells["metric"] == "nDCG") & (cells["draw"] == 0)]
    first = models[models["selection"] == models["selection"].iloc[0]]
    means = first.pivot_table(index="model", columns="column", values="value")
    shown = [name for name in SHOWN_COLUMNS if name in means]
    return means.sort_index(ascending=False)[shown].rename_axis(index=None, columns="nDCG")


def answer(cells: pd.DataFrame) -> str:
    """Return a sentence for each model: what each attack takes of its nDCG."""
    sentences = []
    for model, row in overview(cells).iterrows():
        taken = (100 * (1 - row / row["initial"])).map("{:.0f}%".format)
        attacks = [f"{name.upper()} takes {taken[name]}" for name in ("fgsm", "bim", "pgd")]
        text = f"{model}: {', '.join(attacks)} of nDCG"
        if "bim l2" in row:
            text += f"; in the l2 ball of FGSM, BIM takes {taken['bim l2']}"
        sentences.append(f"{text}.")
    return "\n".join(sentences)


def table1_report(cells: pd.DataFrame, rows: pd.DataFrame) -> str:
    """Return the page of Table 1: published beside measured cells, and further columns.

    cells: of `table1_tables.cells`.  rows: at least those without iterations or of the last.
    """
    table = table1(cells)
    epsilons = ", ".join(f"{epsilon:g}" for epsilon in sorted(rows["epsilon"].dropna().unique()))
    parts = [
        "# Table 1: initial, single-step and multi-step performance\n",
        f"Top-{cells['k'].iloc[0]:.0f} lists, epsilon {epsilons}. Cells: published / measured [95% "
        "interval over seeds] (difference in percent of the published), or measured alone where "
        "nothing is published.\n",
        "BIM and PGD are accumulated over their iterations (trapezoid rule, divided by the range), "
        "as in the paper. `best` is the epoch of highest HR@10 on the TEST set among all that were "
        "evaluated, which is what the published table shows; `last` needs no look at the test "
        "set.\n",
        *filter(None, [chosen_on(rows)]),
        agreement(table),
    ]
    further = [name for name in columns_of(rows) if name not in PAPER_COLUMNS]
    for _, part in table.groupby(["dataset", "model", "selection"], sort=False):
        parts += _section(part, cells, further)
    return "\n".join([*parts, MEASURES, BALLS, "\n## Epsilon and row norms\n", _norms(rows)])


def _section(part: pd.DataFrame, cells: pd.DataFrame, further: list[str]) -> list[str]:
    """Return the title and the two tables of one model and selection.

    part: its rows of `table1_tables.table1`.  further: the columns of the second table.
    """
    first = part.iloc[0]
    epochs = ", ".join(map(str, sorted(set().union(*part["epochs"]))))
    title = f"## {first['dataset']}: {first['model']}, {first['selection']}"
    texts = part.assign(cell=part.apply(cell, axis=1)).set_index(["metric", "column"])["cell"]
    baselines = cells[cells["selection"] == ""].groupby(["model", "metric"])["value"].mean()
    published, others = [], []
    for metric in NAMES:
        published.append([metric, *(texts.get((metric, name), "") for name in PAPER_COLUMNS)])
        line = [metric, *(texts.get((metric, name), "") for name in further)]
        line += [number(baselines.get((name, metric)), metric) for name in BASELINES]
        others.append(line)
    k = f"@{cells['k'].iloc[0]:.0f}"
    return [
        f"\n{title} (epoch {epochs}; {part['seeds'].max()} seed(s))\n",
        markdown([k, *PAPER_COLUMNS], published),
        markdown([k, *further, *BASELINES], others),
    ]


def chosen_on(rows: pd.DataFrame) -> str:
    """Return on how many users `best` was chosen, "" if it was on all of them.

    With one test item for each user it gives the normal 95% interval of their HR@10 as well.
    """
    statistics = rows.attrs["statistics"]
    count = rows.attrs["config"].get("BPR-MF", {}).get("eval_users")
    best = rows[(rows["selection"] == "best") & (rows["attack"] == "")]
    tested = statistics.get("test", 0)  # users, if each has one item
    if best.empty or count is None or count >= min(tested, statistics.get("users", 0)):
        return ""
    if tested > statistics["users"] or set(best["k"]) != {10}:
        return f"`best` was chosen on {count} users; all cells are of all.\n"
    hits = best["RE"].mean()
    width = 1.96 * np.sqrt(hits * (1 - hits) / count * (1 - count / tested))
    return (
        f"`best` was chosen on {count} of {tested} users, who tell an HR@10 of {hits:.4f} to "
        f"within {width:.4f}; all cells are of all users.\n"
    )


def _norms(rows: pd.DataFrame) -> str:
    """Return epsilon, and the norm that rows were moved by, in percent of the mean row norm."""
    keys = ["dataset", "model", "attack", "ball", "start", "epsilon"]
    rows = numbered_draws(rows)
    rows = rows[rows["epoch"].notna() & (rows["attack"] != "") & (rows["draw"] == 0)]
    by_iterations = rows.sort_values("iterations", na_position="first")
    last = by_iterations.groupby([*keys, "epoch", "seed"], dropna=False).last()
    means = last.groupby(keys, sort=False).mean(numeric_only=True)
    lines = []
    for (*names, epsilon), row in means.iterrows():
        norms, shifts = row[["user_norm", "item_norm"]], row[["user_shift", "item_shift"]]
        sizes = [f"{100 * epsilon / norm:.0f}%" for norm in norms]
        moved = [f"{shift:.3f} ({100 * shift / norm:.0f}%)" for shift, norm in zip(shifts, norms)]
        lines.append([*names, f"{epsilon:g}", *sizes, *moved])
    header = ["data", "model", "attack", "ball", "start", "epsilon"]
    header += ["of user norm", "of item norm", "users moved", "items moved"]
    return (
        "Epsilon in percent of the mean l2 norm of the rows it hits, and the mean norm that rows "
        "were moved by at the last iteration (means over the epochs and seeds above): a row in the "
        "element-wise (linf) ball may move by up to epsilon times the root of the dimension, one "
        f"of FGSM or in the l2 ball by epsilon.\n\n{markdown(header, lines)}"
    )
