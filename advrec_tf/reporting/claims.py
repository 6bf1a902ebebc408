"""The sentences of the multi-step perturbations paper: what each says, how it is checked, and what its own printed numbers say."""

import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from advrec_tf.data import NAMES as DATA_SETS
from advrec_tf.evaluation import mean_test
from advrec_tf.reporting import checks
from advrec_tf.reporting.checks import MISSING, MULTI, PRINTED_ICOV, PRINTED_PGD, Finding
from advrec_tf.reporting.evidence import Evidence, NotMeasured, printed_evidence
from advrec_tf.reporting.vocabulary import markdown

PRINTED_DATA = ("lastfm", "ml-1m")


def found(check: Callable[[Any], Finding], of: Any) -> Finding:
    """What a check finds, which is nothing where something that it asks for was not measured."""
    try:
        return check(of)
    except NotMeasured:
        return MISSING


def _of_table(check: Callable[[Evidence], Finding]) -> Callable[[str], Finding]:
    """The check on the printed Table 1 of a data set."""
    return lambda dataset: check(printed_evidence(dataset))


class Claim(NamedTuple):
    """A sentence: where it stands, what it says, how it is checked, what the paper prints, the check, what the check finds in the paper's own
    numbers of a data set (in its Table 1, if nothing else is said), whether its finding is a verdict or only told, and what it comes from ("" where
    no control says)."""

    place: str
    sentence: str
    formula: str
    printed: str
    check: Callable[[Any], Finding]  # of the Evidence of its paper
    of_print: Callable[[str], Finding] | None = None
    judged: bool = True
    because: Callable[[Any], str] | None = None

    def finding_of(self, dataset: str) -> Finding:
        """What the paper's own numbers of a data set say."""
        return found((self.of_print or _of_table(self.check)), dataset)


def claims() -> Iterator[Claim]:
    """All claims, the paper's in its order and then three that it did not ask."""
    yield Claim(
        "5.1.1", "Multi-step beats FGSM for every data set, model and metric", "BIM, PGD < FGSM in every cell", "Table 1", checks.every_cell_lower
    )
    for (model, iterations), (value, printed) in PRINTED_PGD.items():
        text = f"{printed} (FGSM / {value:.4f})"
        yield Claim("5.1.1", f"{model}: PGD is {printed} times stronger than FGSM at L = {iterations}", "nDCG of FGSM / of PGD, upper end >= printed",
                    text, checks.ratio_at(model, iterations, printed), checks.ratio_in_print(model, value, printed))  # fmt: skip
    yield Claim(
        "5.1.1", "BPR-MF at L = 25 is no better than random", "lower end of nDCG(PGD, 25) - nDCG(random) <= 0", ".0080", checks.no_better_than_random
    )
    yield Claim("5.1.1", "BPR-MF: PGD reduces accuracy by more than 2 times compared to FGSM (said of ML-1M)", "FGSM / PGD > 2 for PR, RE, nDCG",
                "2.11, 2.10, 2.14", checks.twice_as_strong)  # fmt: skip
    yield Claim("5.1.1", "PGD is not clearly better than BIM", "|PGD / BIM - 1| of nDCG < 10%", "Table 1", checks.no_clear_advantage_of_pgd)
    yield Claim("5.1.1", "BPR-MF: ICov rises by 76% by L = 25 and falls after", "ICov(BIM, 25) above the initial, lowest later below it",
                f"+76%, {PRINTED_ICOV['lowest']}", checks.coverage_rises_then_falls, checks.coverage_in_print)  # fmt: skip
    yield Claim("5.1.1", "L >= 70 destroys coverage", "ICov(BIM, L >= 70) < initial", "Figure 1c", checks.coverage_destroyed)
    yield Claim(
        "5.1.1", "EFD falls by at least 50%, whatever data, model and attack", "1 - BIM, PGD / initial >= 50%", "Table 1", checks.falls_by("EFD", 50)
    )
    yield Claim(
        "5.1.1", "SE falls by at least 20%, whatever data, model and attack", "1 - BIM, PGD / initial >= 20%", "Table 1", checks.falls_by("SE", 20)
    )
    yield Claim("5.1.1", "AMF starts above BPR-MF", "nDCG, initial", "Table 1", checks.amf_starts_above)
    yield Claim("5.1.1", "AMF loses 11.31% to FGSM", "1 - FGSM / initial of nDCG within 1 point of 11.31%", "11.31%",
                checks.amf_loses(("fgsm",), lambda loss: 1 - abs(loss - 11.31)))  # fmt: skip
    yield Claim("5.1.1", "AMF loses more than 58% on average to multi-step", "mean of 1 - BIM, PGD / initial of nDCG > 58%", "58%",
                checks.amf_loses(MULTI, lambda loss: loss - 58))  # fmt: skip
    yield Claim("5.1.1", "AMF never falls to random", "lowest nDCG over L > random", "Figure 1b", checks.amf_stays_above_random)
    yield Claim("5.1.2", "Multi-step needs 5 times less budget than FGSM at .5", ".5 / epsilon of equal nDCG >= 4.5", "5", checks.less_budget)
    yield Claim("5.2", "Denser data are more robust (BPR-MF)", "slopes of rho over density < 0", "-96.10 (PGD)", checks.slopes(("density",), -1))
    yield Claim(
        "5.2",
        "Larger or wider data are less robust (BPR-MF)",
        "slopes of rho over size and shape > 0",
        "Figure 3",
        checks.slopes(("size", "shape"), 1),
    )
    yield Claim("5.2", "AMF's slopes are flatter", "|slope| of AMF < of BPR-MF", "-3.65, -96.10 (PGD)", checks.flatter_slopes, checks.slopes_in_print)
    yield Claim("ours", "How much of multi-step's advantage over FGSM is left in the l2 ball of FGSM's own budget",
                "(FGSM - BIM l2) / (FGSM - BIM linf)", "", checks.advantage_left, checks.nothing, False)  # fmt: skip
    yield Claim(
        "ours",
        "What taking FGSM's gradient after PGD does to Table 1's FGSM columns",
        "after PGD / clean - 1",
        "",
        checks.contaminated_fgsm,
        checks.nothing,
        False,
    )
    yield Claim(
        "ours", "Initial > FGSM > BIM under a paired test over users", "p < .05 of both steps", "", checks.order_under_a_paired_test, checks.nothing
    )


def report(evidence: Evidence) -> str:
    """The claims that something was measured for, as a table: the paper's printed numbers of both data sets, and ours; "" where there is none, and
    for data of one's own, which the paper says nothing about."""
    findings = [(claim, found(claim.check, evidence)) for claim in claims()] if evidence.dataset in DATA_SETS else []
    seeds, lines = [evidence.of_seed(seed) for seed in evidence.seeds], []
    for claim, finding in findings:
        if finding.holds is not None:
            printed = [verdict(claim.finding_of(dataset), with_value=True) for dataset in PRINTED_DATA]
            judged = over_seeds([found(claim.check, seed).margin for seed in seeds]) or verdict(finding)
            lines.append([*claim[:4], *printed, finding.value, judged if claim.judged else ""])
    if not lines:
        return ""
    header = ["where", "claim", "check", "printed", "follows from its LastFM numbers", "from its ML-1M numbers"]
    judged = f"holds over {len(seeds)} seeds (p)" if len(seeds) > 1 else "holds here"
    return "## Claims\n\n" + markdown([*header, f"measured on {evidence.dataset} [95%]", judged], lines)


def over_seeds(margins: list[float]) -> str:
    """Holds, fails or not decidable, and p of a t-test of the margins over seeds against 0; "" for fewer than two.

    Where nothing was measured of a seed, the others decide.
    """
    known = [each for each in margins if math.isfinite(each)]
    p = mean_test(known)
    if math.isnan(p):
        return ""
    word = "not decidable" if p >= 0.05 else "holds" if sum(known) > 0 else "fails"
    return f"{word} ({p:.2g})"


def verdict(finding: Finding, with_value: bool = False) -> str:
    """Whether a sentence holds, in words; "" where there is nothing to judge it by."""
    if finding.holds is None:
        return ""
    word = "not decidable" if finding.unsure else "holds" if finding.holds else "does not hold"
    return f"{word} ({finding.value})" if with_value and finding.value else word
