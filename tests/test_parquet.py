"""Tables in Parquet: the same data as from text, and each fault in a line."""

import sys

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

pytest.importorskip("pyarrow")
USERS, ITEMS = [3, 3, 3, 5, 5], [10, 20, 30, 20, 10]
TIMES = [100.0, 300.0, 200.0, 50.0, 60.0]


def written(path, **columns):
    pd.DataFrame(columns).to_parquet(path)
    return path


@pytest.mark.parametrize(
    "users, times",
    [
        (USERS, TIMES),
        ([f"u{user}" for user in USERS], pd.to_datetime(TIMES, unit="s")),
        (pd.array(USERS, "Int32"), pd.to_datetime(TIMES, unit="s", utc=True).tz_convert("Asia/Tokyo")),
        (pd.Categorical([f"u{user}" for user in USERS]), TIMES),
    ],
    ids=["numbers", "text and dates", "nullable and zoned", "categories"],
)
def test_it_is_read_as_the_text_table_is(tmp_path, users, times):
    path = written(tmp_path / "shop.parquet", userId=users, more=list("abcde"), movieId=ITEMS, timestamp=times)
    text = pd.DataFrame({"userId": list(users), "movieId": ITEMS, "timestamp": TIMES})
    text.to_csv(tmp_path / "shop.csv", index=False)
    built, wanted = (data.load(str(each)) for each in (path, tmp_path / "shop.csv"))
    assert built.fingerprint == wanted.fingerprint and built.user_ids.tolist() == wanted.user_ids.tolist() and built.name == "shop"
    np.testing.assert_array_equal(built.train_timestamps, wanted.train_timestamps)


def test_columns_are_named(tmp_path):
    path = written(tmp_path / "shop.parquet", who=USERS, what=ITEMS, stars=[5, 4, 3, 2, 1], when=[None, *TIMES[1:]])
    frame = read_table(path, {"user": "who", "item": "what", "rating": 2, "timestamp": "when"})
    assert frame["rating"].tolist() == [5, 4, 3, 2, 1] and frame["timestamp"].isna().tolist() == [True] + 4 * [False]
    assert frame.index.tolist() == [1, 2, 3, 4, 5] and frame.attrs["path"] == str(path) and frame["user"].dtype == np.int64
    with pytest.raises(UserError, match="a header without a user and an item: say with --columns which of who, what, stars, when are which"):
        read_table(path)


@pytest.mark.parametrize(
    "columns, message",
    {
        "no rows": ({"user": np.array([], int), "item": np.array([], int)}, "the file has no rows"),
        "negative id": ({"user": [1, -2], "item": [1, 2]}, "row 2: user -2, item 2: one is blank, negative or not finite"),
        "blank text": ({"user": ["a", None], "item": [1, 2]}, "row 2: user '', item 2: one is blank"),
        "blank number": ({"user": pd.array([1, None], "Int64"), "item": [1, 2]}, "row 2: user '', item 2: one is blank"),
        "infinite rating": ({"user": [1, 2], "item": [1, 2], "rating": [np.inf, 1]}, "row 1: user 1, item 1, rating inf: one is"),
        "blank rating": ({"user": [1, 2], "item": [1, 2], "rating": [1, np.nan]}, "row 2: user 2, item 2, rating nan: one is"),
        "fractions": ({"user": [1.5, 2], "item": [1, 2]}, "the users are float64, neither integers nor text"),
        "words for a rating": ({"user": [1], "item": [1], "rating": ["good"]}, "the rating column is not of numbers"),
    }.values(),
)
def test_faults_are_told(tmp_path, columns, message):
    path = written(tmp_path / "shop.parquet", **columns)
    with pytest.raises(UserError, match=f"shop.parquet.*{message}"):
        read_table(path)


def test_what_is_no_parquet_file_and_a_missing_reader_are_told(tmp_path, monkeypatch):
    path = tmp_path / "shop.parquet"
    path.write_text("user,item\n1,2\n")
    with pytest.raises(UserError, match="shop.parquet: not a Parquet file"):
        read_table(path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UserError, match="is read by pyarrow: pip install"):
        read_table(path)
