"""Ordinary files of other people are read right, or refused in one line that says the way on."""

import gzip

import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.data import Reading
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

from handmade import write, zipped

PLAIN = "user,item\n1,2\n1,3\n2,3\n2,4\n"
# name of the file -> content, users, items, rows, and what is said of it
GOOD = {
    "lone_quote.tsv": (
        'u1\t"Heroes\nu1\tLow\nu2\t"Heroes\nu2\tLow\nu3\tLow\nu3\tLodger\n',
        ["u1", "u2", "u3"],
        ['"Heroes', "Lodger", "Low"],
        6,
        "user=column 1, item=column 2",
    ),
    "leading_zeros.csv": (
        "user,item\n1,00123\n1,123\n2,123\n2,7\n",
        [1, 2],
        ["00123", "123", "7"],
        4,
        "user=user, item=item",
    ),
    "first_id_of_digits.csv": (
        "AH2L,0000000116,4,1\nA2II,0000000116,1,2\nAH2L,B00ABC1234,5,3\n",
        ["A2II", "AH2L"],
        ["0000000116", "B00ABC1234"],
        3,
        "rating=column 3, timestamp=column 4",
    ),
    "epochs.tsv": (
        "1\t24\t1500000000\n1\t25\t1500000009\n2\t24\t1500000002\n",
        [1, 2],
        [24, 25],
        3,
        "timestamp=column 3; split: last by time",
    ),
    "milliseconds.tsv": (
        "1\t24\t1500000000123\n1\t25\t1500000009000\n2\t24\t1500000002000\n",
        [1, 2],
        [24, 25],
        3,
        "timestamp=column 3",
    ),
    "dates_without_ratings.tsv": (
        "1\t24\t2020-09-12\n1\t25\t2020-09-13 12:00:00\n2\t24\t2020-09-12T01:00:00+02:00\n",
        [1, 2],
        [24, 25],
        3,
        "timestamp=column 3 (dates)",
    ),
    "iso.csv": (
        "1,2,3,2020-09-12T13:33:31Z\n1,3,3,2020-09-13T13:33:31.250Z\n2,3,3,2020-09-12T13:33:31Z\n",
        [1, 2],
        [2, 3],
        3,
        "timestamp=column 4 (dates); split: last by time",
    ),
    "latin1.csv": (
        "user,item\n1,Björk\n1,Motörhead\n2,Björk\n".encode("latin-1"),
        [1, 2],
        ["Björk", "Motörhead"],
        3,
        "read as latin-1",
    ),
    "utf16.csv": (
        "user,item\n1,Björk\n1,Motörhead\n2,Björk\n".encode("utf-16"),
        [1, 2],
        ["Björk", "Motörhead"],
        3,
        "read as utf-16",
    ),
    "mark.csv": (b"\xef\xbb\xbf" + PLAIN.encode(), [1, 2], [2, 3, 4], 4, "user=user, item=item"),
    "packed.csv.gz": (gzip.compress(PLAIN.encode()), [1, 2], [2, 3, 4], 4, "user=user"),
    "packed.csv.zip": (zipped(shop=PLAIN), [1, 2], [2, 3, 4], 4, "user=user, item=item"),
    "amazon.jsonl": (
        '{"reviewerID": "A1", "asin": "007", "overall": 5.0, "unixReviewTime": 14}\n'
        '{"reviewerID": "A1", "asin": "B2", "overall": 4.0, "unixReviewTime": 15}\n'
        '{"reviewerID": "A2", "asin": "007", "overall": 5.0, "unixReviewTime": 16}\n',
        ["A1", "A2"],
        ["007", "B2"],
        3,
        "user=reviewerID, item=asin, rating=overall, timestamp=unixReviewTime",
    ),
    "plain.json": (
        '[{"user": 3, "item": 1}, {"user": 3, "item": 2}, {"user": 4, "item": 2}]',
        [3, 4],
        [1, 2],
        3,
        "user=user, item=item",
    ),
    "packed.jsonl.gz": (
        gzip.compress(b'{"user": "a", "item": 1}\n{"user": "a", "item": 2}\n'),
        ["a"],
        [1, 2],
        2,
        "user=user, item=item",
    ),
    "lists.txt": (
        "0 1 2 3\n1 2\n2 5 1 9\n3 0 1\n",
        [0, 1, 2, 3],
        [0, 1, 2, 3, 5, 9],
        9,
        "each line",
    ),
    "recbole.inter": (
        "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
        "196\t242\t3\t881250949\n186\t302\t3\t891717742\n196\t302\t3\t881250948\n",
        [186, 196],
        [242, 302],
        3,
        "user=user_id:token, item=item_id:token, rating=rating:float, timestamp=timestamp:float",
    ),
    "semicolons.csv": (
        'user;item;time\n1;"a, b";3\n1;c, d;4\n2;c, d;4\n',
        [1, 2],
        ["a, b", "c, d"],
        3,
        "timestamp=time",
    ),
    "bars.csv": ("user|item\n1|a, b\n1|c, d\n2|c, d\n", [1, 2], ["a, b", "c, d"], 3, "user=user"),
    "spaces.txt": ("1 2 5\n1 3 4\n2 3 4\n", [1, 2], [2, 3], 3, "rating=column 3"),
    "commas_and_spaces.csv": ("user, item\n1, 2\n1, 3\n2, 3\n", [1, 2], [2, 3], 3, "item=item"),
    "windows.csv": ("user,item\r\n1,2\r\n1,3\r\n2,3\r\n", [1, 2], [2, 3], 3, "user=user"),
    "negative_ids.csv": ("-1,2\n-1,3\n2,3\n", ["-1", "2"], [2, 3], 3, "user=column 1"),
    "signs.csv": ("+1,2\n+1,3\n2,3\n", ["+1", "2"], [2, 3], 3, "user=column 1"),
    "fractions.csv": ("1.5,2\n1.5,3\n2,3\n", ["1.5", "2"], [2, 3], 3, "user=column 1"),
    "huge.csv": (f"{2**70},2\n{2**70},3\n2,3\n", ["2", str(2**70)][::-1], [2, 3], 3, "user=column"),
    "ten_stars.csv": (
        "user,item,rating\n1,2,0\n1,3,10\n2,3,7\n",
        [1, 2],
        [2, 3],
        3,
        "rating=rating",
    ),
    "clicked.csv": (
        "user,item,clicked\n1,2,1\n1,3,1\n1,4,0\n2,3,1\n3,3,0\n",
        [1, 2],
        [2, 3],
        3,
        "2 of 5 rows are below 1: no interactions",
    ),
    "all_clicked.csv": ("user,item,clicked\n1,2,1\n1,3,1\n2,3,1\n", [1, 2], [2, 3], 3, "clicked"),
    "more_columns.csv": (
        "a,user,b,item,c,d,e,f,g\n" + "x,1,x,2,x,x,x,x,x\nx,1,x,3,x,x,x,x,x\n",
        [1],
        [2, 3],
        2,
        "not used: a, b, c, d, e, ...",
    ),
    "one[1]*.csv": (PLAIN, [1, 2], [2, 3, 4], 4, "user=user, item=item"),
    "late_quotes.csv": (
        "user,item\n" + "".join(f"{n},{n}\n{n},x{n}\n" for n in range(21_000)) + '7,"a, b"\n',
        list(range(21_000)),
        42_001,
        42_001,
        "user=user, item=item",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_it_is_read_right_and_said(tmp_path, name):
    content, users, items, rows, said = GOOD[name]
    path = tmp_path / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    built = data.load(str(path))
    assert built.user_ids.tolist() == (sorted(users) if isinstance(users[0], str) else users)
    if isinstance(items, int):
        assert len(built.item_ids) == items
    else:
        assert built.item_ids.tolist() == items
    assert len(built.train_users) + len(built.test_users) == rows
    assert said in built.understood and "\n" not in built.understood


def test_what_was_understood_is_one_line(tmp_path):
    path = write(tmp_path / "shop.csv", "1,2,3,5\n1,3,3,6\n1,3,3,7\n2,3,3,7\n")
    places = "user=column 1, item=column 2, rating=column 3, timestamp=column 4"
    assert data.load(str(path)).understood == (
        f"shop.csv: 2 users, 2 items, 3 interactions; {places}; split: last by time; 1 duplicates"
    )
    assert "split: random;" in data.load(str(path), split="random").understood
    assert "split: 80:20" in data.load(str(path), split="80:20").understood


def test_a_header_of_text_ids_is_read_where_the_user_says_which_is_which(tmp_path):
    path = str(write(tmp_path / "shop.csv", "cust,prod\na,x\na,y\nb,x\nb,z\n"))
    named = data.load(path, columns={"user": "cust", "item": "prod"})
    assert (named.n_users, named.n_items, len(named.train_users) + 2) == (2, 3, 4)
    placed = data.load(path, columns={"user": 0, "item": 1})
    assert (placed.n_users, placed.n_items) == (3, 4)


def own(tmp_path, train, test):
    write(tmp_path / "train.csv", train)
    return str(write(tmp_path / "test.csv", test).parent / "train.csv"), tmp_path / "test.csv"


def test_integers_and_floats_of_one_id_are_never_two_items(tmp_path):
    train, test = own(tmp_path, "user,item\n1,28\n2,28\n2,5\n1,5\n", "user,item\n1,29\n2,29.0\n")
    with pytest.raises(UserError, match="test.csv: the items 29 and 29.0 may be of one kind"):
        data.load(train, test=test)
    write(test, "user,item\n1,29.0\n")
    with pytest.raises(
        UserError, match="train.csv has integers as items, and .*test.csv floats su"
    ):
        data.load(train, test=test)
    built = data.load(train, test=test, reading=Reading(ids="integer"))
    assert built.item_ids.tolist() == [5, 28, 29]
    write(tmp_path / "train.csv", "user,item\n1,28.0\n2,28.0\n2,5.0\n")
    assert data.load(train, test=test).item_ids.tolist() == ["28.0", "29.0", "5.0"]


def test_ids_are_text_or_integers_in_train_and_test_together(tmp_path):
    train, test = own(tmp_path, "user,item\n1,7\n2,10\n", "user,item\n1,007\n2,7\n")
    built = data.load(train, test=test)
    assert built.item_ids.tolist() == ["007", "10", "7"] and built.user_ids.tolist() == [1, 2]
    assert data.load(train, reading=Reading(ids="text"), test=test).user_ids.tolist() == ["1", "2"]
    with pytest.raises(UserError, match=r"test pair \(2, 7\)|test.csv, line 2: the test pair"):
        write(test, "user,item\n1,007\n")
        data.load(train, test=test, reading=Reading(ids="integer"))


def test_integer_ids_can_be_asked_for(tmp_path):
    path = write(tmp_path / "a.csv", "user,item\n1,1.0\n1,002\n2,x\n")
    with pytest.raises(UserError, match="a.csv, line 4: the item 'x' is not an integer id"):
        read_table(path, reading=Reading(ids="integer"))
    write(path, "user,item\n1,1.0\n1,002\n2,3\n")
    assert read_table(path, reading=Reading(ids="integer"))["item"].tolist() == [1, 2, 3]


def test_a_pair_of_tables_may_have_other_orders_of_columns(tmp_path):
    train, test = own(tmp_path, "user,item,rating\n1,28,3\n2,28,4\n", "item,user\n5,1\n")
    built = data.load(train, test=test)
    assert built.item_ids[built.test_items].tolist() == [5] and "test: test.csv" in built.understood


def test_unknown_users_and_items_of_the_test_are_an_error_or_dropped(tmp_path):
    train, test = own(tmp_path, "a,28\nb,28\nb,5\n", "a,5\n60,28\na,99\n")
    with pytest.raises(UserError, match="test.csv, line 2: the test user 60 has no train"):
        data.load(train, test=test, columns={"user": 0, "item": 1})
    kept = data.load(train, test=test, columns={"user": 0, "item": 1}, reading=Reading(cold="drop"))
    assert kept.item_ids.tolist() == [5, 28] and len(kept.test_users) == 1
    assert "2 test rows of unknown users or items dropped" in kept.understood


def test_clicks_are_what_the_user_calls_positive(tmp_path):
    path = str(write(tmp_path / "a.csv", "user,item,rating\n1,2,3\n1,3,4\n1,4,5\n2,3,5\n"))
    built = data.load(path, reading=Reading(positive_from=4))
    assert built.item_ids.tolist() == [3, 4] and "1 of 4 rows are below 4" in built.understood
    zeros = str(write(tmp_path / "b.csv", "user,item,clicked\n1,2,1\n1,3,0\n2,3,1\n"))
    assert data.load(zeros, reading=Reading(positive_from=0)).n_items == 2
    with pytest.raises(UserError, match="b.csv: no rating is 7 or more"):
        data.load(zeros, reading=Reading(positive_from=7))
    with pytest.raises(UserError, match="--positive_from needs a column of ratings"):
        data.load(str(write(tmp_path / "c.csv", PLAIN)), reading=Reading(positive_from=1))


def test_lists_are_asked_for_where_they_do_not_show(tmp_path):
    path = write(tmp_path / "a.txt", "u1 x y\nu2 x\nu3 z\n")
    frame = read_table(path, reading=Reading(layout="lists"))
    assert frame["item"].tolist() == ["x", "y", "x", "z"] and frame.index.tolist() == [1, 1, 2, 3]
    write(path, "0 1 2\n0 1\n")  # a user twice: a short line of a table
    with pytest.raises(UserError, match="a.txt, line 2: 2 column"):
        read_table(path)
    with pytest.raises(UserError, match="no line has a user and an item"):
        read_table(write(path, "4\n5\n"), reading=Reading(layout="lists"))


def test_a_folder_of_lists_is_train_and_test(tmp_path):
    write(tmp_path / "lightgcn" / "train.txt", "0 1 2 3\n1 2\n")
    write(tmp_path / "lightgcn" / "test.txt", "0 4\n1 3 4\n")
    built = data.load(str(tmp_path / "lightgcn"))
    assert (built.n_users, built.n_items) == (2, 4) and len(built.test_users) == 3


@pytest.mark.parametrize("rows", [1000, 60_000])
def test_it_equals_pandas(tmp_path, rows):
    table = pd.DataFrame({"user": range(rows), "item": range(rows, 0, -1)}) % 977
    table["rating"], table["time"] = table["user"] % 5 / 2, table["item"] * 1000.5
    table.to_csv(tmp_path / "t.csv", index=False)
    frame = read_table(tmp_path / "t.csv")
    expected = pd.read_csv(tmp_path / "t.csv").rename(columns={"time": "timestamp"})
    pd.testing.assert_frame_equal(frame.reset_index(drop=True), expected, check_dtype=False)
    assert frame.index.tolist() == list(range(2, rows + 2))
