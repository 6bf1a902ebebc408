"""Parquet tables give the same data as text tables, and each fault is one line."""

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

pyarrow = pytest.importorskip("pyarrow")
pytest.importorskip("pyarrow.parquet")
USERS, ITEMS = [3, 3, 3, 5, 5], [10, 20, 30, 20, 10]
TIMES = [100.0, 300.0, 200.0, 50.0, 60.0]
DAYS = [datetime.date(1970, 1, 1 + day) for day in (1, 3, 2, 4, 5)]


def written(path, **columns):
    pd.DataFrame(columns).to_parquet(path)
    return path


@pytest.mark.parametrize(
    "users, times",
    [
        (USERS, TIMES),
        ([f"u{user}" for user in USERS], pd.to_datetime(TIMES, unit="s")),
        (
            pd.array(USERS, "Int32"),
            pd.to_datetime(TIMES, unit="s", utc=True).tz_convert("Asia/Tokyo"),
        ),
        (pd.Categorical([f"u{user}" for user in USERS]), TIMES),
        (USERS, DAYS),
        (USERS, [Decimal(str(time)) for time in TIMES]),
    ],
    ids=["numbers", "text and dates", "nullable and zoned", "categories", "days", "decimals"],
)
def test_it_is_read_as_the_text_table_is(tmp_path, users, times):
    path = written(
        tmp_path / "shop.parquet", userId=users, more=list("abcde"), movieId=ITEMS, timestamp=times
    )
    seconds = [86400.0 * day for day in (1, 3, 2, 4, 5)] if times is DAYS else TIMES
    text = pd.DataFrame({"userId": list(users), "movieId": ITEMS, "timestamp": seconds})
    text.to_csv(tmp_path / "shop.csv", index=False)
    built, wanted = (data.load(str(each)) for each in (path, tmp_path / "shop.csv"))
    assert built.fingerprint == wanted.fingerprint and built.name == "shop"
    assert built.user_ids.tolist() == wanted.user_ids.tolist()
    np.testing.assert_array_equal(built.train_timestamps, wanted.train_timestamps)


def test_columns_are_named(tmp_path):
    path = written(
        tmp_path / "shop.parquet",
        who=USERS,
        what=ITEMS,
        stars=[5, 4, 3, 2, 1],
        when=[None, *TIMES[1:]],
    )
    frame = read_table(path, {"user": "who", "item": "what", "rating": 2, "timestamp": "when"})
    assert frame["rating"].tolist() == [5, 4, 3, 2, 1]
    assert frame["timestamp"].isna().tolist() == [True] + 4 * [False]
    assert frame.index.tolist() == [1, 2, 3, 4, 5] and frame["user"].dtype == np.int64
    assert frame.attrs["path"] == str(path)
    message = "a header without a user and an item: say with --columns which of who, what, stars"
    with pytest.raises(UserError, match=message):
        read_table(path)


@pytest.mark.parametrize(
    "columns, message",
    {
        "no rows": ({"user": np.array([], int), "item": np.array([], int)}, "the file has no rows"),
        "blank text": ({"user": ["a", None], "item": [1, 2]}, "row 2: the user is blank"),
        "blank number": (
            {"user": pd.array([1, None], "Int64"), "item": [1, 2]},
            "row 2: the user is blank",
        ),
        "infinite rating": (
            {"user": [1, 2], "item": [1, 2], "rating": [np.inf, 1]},
            "row 1: the rating 'inf' is not a number",
        ),
        "blank rating": (
            {"user": [1, 2], "item": [1, 2], "rating": [1, None]},
            "row 2: the rating '' is not a number",
        ),
        "fractions": (
            {"user": [1.5, 2], "item": [1, 2]},
            "the users are double, and neither integers nor text",
        ),
        "words for a rating": (
            {"user": [1], "item": [1], "rating": ["good"]},
            "row 1: the rating 'good' is not a number",
        ),
    }.values(),
)
def test_faults_are_one_line(tmp_path, columns, message):
    path = written(tmp_path / "shop.parquet", **columns)
    with pytest.raises(UserError, match=f"shop.parquet.*{message}"):
        read_table(path)


def test_ids_below_zero_and_above_all_integers_are_texts(tmp_path):
    path = written(tmp_path / "a.parquet", user=[1, -2, 1], item=np.array([1, 2, 2**63], np.uint64))
    frame = read_table(path)
    assert frame["user"].tolist() == ["1", "-2", "1"]
    assert frame["item"].tolist() == ["1", "2", str(2**63)]


def test_an_index_is_a_column_and_far_dates_are_read(tmp_path):
    far = np.array(["2900-01-01", "1970-01-01", "1970-01-02"], "datetime64[us]")
    frame = pd.DataFrame({"user": [7, 2, 5], "item": [3, 4, 4], "timestamp": far}).set_index("user")
    frame.to_parquet(tmp_path / "shop.parquet")
    seconds = far[0].astype("datetime64[s]").astype(int)
    times = read_table(tmp_path / "shop.parquet")["timestamp"]
    assert times.tolist() == [seconds, 0, 86400]


def test_a_damaged_page_and_equal_names_are_refused(tmp_path):
    path = written(tmp_path / "shop.parquet", user=np.arange(5000) % 77, item=np.arange(5000))
    content = path.read_bytes()
    path.write_bytes(content[:4] + bytes(64) + content[68:])
    with pytest.raises(UserError, match="shop.parquet: it cannot be read"):
        read_table(path)
    table = pyarrow.table([[1], [2], [3]], names=["user", "item", "item"])
    pyarrow.parquet.write_table(table, path)
    with pytest.raises(UserError, match="two of its columns have one name"):
        read_table(path, {"user": 0, "item": 1})


def test_another_file_is_refused(tmp_path):
    path = tmp_path / "shop.parquet"
    path.write_text("user,item\n1,2\n")
    with pytest.raises(UserError, match="shop.parquet: not a whole Parquet file"):
        read_table(path)
