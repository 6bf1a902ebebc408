"""The page and the picture of the stability experiment."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.evaluation import equal_harm
from advrec_tf.leaderboard import stability_questions as questions
from advrec_tf.leaderboard.stability import (
    ATTACK,
    CERTIFICATE,
    CHANGE,
    CURVE,
    NOISE,
    OTHER,
    OTHER_SEED,
    UNIFORM,
)
from advrec_tf.reporting.plots import flagged
from advrec_tf.reporting.vocabulary import markdown, number
from advrec_tf.stability.quantization import STORAGE

SHOWN = (
    *("fp16", "bfloat16", "int8 row", "int4 row", "PQ16 items", "last 1%", "random 1%"),
    *(OTHER_SEED, OTHER),
)
HALF = 0.5


def subject(rows: pd.DataFrame) -> str:
    """Return the entry that the page is about: that of --other, or else the most accurate one.

    Accuracy is nDCG, mean over seeds; of equal ones it is the shortest name.
    """
    others = rows.loc[rows["change"] == OTHER, "entry"]
    if len(others):
        return str(others.iloc[0])
    by_entry = questions.at_epsilon(questions.means(rows), 0, CHANGE)
    return min(by_entry[by_entry == by_entry.max()].index, key=len)


def answer(rows: pd.DataFrame) -> str:
    """Say of one entry what int8 and a retraining do, and what an attacker needs."""
    entry = subject(rows)
    table = questions.means(rows[rows["entry"] == entry])
    k = rows["k"].max()
    parts = []
    if (overlap := _value(table, "int8 row", CHANGE, "overlap")) == overlap:
        parts.append(f"8-bit integers keep {overlap:.1%} of the items of the lists")
    for change, said in ((OTHER_SEED, "Another seed"), (OTHER, "The other training")):
        epsilon = _value(table, change, CHANGE, "epsilon")
        if epsilon == epsilon:
            lost = k * (1 - _value(table, change, CHANGE, "overlap"))
            parts.append(
                f"{said} moves the factors by {epsilon:.2g} of their typical length and replaces "
                f"{lost:.1f} of {k} items"
            )
    half = halving(rows[rows["entry"] == entry])
    needs = f"needs {half:.2g}" if half > CURVE[0] else f"needs at most {half:.2g}"
    if np.isnan(half):
        needs = "needs more than any measured epsilon"
    parts.append(f"An attacker who knows the held-out items {needs} to take half of nDCG")
    return f"{entry}: {'. '.join(parts)}."


def halving(rows: pd.DataFrame) -> float:
    """Return the epsilon by which the attack on held-out items takes half of one entry's nDCG.

    Mean over seeds first; NaN where no measured epsilon suffices, and the smallest where it does.
    """
    table = questions.means(rows)
    curve, target = _curve(table, ATTACK), HALF * _clean(table)
    return equal_harm(curve["epsilon"].to_numpy(), curve["nDCG"].to_numpy(), target)


def _clean(table: pd.DataFrame) -> float:
    """Return the nDCG of one entry as it is."""
    return float(questions.at_epsilon(table, 0, CHANGE).iloc[0])


def _value(table: pd.DataFrame, change: str, direction: str, column: str) -> float:
    """Return one value, NaN where it was not measured."""
    part = table[(table["change"] == change) & (table["direction"] == direction)]
    return float(part[column].iloc[0]) if len(part) else float("nan")


def _curve(table: pd.DataFrame, direction: str) -> pd.DataFrame:
    """Return the rows of uniform epsilons of one direction, ascending."""
    part = table[(table["change"] == UNIFORM) & (table["direction"] == direction)]
    return part.assign(epsilon=part["uniform"]).sort_values("epsilon")


def changes(rows: pd.DataFrame) -> list[str]:
    """Return the names of the measured changes: storage, then others from small to large."""
    table = rows[rows["direction"] == CHANGE].groupby("change")["epsilon"].mean().sort_values()
    companions = set(rows.loc[rows["direction"] == NOISE, "change"]) - {UNIFORM}
    others = [name for name in table.index if name in companions - set(STORAGE)]
    return [*(name for name in STORAGE if name in companions), *others]


def report(rows: pd.DataFrame, dataset: str) -> str:
    """Return report.md without the answer."""
    entry, names = subject(rows), changes(rows)
    parts = [
        f"# What an epsilon means on {dataset}\n",
        "All values are means over seeds, of canonical factors. `epsilon` is the RMS of the rows' "
        "changes over that of the rows. Noise has rows of the same lengths. The attack knows the "
        "held-out items and has the same epsilon for all rows. docs/stability.md explains the "
        "columns and the questions.\n",
        f"\n## {entry}, change by change\n",
        _changes_table(questions.means(rows[rows["entry"] == entry]), names),
        "\n## Overlap of the lists, entry by entry\n",
        _entries_table(questions.means(rows), names),
        answers(rows),
    ]
    return "\n".join(filter(None, parts))


def answers(rows: pd.DataFrame, level: str = "##") -> str:
    """Return the answers to the four questions, a section each below headings of this level."""
    titled = {
        "Does robustness predict stability?": _question_1(rows),
        "Is another form better to store in 4-bit integers with one scale?": _question_2(rows),
        "How far from noise is another seed?": _question_3(rows),
        "Whom does the certificate cover?": _question_4(rows),
    }
    return "\n".join(f"\n{level} {title}\n\n{text}" for title, text in titled.items() if text)


def _changes_table(table: pd.DataFrame, names: list[str]) -> str:
    """Return a line for each change of one entry."""
    clean, lines = _clean(table), []
    for name in names:
        cells = [
            _value(table, name, CHANGE, column)
            for column in ("epsilon", "user_epsilon", "item_epsilon", "linear_epsilon")
        ]
        cells += [_value(table, name, direction, "overlap") for direction in (CHANGE, NOISE)]
        cells += [_value(table, name, CHANGE, column) for column in ("RBO", "same_list")]
        gains = [
            100 * (_value(table, name, direction, "nDCG") / clean - 1)
            for direction in (CHANGE, NOISE, ATTACK)
        ]
        lines.append([name, *map(number, cells), *(f"{gain:+.1f}%" for gain in gains)])
    header = ["change", "epsilon", "users", "items", "linear", "overlap", "of noise", "RBO"]
    return markdown([*header, "same list", "nDCG", "of noise", "of attack"], lines)


def _entries_table(table: pd.DataFrame, names: list[str]) -> str:
    """Return the overlap of each entry under the changes of SHOWN."""
    shown = [name for name in SHOWN if name in names]
    lines = []
    for entry, part in table.groupby("entry", sort=False):
        cells = [_value(part, name, CHANGE, "overlap") for name in shown]
        clean = _clean(part)
        lines.append([str(entry), number(clean), *(_known(cell) for cell in cells)])
    return markdown(["entry", "nDCG", *shown], lines)


def _known(value: float) -> str:
    """Return a number, "" for none."""
    return number(value) if np.isfinite(value) else ""


def _question_1(rows: pd.DataFrame) -> str:
    """Say whether robustness predicts stability."""
    lines = []
    for measured in questions.correlations(rows):
        verdict = "not decidable"
        if measured.low > 0 or measured.high < 0:
            verdict = "holds" if measured.low > 0 else "reversed"
        interval = f"{measured.rho:+.2f} [{measured.low:+.2f}, {measured.high:+.2f}]"
        counts = f"{measured.entries} ({measured.trainings})"
        names = [measured.robustness, measured.stability, measured.among, counts]
        lines.append([*names, interval, number(measured.p), verdict])
    if not lines:
        return ""
    header = [
        "share left",
        "overlap under",
        "among",
        "entries (trainings)",
        "Spearman",
        "p (Holm)",
        "verdict",
    ]
    return markdown(header, lines)


def _question_2(rows: pd.DataFrame) -> str:
    """Say which form is best stored in 4 bits."""
    lines = [
        [name, f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]"]
        for name, (mean, low, high) in questions.forms(rows).items()
    ]
    if not lines:
        return ""
    return (
        "Gain in overlap over the factors as trained, mean over models [95% interval over "
        "models].\n\n" + markdown(["form", "gain"], lines)
    )


def _question_3(rows: pd.DataFrame) -> str:
    """Say how far from noise a retraining is."""
    table, lines = questions.directions(rows), []
    for entry, row in table.iterrows():
        replaced = [f"{row[name]:.1f}%" for name in (CHANGE, NOISE, ATTACK)]
        lost = [f"{row[f'lost_{name}']:.1f}%" for name in (NOISE, ATTACK)]
        cosines = [f"{row[f'cos_{name}']:+.3f}" for name in (NOISE, ATTACK)]
        lines.append([str(entry), number(row["epsilon"]), *replaced, *lost, *cosines])
    if not lines:
        return ""
    header = ["entry", "epsilon", "items replaced by another seed", "by noise", "by attack"]
    header += ["nDCG lost by noise", "by attack", "cosine with noise", "with attack"]
    return markdown(header, lines)


def _question_4(rows: pd.DataFrame) -> str:
    """Say for how many users the certificate covers 8-bit integers."""
    lines = [
        [str(entry), f"{share:.1%}"] for entry, share in questions.covered(rows).dropna().items()
    ]
    if not lines:
        return ""
    text = "Of the users whose held-out item is listed, the share whose item cannot leave while "
    text += "all rows move by the largest row change of `int8 row`.\n\n"
    return text + markdown(["entry", "share"], lines)


def figure(rows: pd.DataFrame) -> Figure:
    """Plot nDCG and overlap over epsilon for the entry of `subject`, real changes as marks."""
    entry, measured = subject(rows), changes(rows)
    table = questions.means(rows[rows["entry"] == entry])
    clean = _clean(table)
    shown = [name for name in SHOWN if name in measured]
    made = Figure(figsize=(9, 4.2), layout="constrained")
    axes = made.subplots(1, 2, sharex=True)
    styles = {ATTACK: ("C3", "-"), NOISE: ("0.5", "--"), CERTIFICATE: ("C0", ":")}
    titles = {
        ATTACK: "attack on held-out items",
        NOISE: "random rows",
        CERTIFICATE: "certified, at least",
    }
    for axis, column, unit in zip(axes, ("nDCG", "overlap"), (clean, 1.0)):
        for direction, (color, line) in styles.items():
            curve = _curve(table, direction).dropna(subset=[column])
            if len(curve):
                values = curve[column] / unit
                axis.plot(curve["epsilon"], values, line, color=color, label=titles[direction])
        marks = []
        for name in shown:
            x, y = (_value(table, name, CHANGE, value) for value in ("epsilon", column))
            if x > 0:
                marks.append((name, x, y / unit))
        flagged(axis, marks)
        axis.set_xscale("log")
        axis.set_xlabel("epsilon (share of the RMS row norm)")
        axis.set_ylabel("share of nDCG that is left" if column == "nDCG" else "overlap of lists")
    axes[0].legend(fontsize=8, frameon=False)
    made.suptitle(entry, fontsize=10)
    return made
