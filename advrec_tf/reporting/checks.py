"""How the sentences of the multi-step perturbations paper are checked: each a function of what was measured, or of what is printed."""

import math
from collections.abc import Callable, Collection
from itertools import product
from typing import NamedTuple

import numpy as np
import pandas as pd

from advrec_tf.evaluation import NAMES, bootstrap_interval, paired_test
from advrec_tf.reporting import characteristics, curves
from advrec_tf.reporting.evidence import Evidence, printed_evidence
from advrec_tf.reporting.vocabulary import FGSM, MODELS, select

BIM, PGD, BIM_L2 = ("bim", "linf", "zero"), ("pgd", "linf", "uniform"), ("bim", "l2", "zero")
MULTI = {"bim": BIM, "pgd": PGD}
PRINTED_DATA = ("lastfm", "ml-1m")
# nDCG of PGD at L iterations that the text prints, for LastFM, and how many times stronger than FGSM it calls it.
PRINTED_PGD = {("BPR-MF", 25): (0.0080, 15.1), ("BPR-MF", 40): (0.0060, 20.4), ("BPR-MF", 50): (0.0051, 23.8),
               ("AMF", 20): (0.1448, 1.48), ("AMF", 30): (0.1154, 1.86), ("AMF", 50): (0.1106, 1.94)}  # fmt: skip
PRINTED_ICOV = {"at 25": 10928, "lowest": 1948}


class Finding(NamedTuple):
    """What a check found: the value in words, whether the sentence holds (None: not measured), by how much it does (negative where it does not;
    NaN where that says nothing), in a unit of the check's own, and whether what was found is within its own error of the opposite."""

    value: str
    holds: bool | None
    margin: float = math.nan
    unsure: bool = False


MISSING = Finding("", None)


def every_cell_lower(e: Evidence) -> Finding:
    """BIM's and PGD's cells of Table 1 below FGSM's."""
    pairs = [(e.cell(m, metric, a), e.cell(m, metric, "fgsm")) for m in MODELS for metric in NAMES for a in MULTI]
    falls = [1 - attacked / fgsm for attacked, fgsm in pairs]
    lower = sum(fall > 0 for fall in falls)
    return Finding(f"{lower} of {len(pairs)} cells", lower == len(pairs), min(falls))


def twice_as_strong(e: Evidence) -> Finding:
    """FGSM's accuracy over PGD's, of BPR-MF."""
    ratios = [e.cell("BPR-MF", metric, "fgsm") / e.cell("BPR-MF", metric, "pgd") for metric in ("PR", "RE", "nDCG")]
    return Finding(", ".join(f"{r:.2f}" for r in ratios), min(ratios) > 2, min(ratios) - 2)


def no_clear_advantage_of_pgd(e: Evidence) -> Finding:
    """PGD's nDCG beside BIM's, in percent."""
    changes = [100 * (e.cell(m, "nDCG", "pgd") / e.cell(m, "nDCG", "bim") - 1) for m in MODELS]
    intervals = [_change_interval([e.users(m, PGD)], e.users(m, BIM)) for m in MODELS]
    largest = max(map(abs, changes))
    return Finding(", ".join(f"{m} {c:+.1f}%{i}" for m, c, i in zip(MODELS, changes, intervals)), largest < 10, 10 - largest)


def _change_interval(after: list[np.ndarray | None], before: np.ndarray | None) -> str:
    """The interval, over users, of the mean of `after` in percent above `before`; blank where the users' values are not there."""
    known = [each for each in after if each is not None]
    if before is None or len(known) < len(after):
        return ""
    low, high = (100 * (end - 1) for end in bootstrap_interval(np.mean(known, axis=0), before))
    return f" [{low:+.1f}, {high:+.1f}]"


def falls_by(metric: str, least: float) -> Callable[[Evidence], Finding]:
    """The least and largest fall of a metric under BIM and PGD, in percent, against the least that is said."""

    def check(e: Evidence) -> Finding:
        falls = [100 * (1 - e.cell(m, metric, a) / e.cell(m, metric, "initial")) for m in MODELS for a in MULTI]
        return Finding(f"{min(falls):.1f}% to {max(falls):.1f}%", min(falls) >= least, min(falls) - least)

    return check


def amf_starts_above(e: Evidence) -> Finding:
    """Unperturbed nDCG of AMF beside BPR-MF's."""
    values = [e.cell(m, "nDCG", "initial") for m in MODELS]
    change = _change_interval([e.users("AMF")], e.users("BPR-MF"))
    return Finding("{:.4f}, {:.4f}".format(*values) + (change and f", change in percent{change}"), values[1] > values[0], values[1] - values[0])


def amf_loses(attacks: Collection[str], margin: Callable[[float], float]) -> Callable[[Evidence], Finding]:
    """AMF's mean loss of nDCG to some attacks, in percent; margin: by how much the sentence holds for a loss"""

    def find(e: Evidence) -> Finding:
        loss = float(np.mean([100 * (1 - e.cell("AMF", "nDCG", a) / e.cell("AMF", "nDCG", "initial")) for a in attacks]))
        attacked = [e.users("AMF", MULTI.get(a, FGSM)) for a in attacks]
        change = _change_interval(attacked, e.users("AMF"))
        return Finding(f"{loss:.2f}%" + (change and f", change{change}"), margin(loss) > 0, margin(loss))

    return find


def ratio_at(model: str, iterations: int, printed: float) -> Callable[[Evidence], Finding]:
    """FGSM's nDCG over PGD's after some iterations, with its interval, against the printed ratio."""

    def check(e: Evidence) -> Finding:
        fgsm, pgd = e.mean(model, FGSM), e.mean(model, PGD, iterations)
        if not pgd:
            return Finding("nothing is left", True)
        ratio, users, beside = fgsm / pgd, e.users(model, FGSM), e.users(model, PGD, iterations)
        if users is None or beside is None:
            return Finding(f"{ratio:.2f}", ratio >= printed, ratio - printed)
        low, high = bootstrap_interval(users, beside)
        return Finding(f"{ratio:.2f} [{low:.2f}, {high:.2f}]", high >= printed, ratio - printed)

    return check


def nothing(dataset: str) -> Finding:
    """Of what the paper does not print."""
    return MISSING


def ratio_in_print(model: str, value: float, printed: float) -> Callable[[str], Finding]:
    """The same from the nDCG that the text prints."""

    def find(dataset: str) -> Finding:
        if dataset != "lastfm":
            return MISSING
        ratio = printed_evidence(dataset).cells[model, "nDCG", "fgsm"] / value
        return Finding(f"{ratio:.2f}", bool(abs(ratio - printed) < 0.15))

    return find


def coverage_in_print(dataset: str) -> Finding:
    """The rise of ICov that the text prints."""
    if dataset != "lastfm":
        return MISSING
    change = 100 * (PRINTED_ICOV["at 25"] / printed_evidence(dataset).cells["BPR-MF", "ICov", "initial"] - 1)
    return Finding(f"{change:+.0f}% at 25, lowest {PRINTED_ICOV['lowest']}", True)


def slopes_in_print(dataset: str) -> Finding:
    """The two slopes that the text prints."""
    if dataset != "ml-1m":
        return MISSING
    own, other = (abs(characteristics.PUBLISHED_SLOPES[model]) for model in ("AMF", "BPR-MF"))
    return Finding(f"{own} < {other}", own < other)


def no_better_than_random(e: Evidence) -> Finding:
    """nDCG under PGD at 25 iterations beside a random recommender's, with the interval of the difference."""
    below = e.mean("Random") - (pgd := e.mean("BPR-MF", PGD, 25))
    text, users, random = f"{pgd:.4f}, random {e.mean('Random'):.4f}", e.users("BPR-MF", PGD, 25), e.users("Random")
    if users is None or random is None:
        return Finding(text, below >= 0, below)
    low, high = bootstrap_interval(users - random)
    return Finding(f"{text}, difference [{low:.4f}, {high:.4f}]", low <= 0, below)


def coverage_rises_then_falls(e: Evidence) -> Finding:
    """ICov at 25 iterations of BIM, and the lowest after."""
    if e.iterations is None or 25 not in (curve := e.curve("BPR-MF", "bim", "ICov")).index:
        return MISSING
    initial = select(e.iterations, "BPR-MF")["ICov"].mean()
    if not len(later := curve[curve.index > 25]):
        return MISSING
    change, lowest = 100 * (curve[25] / initial - 1), later.min()
    return Finding(f"{change:+.0f}% at 25, lowest later {lowest:.0f}", bool(change > 0 and lowest < initial), min(change / 100, 1 - lowest / initial))


def coverage_destroyed(e: Evidence) -> Finding:
    """The highest ICov from 70 iterations of BIM on."""
    if e.iterations is None or not len(late := (curve := e.curve("BPR-MF", "bim", "ICov"))[curve.index >= 70]):
        return MISSING
    initial = select(e.iterations, "BPR-MF")["ICov"].mean()
    return Finding(f"{late.max():.0f} at most, initially {initial:.0f}", bool(late.max() < initial), initial - late.max())


def amf_stays_above_random(e: Evidence) -> Finding:
    """AMF's lowest nDCG beside a random recommender's."""
    if e.iterations is None:
        return MISSING
    lowest = min(e.curve("AMF", a, "nDCG").min() for a in MULTI)
    random = select(e.iterations, "Random")["nDCG"].mean()
    return Finding(f"lowest {lowest:.4f}, random {random:.4f}", bool(lowest > random), lowest - random)


def less_budget(e: Evidence) -> Finding:
    """How many times less epsilon BIM and PGD need for the harm of FGSM at .5."""
    if e.budget is None or not len(table := curves.equal_harm_table(e.budget)):
        return MISSING
    means = table[table["attack"].isin(["BIM", "PGD"])].groupby(["model", "attack"], sort=False)["times less"].mean()
    return Finding(", ".join(f"{m} {a} {value:.1f}" for (m, a), value in means.items()), bool(means.min() >= 4.5), means.min() - 4.5)


def slopes(names: tuple[str, ...], sign: int) -> Callable[[Evidence], Finding]:
    """The signs of BPR-MF's slopes of rho over some characteristics."""

    def check(e: Evidence) -> Finding:
        if e.losses is None:
            return MISSING
        fits = _fits(e).loc["BPR-MF"]
        parts = {(a, n): fits.loc[(a, n)] for a in characteristics.ATTACKS for n in names}
        text = ", ".join(f"{a} {n} {fit['slope']:.3g} [{fit['low']:.3g}, {fit['high']:.3g}]" for (a, n), fit in parts.items())
        if any(np.isnan(fit["slope"]) for fit in parts.values()):
            return MISSING
        least = min(sign * fit["slope"] for fit in parts.values())
        unsure = any(fit["low"] <= 0 <= fit["high"] for fit in parts.values())
        return Finding(text, least > 0, least, unsure)

    return check


def flatter_slopes(e: Evidence) -> Finding:
    """How many of AMF's slopes of rho are flatter than BPR-MF's."""
    if e.losses is None:
        return MISSING
    fits = _fits(e)
    if fits["slope"].isna().any():
        return MISSING
    pairs = [(fits.loc[("AMF", *where)], fits.loc[("BPR-MF", *where)]) for where in product(characteristics.ATTACKS, characteristics.CHARACTERISTICS)]
    flatter = [1 - abs(own["slope"] / other["slope"]) for own, other in pairs]
    apart = [own["high"] < other["low"] or other["high"] < own["low"] for own, other in pairs]
    text = f"{sum(each > 0 for each in flatter)} of {len(flatter)} slopes; {sum(apart)} with intervals apart"
    return Finding(text, min(flatter) > 0, min(flatter), not all(apart))


def _fits(e: Evidence) -> pd.DataFrame:
    return characteristics.slopes(characteristics.shown(e.losses)).set_index(["model", "attack", "characteristic"])


def advantage_left(e: Evidence) -> Finding:
    """What FGSM's own l2 ball leaves of BIM's advantage over it, in percent, with its interval."""
    if e.iterations is None:
        return MISSING
    shares = []
    for model in MODELS:
        fgsm, wide, narrow = e.users(model, FGSM), e.users(model, BIM), e.users(model, BIM_L2)
        if fgsm is None or wide is None or narrow is None:
            return MISSING
        low, high = bootstrap_interval(fgsm - narrow, fgsm - wide)
        shares.append(f"{model} {100 * (fgsm - narrow).mean() / (fgsm - wide).mean():.1f}% [{100 * low:.1f}, {100 * high:.1f}]")
    return Finding(", ".join(shares), True)


def contaminated_fgsm(e: Evidence) -> Finding:
    """What it changes to take FGSM's gradient after PGD, in percent."""
    found = []
    for model, metric in product(MODELS, ("nDCG", "SE")):
        change = 100 * (e.cell(model, metric, "fgsm after pgd") / e.cell(model, metric, "fgsm") - 1)
        found.append(f"{model} {metric} {change:+.1f}%")
    return Finding(", ".join(found), True)


def order_under_a_paired_test(e: Evidence) -> Finding:
    """Initial above FGSM above BIM, each step tested over users."""
    if e.iterations is None:
        return MISSING
    found, holds, least = [], True, math.inf
    for model in MODELS:
        series = [each for each in (e.users(model), e.users(model, FGSM), e.users(model, BIM)) if each is not None]
        if len(series) < 3:
            return MISSING
        tests = [paired_test(a, b) for a, b in zip(series, series[1:])]
        holds = holds and all(difference > 0 and p < 0.05 for difference, p in tests)
        least = min(least, *(difference for difference, _ in tests))
        found.append(f"{model} p = " + ", ".join(f"{p:.4f}" for _, p in tests))
    return Finding("; ".join(found), holds, least)
