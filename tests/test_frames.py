"""Numbering and ordering of many rows, beside the plain way."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf.data import Interactions, fields, frames, integers
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

from handmade import write


@pytest.mark.parametrize("top", [3, 1000, 2**40, 2**62])
def test_integers_are_ordered_as_a_stable_sort_does(top):
    rng = np.random.default_rng(top % 97)
    for count in (0, 1, 2, 500):
        values = rng.integers(0, top, count)
        order, ordered = frames._sorted(values)
        expected = np.argsort(values, kind="stable")
        np.testing.assert_array_equal(order, expected)
        np.testing.assert_array_equal(ordered, values[expected])


@pytest.mark.parametrize("low, high", [(0, 50), (-9, 50), (0, 2**62)])
def test_integers_are_ranked_as_unique_does(low, high):
    values = np.random.default_rng(0).integers(low, high, 300)
    ranks, ids = frames._ranked(values)
    expected_ids, expected = np.unique(values, return_inverse=True)
    np.testing.assert_array_equal(ids, expected_ids)
    np.testing.assert_array_equal(ranks, expected)


def test_the_first_occurrences_are_in_order():
    indices = np.array([2, 0, 2, 1, 0, 3])
    assert frames._first_seen(indices, 4).tolist() == [2, 0, 1, 3]


PLAIN = "user,item,rating,timestamp\n1,20,3.5,7\n1,0,4,8\n2,20,1e0,9\n"
OTHERS = {
    "a leading zero": ("1,20,", "1,020,"),
    "a zero at the start of a line": ("\n2,", "\n02,"),
    "a sign": ("\n2,", "\n+2,"),
    "a blank before": (",20,1e0", ", 20,1e0"),
    "a float": (",20,3.5", ",20.0,3.5"),
    "a float as time": (",7\n", ",7.0\n"),
    "a text": ("\n2,", "\nx,"),
    "a negative rating": (",4,", ",-4,"),
    "a missing field": (",4,8", ",4"),
    "a field more": (",4,8", ",4,8,9"),
    "a blank line": ("\n2,", "\n\n2,"),
    "a quote": ("\n2,", '\n"2",'),
    "a blank time": (",8\n", ",\n"),
}


@pytest.mark.parametrize("block", [7, 1 << 20])
@pytest.mark.parametrize("name", ["plain", *OTHERS])
def test_only_plain_tables_are_read_the_fast_way(tmp_path, monkeypatch, name, block):
    monkeypatch.setattr(integers, "BLOCK", block)
    found = []
    monkeypatch.setattr(
        fields, "read_integers", lambda scan: found.append(integers.read_integers(scan)) or found[0]
    )
    text = PLAIN.replace(*OTHERS[name]) if name in OTHERS else PLAIN
    path = write(tmp_path / "t.csv", text)
    if name in ("a negative rating", "a missing field", "a field more", "a float"):
        with pytest.raises(UserError):
            read_table(path)
    else:
        read_table(path)
    assert (found[0] is None) == (name in OTHERS)


def test_both_ways_give_the_same(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, [50, 40, 10, 99], (300, 4))
    lines = [f"{u}\t{i}\t{r / 2}\t{t}\r\n" for u, i, r, t in rows]
    path = write(tmp_path / "t.tsv", "".join(lines).rstrip())
    fast = read_table(path)
    monkeypatch.setattr(fields, "read_integers", lambda scan: None)
    pd.testing.assert_frame_equal(fast, read_table(path))


def test_integers_beyond_64_bits_stay_distinct():
    large = 2**63
    for ids in ([large, large + 1, 5], [large * 4, large * 4 + 1, 5]):
        rows = [(user, item) for user in ids for item in (1, 2)]
        built = Interactions.from_frames(pd.DataFrame(rows, columns=["user", "item"]))
        assert sorted(built.user_ids.astype(str)) == sorted(map(str, ids))
