"""The claims of the low-rank defences paper about several attacks (section IV-C, Table III)."""

from functools import partial

from advrec_tf.reporting.verdict_table import Case, estimate, percent

from .claim_kinds import exceeds, keeps, lowers
from .evidence import LowRankEvidence

FIRST, SECOND, BOTH = ATTACKS = ("recsys19", "recsys20", "recsys19+recsys20")
READINGS = ("dense", "rating_matrix", "weights")  # of a reconstruction, beside that of Table III
RAISES = exceeds(
    "IV-C",
    "RecSys19 raises target HR from .1432 to .1505",
    "target HR under RecSys19",
    "on clean data",
    ".1432, .1505",
)
STRONGER = exceeds(
    "IV-C",
    "Both attacks together are stronger than each",
    "target HR under both",
    "under each",
    "Table III",
)
FALLS = lowers(
    "IV-C",
    "Under both together reconstruction lowers target HR",
    "target HR after",
    ".2354, .1569",
)
ALWAYS_FALLS = lowers(
    "IV-C",
    "Reconstruction lowers target HR under every attack",
    "target HR after",
    "Table III",
)
KEEPS = keeps(
    "abstract",
    "Reconstruction keeps the overall performance (Table III)",
    "HR after / before, each attack and clean data",
    "Table III",
)


def several_attacks(e: LowRankEvidence) -> list[Case]:
    """Return the claims of Table III.

    The parts of RecSys19 have more seeds of undefended victims, which are used if measured.
    """
    undefended = "recsys19" if "recsys19" in e.tables else "table3"
    target_hr = partial(e.values, undefended, "target_HR", model="WRMF")
    stronger = [estimate(attack, target_hr(BOTH), target_hr(attack)) for attack in (FIRST, SECOND)]
    point = (e.points("table3") or [{}])[0]
    table = partial(e.values, "table3")
    lower, kept = {}, []
    for attack in ("none", *ATTACKS):
        after = partial(table, attack=attack, defense="low_rank", **point)
        lower[attack] = estimate(attack, after("target_HR"), table("target_HR", attack))
        kept.append(estimate(attack, percent(after("HR"), table("HR", attack))))
    return [
        (RAISES, [estimate("", target_hr(FIRST), target_hr("none"))]),
        (STRONGER, stronger),
        (FALLS, [lower[BOTH]]),
        (ALWAYS_FALLS, [lower[attack] for attack in ATTACKS]),
        (KEEPS, kept),
    ]


def readings(e: LowRankEvidence) -> list[Case]:
    """Return the claims of Table III for the other ways in which values enter the victim."""
    made: list[Case] = []
    for reading in READINGS:
        lower, kept = [], []
        for attack in (SECOND, BOTH):
            victims = partial(e.controlled, "ml-100k", attack=attack)
            after = partial(victims, defense=f"low_rank:{reading}")
            before = partial(victims, defense="none")
            lower.append(estimate(attack, after("target_HR"), before("target_HR")))
            kept.append(estimate(attack, percent(after("HR"), before("HR"))))
        falls = lowers(
            "IV-C",
            f"Reconstruction lowers target HR, entered as {reading}",
            "target HR after, each attack",
            "Table III",
        )
        is_kept = keeps(
            "abstract",
            f"and keeps the overall performance, entered as {reading}",
            "HR after / before, each attack",
            "Table III",
        )
        made += [(falls, lower), (is_kept, kept)]
    return made
