"""Target items of a poisoning attack: how they are drawn and how their success is measured."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation
from advrec_tf.errors import UserError


def test_popularity_groups_split_the_items_at_the_percentiles():
    counts = np.arange(100)
    users = np.concatenate([np.arange(n + 1) for n in counts])
    rows = pd.DataFrame({"user": users, "item": np.repeat(counts, counts + 1)})
    frame = data.Interactions.from_frames(rows, pd.DataFrame({"user": [50], "item": [0]}))
    groups = data.popularity_groups(frame)
    names = ("head", "upper_torso", "lower_torso", "tail")
    assert [len(groups[name]) for name in names] == [5, 20, 25, 50]
    assert groups["head"].tolist() == [95, 96, 97, 98, 99]
    first, again, other = (data.choose_targets(frame, "head", 3, seed) for seed in (1, 1, 2))
    assert first == again != other
    with pytest.raises(UserError, match="fewer than the 6"):
        data.choose_targets(frame, "head", 6)


@pytest.mark.parametrize(
    "targets, message",
    [
        ((17,), "items are numbered 0 to 16"),
        ((-1,), "not an item"),
        ((1, 1), "different"),
        ((), "at least one"),
    ],
)
def test_bad_targets_are_refused(shop, targets, message):
    with pytest.raises(UserError, match=message):
        data.check_targets(shop, targets)


def test_target_metrics_by_hand():
    """Users 0 and 1 have test items.  The lists are (2, 3) and (1, 2).

    User 0 knows target 1, which therefore counts as not shown.  Ranks are among unknown items.
    """
    train = pd.DataFrame({"user": [0, 0, 1, 2], "item": [0, 1, 0, 3]})
    test = pd.DataFrame({"user": [0, 1, 1], "item": [2, 2, 3]})
    tiny = data.Interactions.from_frames(train, test)
    P = np.array([[1.0], [1.0], [1.0], [9.0]])  # the last row is a fake and is ignored
    Q = np.array([[4.0], [3.0], [2.0], [1.0]])
    measured = evaluation.poisoning_metrics(P, Q, tiny, (1, 3), 2)
    expected = {
        "Recall": (1 + 0.5) / 2,
        "Precision": 0.5,
        "HR": 1,
        "target_HR": 1,
        "target_Recall": (1 + 1) / 4,
        "target_rank": (2 + 1 + 3) / 3,
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected)


def test_a_fifth_is_held_out():
    first, again = (
        data.synthetic(n_users=50, n_items=60, per_user=20, seed=4, split="80:20") for _ in range(2)
    )
    tested = np.bincount(first.test_users, minlength=50)
    expected = np.maximum(1, np.rint((np.diff(first.indptr) + tested) / 5))
    np.testing.assert_array_equal(tested, expected)
    assert first.fingerprint == again.fingerprint
