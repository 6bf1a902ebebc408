"""The page of attacks on both surfaces."""

import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.evaluation.verdicts import judge
from advrec_tf.leaderboard.surfaces import ATTACKS, EPSILONS, PARAMETERS, SERVED
from advrec_tf.reporting.verdict_table import counts, measured, percent, stated
from advrec_tf.reporting.vocabulary import color_of, markdown, number

from .surfaces_claims import AT, POPULAR, cases, clean, under, worst

WORDS = {SERVED: "at its factors", PARAMETERS: "at its tables"}
_LINES = {(False, False): "-", (False, True): "-.", (True, False): "--", (True, True): ":"}
WHY_APART = (
    "An epsilon is a share of the RMS row norm of each table, and the two surfaces have other "
    "tables: factors in canonical form, and parameters before the propagation or the encoder. "
    "Equal epsilons are other acts. So no table of this page ranks rows of one surface among rows "
    "of the other; the claim on what the map does is about shares of one model's nDCG.\n"
)


def models_of(rows: pd.DataFrame, surface: str = SERVED) -> list[str]:
    """Return the entries that are attacked on a surface."""
    part = rows[(rows["surface"] == surface) & (rows["entry"] != POPULAR)]
    return [str(name) for name in part["entry"].unique()]


def taken(rows: pd.DataFrame, entry: str, surface: str, threat_model: str = "test") -> pd.Series:
    """Return the percentage of nDCG that the worst attack takes, for each seed."""
    return 100 - percent(worst(rows, entry, surface, threat_model, AT), clean(rows, entry))


def answer(rows: pd.DataFrame) -> str:
    """Say what each model loses at both surfaces, which entry keeps most, and the verdicts."""
    lines = []
    for model in models_of(rows, PARAMETERS):
        total, parts = clean(rows, model).mean(), []
        for surface, words in WORDS.items():
            blind, known = (
                taken(rows, model, surface, threat_model).mean()
                for threat_model in ("train", "test")
            )
            parts.append(f"{words} {blind:.0f}% (training pairs) and {known:.0f}% (held-out items)")
        text = "; ".join(parts)
        lines.append(f"{model}, nDCG {number(total)}: epsilon {AT:g} takes {text}.")
    left = {name: worst(rows, name, SERVED, "test", AT).mean() for name in models_of(rows)}
    most = max(left, key=lambda name: left[name])
    lines.append(
        f"Attacked at their factors by one who knows the held-out items, {most} keeps most of "
        f"{len(left)} entries: {number(left[most])} of {number(clean(rows, most).mean())}."
    )
    return "\n".join([*lines, counts(judge(cases(rows)))])


def report(rows: pd.DataFrame, dataset: str) -> str:
    """Return report.md without the answer."""
    return "\n".join(
        [
            f"# Attacks on the factors of {dataset}, and on the tables before them\n",
            WHY_APART,
            *(_attacks(rows, surface) for surface in WORDS),
            _by_degree(rows),
            "## Claims\n\np is corrected over all claims of this page (Holm).\n",
            claims(rows),
        ]
    )


def claims(rows: pd.DataFrame) -> str:
    """Return the verdicts on the claims of one data set."""
    lines = [
        [v.claim.section, v.claim.sentence, v.claim.check, measured(v), stated(v)]
        for v in judge(cases(rows))
    ]
    header = ["model, surface", "claim", "relation", "measured", "verdict"]
    return markdown(header, lines)


def _attacks(rows: pd.DataFrame, surface: str) -> str:
    """Return the table of a surface: nDCG of every model under every attack."""
    members = {"train": ["fgsm", "bim", "pgd"], "lists": [], "test": []}
    header = ["model", "seeds", "clean"]
    for threat_model in ATTACKS:
        header += [*members[threat_model], f"worst, {threat_model}"]
    lines = []
    for model in models_of(rows, surface):
        total = clean(rows, model)
        cells = [model, str(len(total)), number(total.mean())]
        for threat_model in ATTACKS:
            for attack in members[threat_model]:
                cells.append(number(under(rows, model, surface, attack, AT).mean()))
            cells.append(number(worst(rows, model, surface, threat_model, AT).mean()))
        lines.append(cells)
    title = f"## nDCG where a model is attacked {WORDS[surface]}, epsilon {AT:g}\n\n"
    return title + markdown(header, lines)


def _by_degree(rows: pd.DataFrame) -> str:
    """Return the shares of nDCG that are left, by quarter of users and of items."""
    lines = []
    for model in models_of(rows, PARAMETERS):
        for surface in WORDS:
            for by in ("activity", "popularity"):
                cells = [model, surface, by]
                for n in range(1, 5):
                    name = f"nDCG_{by}{n}"
                    total = rows[(rows["entry"] == model) & (rows["epsilon"] == 0)][name].mean()
                    left = worst(rows, model, surface, "test", AT, name).mean()
                    cells.append(f"{left / total:.0%}" if total > 0 else "")
                lines.append(cells)
    header = ["model", "surface", "quarter by", *map(str, range(1, 5))]
    return (
        f"## Share of nDCG that is left by degree, test, epsilon {AT:g}\n\n"
        "Quarter 1 holds the users with the fewest train items (activity), or the users whose "
        "held-out item is the least popular (popularity).\n\n" + markdown(header, lines)
    )


def figure(rows: pd.DataFrame) -> Figure:
    """Plot worst nDCG over epsilon where the held-out items are known, a panel a surface."""
    made = Figure(figsize=(9, 3.8), layout="constrained")
    for axis, (surface, words) in zip(made.subplots(1, 2, sharey=True), WORDS.items()):
        for entry in models_of(rows, surface):
            curve = [clean(rows, entry).mean()]
            curve += [worst(rows, entry, surface, "test", e).mean() for e in EPSILONS]
            row = rows[rows["entry"] == entry].iloc[0]
            style = _LINES[bool(row["user_normalized"]), not pd.isna(row["truncated_rank"])]
            color = color_of(row["model"])
            axis.plot((0, *EPSILONS), curve, style, marker=".", color=color, label=entry)
        axis.set_title(f"attacked {words}", fontsize=10)
        axis.set_xlabel("epsilon (share of the typical row)")
    made.axes[0].set_ylabel(f"worst nDCG@{int(rows['k'].iloc[0])}")
    made.axes[0].legend(fontsize=8, frameon=False)
    return made
