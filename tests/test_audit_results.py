"""What an audit says of rows that are made by hand."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf.leaderboard import Entry, auditing, yardstick

CLEAN = np.tile([0.3, 0.5], 20)
ALTERNATING = np.tile([0.2, 0.2, -0.2, -0.2], 10)
FACTS = {"data": "shop", "users": 40, "items": 30, "dimension": 4, "k": 10, "unit": "relative"}
FACTS |= {"doubts": []}
# Condition, attack and the nDCG that it leaves; half of .4 is left between .3 and .1.
ATTACKS = (
    *((0.1, "noise", 0.38), (0.1, "smooth DCG", 0.3)),
    *((0.2, "noise", 0.36), (0.2, "smooth DCG", 0.1)),
)


def audit_beside(popular):
    """Return the audit of factors beside a MostPopular with these users' nDCG."""
    kept = []

    def add(entry, users, threat_model="", ball="", epsilon=0.0, attack=""):
        row = {**Entry(entry).columns, "factors": "f", "unit": "relative", "k": 10}
        row |= {"threat_model": threat_model, "ball": ball, "epsilon": epsilon, "attack": attack}
        row |= {"HR": 0.5, "ICov": 7, "EFD": 0.1, "SE": 2.0, "idle": 0.0, "nDCG": users.mean()}
        groups = {"user activity": np.arange(40), "item popularity": np.arange(40)[::-1]}
        kept.append((row, {"nDCG": users} | ({} if threat_model else groups)))

    add("factors", CLEAN)
    for epsilon, attack, left in ATTACKS:
        add("factors", left / 0.4 * CLEAN, "test", "l2", epsilon, attack)
    add("MostPopular", popular)
    add("Random", np.full(40, 0.01))
    return auditing.of_results(FACTS, pd.DataFrame([row for row, _ in kept]), kept)


def test_half_of_the_accuracy_by_hand():
    result = audit_beside(CLEAN - 0.2)
    epsilon = 0.1 * 2**0.5  # of .3 to .1 in log epsilon from .1 to .2
    assert result.half == {"test": pytest.approx(epsilon)} and result.warnings == []
    knows = "an attacker who knows the held-out item"
    assert result.verdict == (
        f"nDCG@10 is 0.4000; {knows} takes half of it with a move of each vector by 14.1% of its "
        f"typical length ({yardstick.sentence()})."
    )
    assert result.summary == result.verdict
    absolute = result._replace(facts={**FACTS, "unit": "absolute"})
    assert absolute.verdict.endswith("takes half of it with an epsilon of 0.141.")
    worst = result.worst.set_index("epsilon")["nDCG"]
    assert worst.to_dict() == pytest.approx({0: 0.4, 0.1: 0.3, 0.2: 0.1})
    assert len(result.groups) == 3 * 2 * 4 and set(result.worst["entry"]) == {"factors"}


@pytest.mark.parametrize("less, told", [(0.01 + ALTERNATING, True), (0.1 + ALTERNATING, False)])
def test_factors_are_no_better_than_popularity_unless_an_interval_says_so(less, told):
    """The deviation of the mean over 40 users is .032, so .01 is chance and .1 is not."""
    popular = CLEAN - less
    warnings = audit_beside(popular).warnings
    values = f"(nDCG 0.4000, {popular.mean():.4f})"
    text = f"these factors rank no better than MostPopular, beyond chance {values}"
    assert warnings == ([text] if told else [])
