"""Rows of factors in the order of the data's ids: by a file's ids, a CSV, or a named order."""

import pickle

import numpy as np
import pytest

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.recommenders.alignment import ORDERS, aligned, order_of
from advrec_tf.recommenders.importers import Factors

from foreign_files import named_class, pickled
from handmade import frame_of, write

# First seen: users 10, 9, 8; items b, a, c.
SHOP = Interactions.from_frames(frame_of([(10, "b"), (9, "a"), (10, "a"), (8, "c"), (9, "c")]))
TABLE = np.arange(6.0).reshape(3, 2)


def rows_of(factors, rows=(None, None)):
    """Return which row of TABLE each user and each item gets."""
    return tuple((table[:, 0] / 2).astype(int).tolist() for table in aligned(factors, SHOP, rows))


def test_rows_are_in_the_order_of_the_sorted_ids_where_nothing_else_is_said():
    assert rows_of(Factors(TABLE, TABLE)) == ([0, 1, 2], [0, 1, 2])


def test_a_files_own_ids_come_first():
    own = Factors(TABLE, TABLE, np.array(["9", "10", "8"]), np.array(["c", "a", "b"]))
    assert rows_of(own) == ([2, 0, 1], [1, 2, 0])
    more = own._replace(
        user=np.vstack([TABLE, TABLE + 6]), user_ids=np.array("x y 9 8 10 z".split())
    )
    assert rows_of(more)[0] == [3, 2, 4]
    with pytest.raises(UserError, match="the factors' own ids: item c has no row .1 such items"):
        aligned(own._replace(item_ids=np.array(["x", "a", "b"])), SHOP)


def test_a_csv_says_more_than_the_file(tmp_path):
    own = Factors(TABLE, TABLE, np.array(["9", "10", "8"]), np.array(["c", "a", "b"]))
    rows = write(tmp_path / "rows.csv", "row,id\n2,8\n0,10\n1,9\n")
    assert rows_of(own, (str(rows), None)) == ([2, 1, 0], [1, 2, 0])


@pytest.mark.parametrize(
    "text, message",
    {
        "row,id\n2,8\n0,10\n": "user 9 has no row .1 such users",
        "row,id\n3,8\n0,9\n": "line 2: row 3 is none of the 3",
        "row,id\nx,8\n": "row x is none",
        "index,id\n1,8\n": "columns row and id",
        "row,id\n0,8\n1,8\n2,9\n": "line 3: id 8 occurs twice",
        "row,id\n0,8\n0,9\n": "line 3: row 0 occurs twice",
        "": "not a CSV",
    }.items(),
)
def test_a_csv_that_does_not_fit_is_refused(tmp_path, text, message):
    rows = str(write(tmp_path / "rows.csv", text))
    with pytest.raises(UserError, match=message):
        aligned(Factors(TABLE, TABLE), SHOP, (rows, None))


def test_what_is_no_file_is_refused_at_once(tmp_path):
    for path, message in (("/dev/zero", "not a regular file"), (str(tmp_path), "not a regular")):
        with pytest.raises(UserError, match=message):
            aligned(Factors(TABLE, TABLE), SHOP, (None, path))


def test_named_orders():
    assert rows_of(Factors(TABLE, TABLE), ("first_seen", "first_seen")) == ([2, 1, 0], [1, 0, 2])
    assert rows_of(Factors(TABLE, TABLE), ("text", "text")) == ([1, 2, 0], [0, 1, 2])
    assert rows_of(Factors(TABLE, TABLE), ("numeric", None)) == ([0, 1, 2], [0, 1, 2])
    with pytest.raises(UserError, match="the items of frame are no numbers"):
        order_of(SHOP, "item", "numeric")
    with pytest.raises(UserError, match="does not say in which order its users were first seen"):
        order_of(SHOP.of_users(np.array([0, 1])), "user", "first_seen")
    for name in ORDERS:
        with pytest.raises(UserError, match="2 rows, the data 3 users: map rows to ids with"):
            aligned(Factors(TABLE[:2], TABLE), SHOP, (name, None))
    with pytest.raises(UserError, match="2 rows, .*LightFM model with item features"):
        aligned(Factors(TABLE, TABLE[:2]), SHOP)


def test_items_that_training_lacks_get_rows_of_zeros(capsys):
    """Item d is held out and nobody has it in train, so no library knows it."""
    train = frame_of([(1, "a"), (1, "b"), (2, "a"), (2, "c")])
    shop = Interactions.from_frames(train, frame_of([(1, "d"), (2, "b")]))
    own = Factors(TABLE[:2], 1 + TABLE, np.array(["1", "2"]), np.array(["c", "a", "b"]))
    _, Q = aligned(own, shop)
    assert Q.tolist() == [[3, 4], [5, 6], [1, 2], [0, 0]]
    assert "1 items without training interactions have rows of zeros" in capsys.readouterr().err
    with pytest.raises(UserError, match="item b has no row"):
        aligned(own._replace(item_ids=np.array(["c", "a", "x"])), shop)


def test_data_sets_of_recbole_and_lightfm_know_the_ids_of_rows(tmp_path, monkeypatch):
    tokens = {"uid": np.array(["[PAD]", "9", "10", "8"]), "iid": np.array(["[PAD]", *"cab"])}
    recbole = named_class(
        "recbole.data.dataset",
        "Dataset",
        field2id_token=tokens,
        uid_field="uid",
        iid_field="iid",
        config={"epochs": 3},
    )
    (tmp_path / "shop-Dataset.pth").write_bytes(pickled(recbole, monkeypatch))
    lightfm = named_class(
        "lightfm.data",
        "Dataset",
        _user_id_mapping={9: 0, 10: 1, 8: 2},
        _item_id_mapping={"c": 0, "a": 1, "b": 2},
    )
    (tmp_path / "dataset.pkl").write_bytes(pickled(lightfm, monkeypatch))
    padded = np.vstack([TABLE, TABLE[-1:] + 2])
    for name, table, first in (("shop-Dataset.pth", padded, 1), ("dataset.pkl", TABLE, 0)):
        rows = str(tmp_path / name)
        users, items = rows_of(Factors(table, table), (rows, rows))
        assert users == [n + first for n in (2, 0, 1)]  # 8, 9, 10
        assert items == [n + first for n in (1, 2, 0)]  # a, b, c
    with pytest.raises(UserError, match="shop-Dataset.pth: 4 users for 3 rows of factors"):
        aligned(Factors(TABLE, TABLE), SHOP, (str(tmp_path / "shop-Dataset.pth"), None))
    (tmp_path / "other.pkl").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(UserError, match="other.pkl: no ids of users and items, as data sets"):
        aligned(Factors(TABLE, TABLE), SHOP, (None, str(tmp_path / "other.pkl")))
