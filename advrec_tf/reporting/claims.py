"""The sentences of the multi-step perturbations paper as checks, on its own printed numbers and on ours."""

from collections.abc import Callable, Collection, Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from advrec_tf.data import NAMES as DATA_SETS
from advrec_tf.evaluation import NAMES, bootstrap_interval, paired_test
from advrec_tf.reporting import characteristics, curves
from advrec_tf.reporting.evidence import Evidence, printed_evidence
from advrec_tf.reporting.vocabulary import FGSM, MODELS, markdown, select

BIM, PGD, BIM_L2 = ("bim", "linf", "zero"), ("pgd", "linf", "uniform"), ("bim", "l2", "zero")
MULTI = {"bim": BIM, "pgd": PGD}
PRINTED_DATA = ("lastfm", "ml-1m")
# nDCG of PGD at L iterations that the text prints, for LastFM, and how many times stronger than FGSM it calls it.
PRINTED_PGD = {("BPR-MF", 25): (0.0080, 15.1), ("BPR-MF", 40): (0.0060, 20.4), ("BPR-MF", 50): (0.0051, 23.8),
               ("AMF", 20): (0.1448, 1.48), ("AMF", 30): (0.1154, 1.86), ("AMF", 50): (0.1106, 1.94)}  # fmt: skip
PRINTED_ICOV = {"at 25": 10928, "lowest": 1948}


class Finding(NamedTuple):
    """What a check found: the value in words, and whether the sentence holds (None: not measured)."""

    value: str
    holds: bool | None


MISSING = Finding("", None)


def _of_table(check: Callable[[Evidence], Finding]) -> Callable[[str], Finding]:
    """The check on the printed Table 1 of a data set."""
    return lambda dataset: check(printed_evidence(dataset))


class Claim(NamedTuple):
    """A sentence: where it stands, what it says, how it is checked, what the paper prints, the check, what the check finds in the paper's own
    numbers of a data set (in its Table 1, if nothing else is said), and whether its finding is a verdict or only told."""

    place: str
    sentence: str
    formula: str
    printed: str
    check: Callable[[Any], Finding]  # of the Evidence of its paper
    of_print: Callable[[str], Finding] | None = None
    judged: bool = True

    def finding_of(self, dataset: str) -> Finding:
        """What the paper's own numbers of a data set say."""
        return (self.of_print or _of_table(self.check))(dataset)


def _every_cell_lower(e: Evidence) -> Finding:
    if e.cells.empty:
        return MISSING
    pairs = [(e.cells.get((m, metric, a)), e.cells.get((m, metric, "fgsm"))) for m in MODELS for metric in NAMES for a in MULTI]
    lower = sum(attacked < fgsm for attacked, fgsm in pairs)
    return Finding(f"{lower} of {len(pairs)} cells", lower == len(pairs))


def _twice_as_strong(e: Evidence) -> Finding:
    if e.cells.empty:
        return MISSING
    ratios = [e.cells["BPR-MF", metric, "fgsm"] / e.cells["BPR-MF", metric, "pgd"] for metric in ("PR", "RE", "nDCG")]
    return Finding(", ".join(f"{r:.2f}" for r in ratios), min(ratios) > 2)


def _no_clear_advantage_of_pgd(e: Evidence) -> Finding:
    if e.cells.empty:
        return MISSING
    changes = [100 * (e.cells[m, "nDCG", "pgd"] / e.cells[m, "nDCG", "bim"] - 1) for m in MODELS]
    intervals = [_change_interval([e.users(m, PGD)], e.users(m, BIM)) for m in MODELS]
    return Finding(", ".join(f"{m} {c:+.1f}%{i}" for m, c, i in zip(MODELS, changes, intervals)), max(map(abs, changes)) < 10)


def _change_interval(after: list[np.ndarray | None], before: np.ndarray | None) -> str:
    """The interval, over users, of the mean of `after` in percent above `before`; blank where the users' values are not there."""
    known = [each for each in after if each is not None]
    if before is None or len(known) < len(after):
        return ""
    low, high = (100 * (end - 1) for end in bootstrap_interval(np.mean(known, axis=0), before))
    return f" [{low:+.1f}, {high:+.1f}]"


def _falls_by(metric: str, least: float) -> Callable[[Evidence], Finding]:
    def check(e: Evidence) -> Finding:
        if e.cells.empty:
            return MISSING
        falls = [100 * (1 - e.cells[m, metric, a] / e.cells[m, metric, "initial"]) for m in MODELS for a in MULTI]
        return Finding(f"{min(falls):.1f}% to {max(falls):.1f}%", min(falls) >= least)

    return check


def _amf_starts_above(e: Evidence) -> Finding:
    if e.cells.empty:
        return MISSING
    values = [e.cells[m, "nDCG", "initial"] for m in MODELS]
    change = _change_interval([e.users("AMF")], e.users("BPR-MF"))
    return Finding("{:.4f}, {:.4f}".format(*values) + (change and f", change in percent{change}"), values[1] > values[0])


def _amf_loses(attacks: Collection[str], check: Callable[[float], bool]) -> Callable[[Evidence], Finding]:
    def find(e: Evidence) -> Finding:
        if e.cells.empty:
            return MISSING
        loss = np.mean([100 * (1 - e.cells["AMF", "nDCG", a] / e.cells["AMF", "nDCG", "initial"]) for a in attacks])
        attacked = [e.users("AMF", MULTI.get(a, FGSM)) for a in attacks]
        change = _change_interval(attacked, e.users("AMF"))
        return Finding(f"{loss:.2f}%" + (change and f", change{change}"), bool(check(loss)))

    return find


def _ratio_at(model: str, iterations: int, printed: float) -> Callable[[Evidence], Finding]:
    def check(e: Evidence) -> Finding:
        if e.iterations is None:
            return MISSING
        fgsm, pgd = e.users(model, FGSM), e.users(model, PGD, iterations)
        if fgsm is None or pgd is None:
            return MISSING
        if not pgd.any():
            return Finding("nothing is left", True)
        low, high = bootstrap_interval(fgsm, pgd)
        return Finding(f"{fgsm.mean() / pgd.mean():.2f} [{low:.2f}, {high:.2f}]", high >= printed)

    return check


def _nothing(dataset: str) -> Finding:
    """Of what the paper does not print."""
    return MISSING


def _ratio_in_print(model: str, value: float, printed: float) -> Callable[[str], Finding]:
    def find(dataset: str) -> Finding:
        if dataset != "lastfm":
            return MISSING
        ratio = printed_evidence(dataset).cells[model, "nDCG", "fgsm"] / value
        return Finding(f"{ratio:.2f}", bool(abs(ratio - printed) < 0.15))

    return find


def _coverage_in_print(dataset: str) -> Finding:
    if dataset != "lastfm":
        return MISSING
    change = 100 * (PRINTED_ICOV["at 25"] / printed_evidence(dataset).cells["BPR-MF", "ICov", "initial"] - 1)
    return Finding(f"{change:+.0f}% at 25, lowest {PRINTED_ICOV['lowest']}", True)


def _slopes_in_print(dataset: str) -> Finding:
    if dataset != "ml-1m":
        return MISSING
    own, other = (abs(characteristics.PUBLISHED_SLOPES[model, "PGD"]) for model in ("AMF", "BPR-MF"))
    return Finding(f"{own} < {other}", own < other)


def _no_better_than_random(e: Evidence) -> Finding:
    if e.iterations is None or (pgd := e.users("BPR-MF", PGD, 25)) is None or (random := e.users("Random")) is None:
        return MISSING
    low, high = bootstrap_interval(pgd - random)
    return Finding(f"{pgd.mean():.4f}, random {random.mean():.4f}, difference [{low:.4f}, {high:.4f}]", low <= 0)


def _coverage_rises_then_falls(e: Evidence) -> Finding:
    if e.iterations is None or 25 not in (curve := e.curve("BPR-MF", "bim", "ICov")).index:
        return MISSING
    initial = select(e.iterations, "BPR-MF")["ICov"].mean()
    if not len(later := curve[curve.index > 25]):
        return MISSING
    change, lowest = 100 * (curve[25] / initial - 1), later.min()
    return Finding(f"{change:+.0f}% at 25, lowest later {lowest:.0f}", bool(change > 0 and lowest < initial))


def _coverage_destroyed(e: Evidence) -> Finding:
    if e.iterations is None or not len(late := (curve := e.curve("BPR-MF", "bim", "ICov"))[curve.index >= 70]):
        return MISSING
    initial = select(e.iterations, "BPR-MF")["ICov"].mean()
    return Finding(f"{late.max():.0f} at most, initially {initial:.0f}", bool(late.max() < initial))


def _amf_stays_above_random(e: Evidence) -> Finding:
    if e.iterations is None:
        return MISSING
    lowest = min(e.curve("AMF", a, "nDCG").min() for a in MULTI)
    random = select(e.iterations, "Random")["nDCG"].mean()
    return Finding(f"lowest {lowest:.4f}, random {random:.4f}", bool(lowest > random))


def _less_budget(e: Evidence) -> Finding:
    if e.budget is None or not len(table := curves.equal_harm_table(e.budget)):
        return MISSING
    means = table[table["attack"].isin(["BIM", "PGD"])].groupby(["model", "attack"], sort=False)["times less"].mean()
    return Finding(", ".join(f"{m} {a} {value:.1f}" for (m, a), value in means.items()), bool(means.min() >= 4.5))


def _slopes(names: tuple[str, ...], sign: int) -> Callable[[Evidence], Finding]:
    def check(e: Evidence) -> Finding:
        if e.losses is None:
            return MISSING
        fits = _fits(e).loc["BPR-MF"]
        parts = {(a, n): fits.loc[(a, n)] for a in characteristics.ATTACKS for n in names}
        text = ", ".join(f"{a} {n} {fit['slope']:.3g} ± {1.96 * fit['error']:.2g}" for (a, n), fit in parts.items())
        if any(np.isnan(fit["slope"]) for fit in parts.values()):
            return MISSING
        return Finding(text, all(sign * fit["slope"] > 0 for fit in parts.values()))

    return check


def _flatter_slopes(e: Evidence) -> Finding:
    if e.losses is None:
        return MISSING
    fits = _fits(e)["slope"].abs()
    if fits.isna().any():
        return MISSING
    flatter = [fits["AMF", a, n] < fits["BPR-MF", a, n] for a in characteristics.ATTACKS for n in characteristics.CHARACTERISTICS]
    return Finding(f"{sum(flatter)} of {len(flatter)} slopes", all(flatter))


def _fits(e: Evidence) -> pd.DataFrame:
    shown = characteristics.at_iterations(e.losses, characteristics.shown_iterations(e.losses))
    return characteristics.slopes(shown).set_index(["model", "attack", "characteristic"])


def _advantage_left(e: Evidence) -> Finding:
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


def _contaminated_fgsm(e: Evidence) -> Finding:
    if e.cells.empty or ("AMF", "SE", "fgsm after pgd") not in e.cells.index:
        return MISSING
    pairs = [(m, metric, *(e.cells[m, metric, c] for c in ("fgsm", "fgsm after pgd"))) for m in MODELS for metric in ("nDCG", "SE")]
    return Finding(", ".join(f"{m} {metric} {100 * (after / clean - 1):+.1f}%" for m, metric, clean, after in pairs), True)


def _order_under_a_paired_test(e: Evidence) -> Finding:
    if e.iterations is None:
        return MISSING
    found, holds = [], True
    for model in MODELS:
        series = [each for each in (e.users(model), e.users(model, FGSM), e.users(model, BIM)) if each is not None]
        if len(series) < 3:
            return MISSING
        tests = [paired_test(a, b) for a, b in zip(series, series[1:])]
        holds = holds and all(difference > 0 and p < 0.05 for difference, p in tests)
        found.append(f"{model} p = " + ", ".join(f"{p:.4f}" for _, p in tests))
    return Finding("; ".join(found), holds)


def claims() -> Iterator[Claim]:
    """All claims, the paper's in its order and then three that it did not ask."""
    yield Claim("5.1.1", "Multi-step beats FGSM for every data set, model and metric", "BIM, PGD < FGSM in every cell", "Table 1", _every_cell_lower)
    for (model, iterations), (value, printed) in PRINTED_PGD.items():
        text = f"{printed} (FGSM / {value:.4f})"
        yield Claim("5.1.1", f"{model}: PGD is {printed} times stronger than FGSM at L = {iterations}", "nDCG of FGSM / of PGD, upper end >= printed",
                    text, _ratio_at(model, iterations, printed), _ratio_in_print(model, value, printed))  # fmt: skip
    yield Claim(
        "5.1.1", "BPR-MF at L = 25 is no better than random", "lower end of nDCG(PGD, 25) - nDCG(random) <= 0", ".0080", _no_better_than_random
    )
    yield Claim("5.1.1", "BPR-MF: PGD reduces accuracy by more than 2 times compared to FGSM (said of ML-1M)", "FGSM / PGD > 2 for PR, RE, nDCG",
                "2.11, 2.10, 2.14", _twice_as_strong)  # fmt: skip
    yield Claim("5.1.1", "PGD is not clearly better than BIM", "|PGD / BIM - 1| of nDCG < 10%", "Table 1", _no_clear_advantage_of_pgd)
    yield Claim("5.1.1", "BPR-MF: ICov rises by 76% by L = 25 and falls after", "ICov(BIM, 25) above the initial, lowest later below it",
                f"+76%, {PRINTED_ICOV['lowest']}", _coverage_rises_then_falls, _coverage_in_print)  # fmt: skip
    yield Claim("5.1.1", "L >= 70 destroys coverage", "ICov(BIM, L >= 70) < initial", "Figure 1c", _coverage_destroyed)
    yield Claim(
        "5.1.1", "EFD falls by at least 50%, whatever data, model and attack", "1 - BIM, PGD / initial >= 50%", "Table 1", _falls_by("EFD", 50)
    )
    yield Claim("5.1.1", "SE falls by at least 20%, whatever data, model and attack", "1 - BIM, PGD / initial >= 20%", "Table 1", _falls_by("SE", 20))
    yield Claim("5.1.1", "AMF starts above BPR-MF", "nDCG, initial", "Table 1", _amf_starts_above)
    yield Claim("5.1.1", "AMF loses 11.31% to FGSM", "1 - FGSM / initial of nDCG within 1 point of 11.31%", "11.31%",
                _amf_loses(("fgsm",), lambda loss: abs(loss - 11.31) <= 1))  # fmt: skip
    yield Claim("5.1.1", "AMF loses more than 58% on average to multi-step", "mean of 1 - BIM, PGD / initial of nDCG > 58%", "58%",
                _amf_loses(MULTI, lambda loss: loss > 58))  # fmt: skip
    yield Claim("5.1.1", "AMF never falls to random", "lowest nDCG over L > random", "Figure 1b", _amf_stays_above_random)
    yield Claim("5.1.2", "Multi-step needs 5 times less budget than FGSM at .5", ".5 / epsilon of equal nDCG >= 4.5", "5", _less_budget)
    yield Claim("5.2", "Denser data are more robust (BPR-MF)", "slopes of rho over density < 0", "-96.10 (PGD)", _slopes(("density",), -1))
    yield Claim(
        "5.2", "Larger or wider data are less robust (BPR-MF)", "slopes of rho over size and shape > 0", "Figure 3", _slopes(("size", "shape"), 1)
    )
    yield Claim("5.2", "AMF's slopes are flatter", "|slope| of AMF < of BPR-MF", "-3.65, -96.10 (PGD)", _flatter_slopes, _slopes_in_print)
    yield Claim("ours", "How much of multi-step's advantage over FGSM is left in the l2 ball of FGSM's own budget",
                "(FGSM - BIM l2) / (FGSM - BIM linf)", "", _advantage_left, _nothing, False)  # fmt: skip
    yield Claim(
        "ours",
        "What taking FGSM's gradient after PGD does to Table 1's FGSM columns",
        "after PGD / clean - 1",
        "",
        _contaminated_fgsm,
        _nothing,
        False,
    )
    yield Claim("ours", "Initial > FGSM > BIM under a paired test over users", "p < .05 of both steps", "", _order_under_a_paired_test, _nothing)


def report(evidence: Evidence) -> str:
    """The claims that something was measured for, as a table: the paper's printed numbers of both data sets, and ours; "" where there is none, and
    for data of one's own, which the paper says nothing about."""
    findings = [(claim, claim.check(evidence)) for claim in claims()] if evidence.dataset in DATA_SETS else []
    lines = []
    for claim, found in findings:
        if found.holds is not None:
            printed = [verdict(claim.finding_of(dataset), with_value=True) for dataset in PRINTED_DATA]
            lines.append([*claim[:4], *printed, found.value, verdict(found) if claim.judged else ""])
    if not lines:
        return ""
    header = ["where", "claim", "check", "printed", "follows from its LastFM numbers", "from its ML-1M numbers"]
    return "## Claims\n\n" + markdown([*header, f"measured on {evidence.dataset} [95%]", "holds here"], lines)


def verdict(finding: Finding, with_value: bool = False) -> str:
    """Whether a sentence holds, in words; "" where there is nothing to judge it by."""
    if finding.holds is None:
        return ""
    word = "holds" if finding.holds else "does not hold"
    return f"{word} ({finding.value})" if with_value and finding.value else word
