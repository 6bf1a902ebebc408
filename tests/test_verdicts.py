"""Verdicts against SciPy and values by hand."""

import math

import numpy as np
import pytest
from scipy import stats

from advrec_tf.evaluation import holm
from advrec_tf.evaluation.verdicts import (
    Claim,
    Estimate,
    Relation,
    Replication,
    Word,
    claim_p,
    judge,
    part_p,
)

VALUES = np.array([0.9, 1.1, 1.4, 0.8, 1.3])
OTHERS = np.array([0.7, 1.2, 1.0, 0.9, 1.1])


def claim(relation, **more):
    fields = {"section": "5", "sentence": "s", "quantity": "q", "replication": Replication.TRAINING}
    return Claim(**fields | {"relation": relation} | more)


def test_strict_relations_are_students_one_sided_tests():
    part = Estimate.of("", VALUES)
    above = stats.ttest_1samp(VALUES, 0.8, alternative="greater").pvalue
    below = stats.ttest_1samp(VALUES, 0.8, alternative="less").pvalue
    assert part_p(claim(Relation.GREATER, reference=0.8), part) == pytest.approx((above, below))
    assert part_p(claim(Relation.LESS, reference=0.8), part) == pytest.approx((below, above))


def test_a_relation_to_another_quantity_is_a_paired_test():
    part = Estimate.of("", VALUES, OTHERS)
    above = stats.ttest_rel(VALUES, OTHERS, alternative="greater").pvalue
    assert part_p(claim(Relation.GREATER_THAN_OTHER, other="r"), part)[0] == pytest.approx(above)
    assert part_p(claim(Relation.LESS_THAN_OTHER, other="r"), part)[1] == pytest.approx(above)
    assert part.pair == pytest.approx((1.1, 0.98)) and part.mean == pytest.approx(0.12)


def test_equality_is_two_one_sided_tests_and_its_failure_one_on_both_sides():
    part = Estimate.of("", VALUES)
    for reference, margin in ((1.0, 0.4), (1.0, 0.05), (0.2, 0.1), (2.5, 0.3)):
        tests = [
            stats.ttest_1samp(VALUES, reference + side * margin, alternative=way).pvalue
            for side, way in ((-1, "greater"), (1, "less"), (-1, "less"), (1, "greater"))
        ]
        wanted = max(tests[:2]), min(1, 2 * min(tests[2:]))
        equal = claim(Relation.EQUAL, reference=reference, margin=margin)
        assert part_p(equal, part) == pytest.approx(wanted)


def test_an_interval_is_students():
    wanted = stats.t.interval(0.95, 4, VALUES.mean(), stats.sem(VALUES))
    assert Estimate.of("", VALUES).interval == pytest.approx(wanted)
    assert np.isnan(Estimate.of("", [1.0]).interval).all()


def test_a_slope_is_scipys():
    x, y = np.arange(5.0), VALUES
    line, part = stats.linregress(x, y), Estimate.of_slope("", x, y)
    assert (part.mean, part.error, part.degrees) == pytest.approx((line.slope, line.stderr, 3))
    two_sided = 2 * min(part.p_above(0), part.p_below(0))
    assert two_sided == pytest.approx(line.pvalue)
    assert Estimate.of_slope("", [1, 1, 2, 2], VALUES[:4]).count == 0


def test_replicates_that_miss_a_value_are_left_out_as_pairs():
    part = Estimate.of("", [1.0, np.nan, 3.0, 5.0], [0.5, 1.0, np.nan, 1.5])
    assert (part.count, part.mean, part.degrees) == (2, 2.0, 1)
    assert Estimate.of("", [np.inf, 1.0]).count == 1


def test_holm_by_hand():
    """.01 x 4, .02 x 3 and .03 x 2 are .04, .06, .06; .5 stays."""
    assert holm([0.03, np.nan, 0.01, 0.5, 0.02]) == pytest.approx(
        [0.06, np.nan, 0.04, 0.5, 0.06], nan_ok=True
    )
    assert holm([0.9, 0.8]).tolist() == [1, 1] and holm([]).size == 0


def test_a_claim_holds_if_all_parts_hold_and_fails_if_one_fails():
    relation = claim(Relation.GREATER, reference=0.8)
    strong, weak = Estimate.of("a", VALUES + 1), Estimate.of("b", VALUES - 1)
    (strong_holds, strong_fails), (weak_holds, weak_fails) = (
        part_p(relation, each) for each in (strong, weak)
    )
    assert claim_p(relation, [strong, weak]) == pytest.approx((weak_holds, 2 * weak_fails))
    assert claim_p(relation, [strong, strong]) == pytest.approx(
        (strong_holds, min(1, 2 * strong_fails))
    )
    assert judge([(relation, [strong, weak])])[0].word is Word.FAILS
    assert judge([(relation, [strong, strong])])[0].word is Word.HOLDS


def test_a_part_that_cannot_be_tested_keeps_a_claim_from_holding_alone():
    relation = claim(Relation.LESS, reference=0.8)
    constant = Estimate.of("same", [0.8] * 5)
    low, high = Estimate.of("low", VALUES - 1), Estimate.of("high", VALUES + 1)
    (verdict,) = judge([(relation, [constant, low])])
    assert verdict.word is Word.UNDECIDED
    assert verdict.reason == "same: no variance over training seeds"
    (verdict,) = judge([(relation, [constant, low, high])])
    assert verdict.word is Word.FAILS and verdict.p == pytest.approx(2 * part_p(relation, high)[1])


@pytest.mark.parametrize(
    ("quantile", "word"),
    [
        (0.951, Word.HOLDS),
        (0.949, Word.UNDECIDED),
        (0.91, Word.UNDECIDED),
        (0.051, Word.UNDECIDED),
        (0.049, Word.FAILS),
    ],
)
def test_the_level_is_5_percent(quantile, word):
    part = Estimate("", stats.t.ppf(quantile, 4), 1.0, 4, 5)
    (verdict,) = judge([(claim(Relation.GREATER), [part])])
    assert verdict.word is word and verdict.p == pytest.approx(min(quantile, 1 - quantile))


def test_all_claims_of_a_page_are_corrected_together():
    """p of .03 alone holds; beside another it is .06."""
    part = Estimate("", stats.t.ppf(0.97, 4), 1.0, 4, 5)
    case = claim(Relation.GREATER), [part]
    assert judge([case])[0].word is Word.HOLDS
    verdicts = judge([case, case])
    assert [verdict.word for verdict in verdicts] == [Word.UNDECIDED] * 2
    assert verdicts[0].p == pytest.approx(0.06) and verdicts[0].alone == pytest.approx(0.03)
    unmeasured = claim(Relation.GREATER), []
    assert [each.word for each in judge([case, unmeasured])] == [Word.HOLDS, Word.UNMEASURED]


def test_few_or_equal_replicates_decide_nothing():
    for values, reason in (
        ([1.0], "fewer than 2 training seeds"),
        ([1.0, 1.0, 1.0], "no variance over training seeds"),
    ):
        (verdict,) = judge([(claim(Relation.GREATER), [Estimate.of("", values)])])
        assert verdict.word is Word.UNDECIDED and verdict.reason == reason
        assert math.isnan(verdict.p)


def test_a_claim_with_a_missing_part_is_not_measured():
    parts = [Estimate.of("a", VALUES), Estimate.of("b", [])]
    (verdict,) = judge([(claim(Relation.GREATER), parts)])
    assert verdict.word is Word.UNMEASURED


def test_an_exact_claim_is_not_tested_and_does_not_count():
    exact = claim(Relation.EQUAL, replication=Replication.EXACT)
    part = Estimate("", stats.t.ppf(0.97, 4), 1.0, 4, 5)
    cases = [(exact, [Estimate.of("", [value])]) for value in (0.0, 1e-9)]
    verdicts = judge([*cases, (claim(Relation.GREATER), [part])])
    assert [verdict.word for verdict in verdicts] == [Word.HOLDS, Word.FAILS, Word.HOLDS]


def test_the_check_is_made_of_the_fields():
    equal = claim(Relation.EQUAL, quantity="FGSM / PGD", reference=15.1, margin=0.755)
    assert equal.check == "FGSM / PGD: equal to 15.1 within 0.755"
    share = claim(Relation.EQUAL, reference=76, margin=5, unit="%")
    assert share.check == "q: equal to 76% within 5 points"
    assert claim(Relation.GREATER, reference=58, unit="%").check == "q: greater than 58%"
    assert claim(Relation.LESS_THAN_OTHER, other="r").check == "q: less than r"


@pytest.mark.parametrize(
    ("value", "met"), [(14.4, True), (15.8, True), (14.3, False), (15.9, False)]
)
def test_published_numbers_are_held_against_the_same_relation(value, met):
    assert claim(Relation.EQUAL, reference=15.1, margin=0.755).is_met_by(value) == met
    assert claim(Relation.GREATER, reference=15.1).is_met_by(value) == (value > 15.1)
    assert claim(Relation.LESS_THAN_OTHER, other="r").is_met_by(value) is False


@pytest.mark.parametrize(
    "more",
    [
        {"relation": Relation.EQUAL},
        {"relation": Relation.GREATER, "margin": 1.0},
        {"relation": Relation.GREATER, "other": "r"},
        {"relation": Relation.LESS_THAN_OTHER},
    ],
)
def test_fields_that_do_not_fit_are_refused(more):
    with pytest.raises(ValueError, match="^s: "):
        claim(**more)
