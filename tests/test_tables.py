"""Text tables: separators, headers, ids, and each fault with its line."""

import csv

import pytest

from advrec_tf import data
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

from handmade import write


def test_own_tables_by_name_position_and_with_any_ids(tmp_path):
    named = write(tmp_path / "named.csv", "when,who,what\n5,ann,x\n6,ann,y\n1,bob,x\n2,bob,z\n")
    built = data.load(str(named), columns={"user": "who", "item": "what", "timestamp": "when"})
    assert built.user_ids.tolist() == ["ann", "bob"]
    assert built.item_ids[built.test_items].tolist() == ["y", "z"]
    placed = write(tmp_path / "placed.csv", "x,ann,5\ny,ann,6\nx,bob,1\nz,bob,2\n")
    again = data.load(str(placed), columns={"user": 1, "item": 0, "timestamp": 2})
    assert again.fingerprint == built.fingerprint
    text = 'user_id,item_id,timestamp\nann,"x, or so",5\nann,y,6\nbob,y,1\nbob,z,2\n'
    common = write(tmp_path / "common.csv", text)
    assert data.load(str(common)).item_ids.tolist() == ["x, or so", "y", "z"]


BAD_TABLES = {
    "non-numeric rating": (
        "0\t1\t5\t9\n0\t2\tgood\t9\n",
        "line 2: the rating 'good' is not a number",
    ),
    "non-numeric time": ("0\t1\t5\tnoon\n", "line 1: the timestamp 'noon' is not a number"),
    "negative rating": ("0\t1\t5\t9\n3\t2\t-5\t9\n", "line 2: the rating '-5' is negative"),
    "negative time": ("0\t1\t5\t9\n3\t2\t5\t-9\n", "line 2: the timestamp '-9' is negative"),
    "missing fields": ("0\t1\t5\t9\n3\t2\n3\t4\t1\t1\n", "line 2: 2 column"),
    "too many fields": ("0\t1\t5\t9\n3\t2\t1\t1\t1\n", "line 2: 5 column"),
    "after a blank line": ("0\t1\t5\t9\n\n3\t4\tx\t1\n", "line 3: the rating 'x'"),
    "after a line break": ('"a\nb"\t1\t5\nc\t4\t-1\n', "line 3: the rating '-1' is negative"),
    "nan rating": ("0\t1\tnan\t9\n", "line 1: the rating 'nan' is not a number"),
    "one column": ("5\n6\n", "line 1: the item column is missing"),
    "empty": ("", "line 1: the file is empty"),
    "blanks": ("\n \n", "line 1: the file is empty"),
    "header only": ("user\titem\n", "line 2: there is a header and nothing else"),
    "blank text id": ("a\tx\n\ty\n", "line 2: the user is blank"),
    "header with other names": (
        "who,what,when\n1,2,5\n1,3,6\n",
        "line 1: a header without a user and an item: say with --columns which of who",
    ),
    "header of text ids": (
        "who,what,stars\nann,x,5\nann,y,6\n",
        "line 1: a header without a user and an item: say with --columns",
    ),
    "header and blanks": (
        "who,what,when\n1,2,\n1,3,\n",
        "line 1: a header without a user and an item: say with --columns",
    ),
    "header and an index": (
        ",who,what\n0,1,2\n1,1,3\n",
        "line 1: a header without a user and an item: say with --columns",
    ),
    "header with half": (
        "user,what\nann,x\n",
        "line 1: a header without a user and an item: say with --columns which of user, what are",
    ),
    "same name twice": (
        "user,item,Item\n1,2,5\n",
        "line 1: 2 columns could be the item: item, Item; say --columns=user=...,item=...",
    ),
    "two names of items": (
        "user_id,item_id,sid,timestamp\n1,2,5,9\n",
        "line 1: 2 columns could be the item: item_id, sid; say --columns",
    ),
    "two names of ratings": (
        "user,item,rating,count\n1,2,5,9\n",
        "line 1: 2 columns could be the rating: rating, count; say --columns",
    ),
    "two names of times": (
        "user,item,timestamp,time\n1,2,5,9\n",
        "line 1: 2 columns could be the timestamp: timestamp, time; say --columns",
    ),
    "a header of text ids, or none": (
        "cust,prod\na,x\na,y\nb,x\nb,z\n",
        "line 1: cust, prod may name columns or be an interaction: say --columns=user=cust,item=",
    ),
    "a blank rating": ("0\t1\t5\t9\n0\t2\t\t9\n", "line 2: the rating '' is not a number"),
    "infinite rating": ("0\t1\t5\t9\n0\t2\tinf\t9\n", "line 2: the rating 'inf' is not a number"),
    "infinite time": (
        "0\t1\t5\t9\n0\t2\t5\t-inf\n",
        "line 2: the timestamp '-inf' is not a number",
    ),
    "late time": ("0\t1\t5\t9\n0\t2\t5\tInf\n", "line 2: the timestamp 'Inf' is not a number"),
    "nan time": ("0\t1\t5\t9\n0\t2\t5\tnan\n", "line 2: the timestamp 'nan' is not a number"),
    "text in the first row only": (
        "0\t1\t5\tnoon\n0\t2\t5\t9\n",
        "line 1: the timestamp 'noon' is not a number",
    ),
    "numbers and dates": (
        "0\t1\t5\t2020-09-12\n0\t2\t5\t9\n",
        "line 1: the timestamp '2020-09-12' is not a number",
    ),
    "blank first line": ("\n1,2\n", "line 1: the user column is missing"),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_rows_name_the_file_and_the_line(tmp_path, name):
    text, message = BAD_TABLES[name]
    table = write(tmp_path / "bad.tsv", text)
    with pytest.raises(UserError) as error:
        data.load(str(table))
    text = str(error.value)
    assert text.startswith(f"{table}, ") and message in text and "\n" not in text


@pytest.mark.parametrize("field", ["user", "item"])
def test_an_unnamed_column_of_times_is_no_column_of_ids(tmp_path, field):
    rows = [("u1", "2009-05-04T23:08:57Z", "3"), ("u1", "2009-05-04T13:54:10Z", "4")]
    rows = [(row[1], row[0], row[2]) if field == "user" else row for row in rows]
    table = write(tmp_path / "plays.tsv", "".join("\t".join(row) + "\n" for row in rows))
    with pytest.raises(UserError, match=f"column [12] holds times, and no {field}s: say --columns"):
        read_table(table)
    read_table(table, {"user": 0, "item": 1})


def test_a_large_table_is_not_read_line_by_line(tmp_path, monkeypatch):
    lines, reader = [], csv.reader
    monkeypatch.setattr(csv, "reader", lambda *a, **k: lines.append(a) or reader(*a, **k))
    rows = (f"{n % 50}\t{n % 70}\t3\t{n if n % 3 else ''}\n" for n in range(5000))
    frame = read_table(write(tmp_path / "t.tsv", "".join(rows)))
    assert len(frame) == 5000 and frame["timestamp"].isna().sum() == 1667 and frame.index[0] == 1
    assert len(lines) < 100


BAD_COLUMNS = {
    "one column by name": (
        {"user": "who", "item": "who"},
        "line 1: the user and the item are the same column",
    ),
    "one column by position": (
        {"user": 1, "item": 0, "rating": 1},
        "line 1: the user and the rating are the same column",
    ),
    "by name and position": (
        {"user": "who", "item": 0},
        "line 1: the user and the item are the same column",
    ),
    "a name that is there twice": (
        {"user": "who", "item": "x"},
        "line 1: 2 columns have the name 'x'",
    ),
    "after the last": ({"user": 0, "item": 4}, "line 1: the item column is missing"),
    "before the first": ({"user": 0, "item": -1}, "line 1: the item column is missing"),
}


@pytest.mark.parametrize("name", BAD_COLUMNS)
def test_bad_columns_are_refused(tmp_path, name):
    columns, message = BAD_COLUMNS[name]
    table = write(tmp_path / "own.csv", "who,what,x,x\n1,2,3,4\n1,3,3,4\n")
    with pytest.raises(UserError) as error:
        data.load(str(table), columns=columns)
    assert str(error.value).startswith(f"{table}, {message}")


def test_a_blank_first_line_is_refused_with_columns_too(tmp_path):
    with pytest.raises(UserError, match="line 1: the user column is missing"):
        read_table(write(tmp_path / "own.csv", "\n1,2\n"), {"user": 0, "item": 1})


def test_a_header_is_skipped_when_columns_are_given_by_position(tmp_path):
    table = write(tmp_path / "own.csv", "who,x,x\n1,2,3\n1,3,4\n")
    assert data.load(str(table), columns={"user": 0, "item": 2}).item_ids.tolist() == [3, 4]


@pytest.mark.parametrize(
    "text",
    [
        "ann,x\nann,y\n",
        "ann,x,,\nann,y,3,4\n",
        "ann,1\nann,2\n",
        "ann,1\n7,2\n7,3\n",
        "ann,x,5\nann,y,6\n",
        "ann,x,5,\nann,y,6,7\n",
    ],
)
def test_a_table_without_a_header_loses_no_line(tmp_path, text):
    columns = {"user": 0, "item": 1}
    assert len(read_table(write(tmp_path / "own.csv", text), columns)) == text.count("\n")


def test_text_ids_without_a_header_stay_readable(tmp_path):
    table = write(tmp_path / "own.csv", "ann,x\nann,y\nbob,1\nbob,2\n")
    assert data.load(str(table)).item_ids.tolist() == ["1", "2", "x", "y"]


def test_the_largest_integer_id_is_one(tmp_path):
    table = write(tmp_path / "own.csv", f"0,1\n0,{2**63 - 1}\n")
    assert data.load(str(table)).item_ids.tolist() == [1, 2**63 - 1]
