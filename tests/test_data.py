import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from advrec_tf import data
from advrec_tf.data.loaders import SOURCES
from advrec_tf.data.splits import leave_one_out, one_in_five
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def pairs(users, items):
    return list(zip(users.tolist(), items.tolist()))


def test_ratings_in_the_grouplens_layout(tmp_path):
    rows = [
        "1::10::5::100",
        "1::20::3::300",
        "1::30::1::200",
        "7::20::4::50",
        "7::10::2::50",
        "9::10::1::7",
    ]
    write(tmp_path / "ml-1m" / "ratings.dat", "\n".join(rows) + "\n")
    built = data.load("ml-1m", tmp_path)
    assert (built.n_users, built.n_items, built.name) == (3, 3, "ml-1m")
    np.testing.assert_array_equal(built.user_ids, [1, 7, 9])
    np.testing.assert_array_equal(built.item_ids, [10, 20, 30])
    # User 1's latest is item 20; user 7's two are equally late, so the largest id; user 9 has one and is not tested.
    assert pairs(built.test_users, built.test_items) == [(0, 1), (1, 1)]
    assert pairs(built.train_users, built.train_items) == [(0, 0), (0, 2), (1, 0), (2, 0)]
    np.testing.assert_array_equal(built.indptr, [0, 2, 3, 4])
    assert built.train_users.dtype == built.test_items.dtype == np.int32


def test_pre_split_tables_keep_their_rows_and_ids(tmp_path):
    write(tmp_path / "ml-1m" / "trainingset.tsv", "0\t2\t5\t10\n1\t0\t4\t\n0\t0\t1\t5\n")
    write(tmp_path / "ml-1m" / "testset.tsv", "0\t1\t5\t11\n1\t3\t2\t12\n")
    built = data.load("ml-1m", tmp_path)
    assert pairs(built.train_users, built.train_items) == [(0, 0), (0, 2), (1, 0)]
    assert pairs(built.test_users, built.test_items) == [(0, 1), (1, 3)]
    assert built.unseen_test_items == 2 and built.statistics()["test items never in train"] == 2


def test_a_blank_timestamp_is_older_than_every_known_one(tmp_path):
    table = write(tmp_path / "own.tsv", "0\t5\t1\t\n0\t1\t1\t3\n0\t9\t1\t\n1\t4\t1\t\n1\t2\t1\t\n")
    built = data.load(str(table))
    assert built.item_ids[built.test_items].tolist() == [1, 4]


def test_own_tables_by_name_position_and_with_any_ids(tmp_path):
    named = write(tmp_path / "named.csv", "when,who,what\n5,ann,x\n6,ann,y\n1,bob,x\n2,bob,z\n")
    built = data.load(str(named), columns={"user": "who", "item": "what", "timestamp": "when"})
    assert built.user_ids.tolist() == ["ann", "bob"] and built.item_ids[
        built.test_items
    ].tolist() == ["y", "z"]
    placed = write(tmp_path / "placed.csv", "x,ann,5\ny,ann,6\nx,bob,1\nz,bob,2\n")
    again = data.load(str(placed), columns={"user": 1, "item": 0, "timestamp": 2})
    assert again.fingerprint == built.fingerprint
    common = write(
        tmp_path / "common.csv",
        'user_id,item_id,timestamp\nann,"x, or so",5\nann,y,6\nbob,y,1\nbob,z,2\n',
    )
    assert data.load(str(common)).item_ids.tolist() == ["x, or so", "y", "z"]


def test_own_folder_that_is_split(tmp_path):
    write(tmp_path / "shop" / "train.csv", "uid,sid\n3,1\n4,1\n4,2\n")
    write(tmp_path / "shop" / "test.csv", "uid,sid\n3,2\n3,9\n")
    built = data.load(str(tmp_path / "shop"))
    assert built.name == "shop" and pairs(built.test_users, built.test_items) == [(0, 1), (0, 2)]


def test_duplicates_collapse_into_the_latest(tmp_path):
    table = write(tmp_path / "own.tsv", "0\t1\t1\t9\n0\t2\t1\t5\n0\t2\t1\t\n0\t1\t1\t2\n")
    built = data.load(str(table))
    assert built.duplicates == 2 and pairs(built.test_users, built.item_ids[built.test_items]) == [
        (0, 1)
    ]


def test_random_split_follows_the_seed(tmp_path):
    rows = "".join(f"{u}\t{i}\n" for u in range(30) for i in range(10))
    table = write(tmp_path / "own.tsv", rows)
    splits = [data.load(str(table), seed=seed).test_items.tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2] and len(set(splits[0])) > 3


@settings(max_examples=50, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_leave_one_out_takes_one_of_every_user_with_two(seed):
    rng = np.random.default_rng(seed)
    frame = pd.DataFrame(
        {"u": rng.integers(0, 6, 40), "i": rng.integers(0, 15, 40)}
    ).drop_duplicates()
    times = rng.integers(0, 5, len(frame)).astype(float)
    times[rng.random(len(frame)) < 0.2] = np.nan
    held_out = leave_one_out(frame["u"].to_numpy(), frame["i"].to_numpy(), times, 0)
    frame["age"] = np.nan_to_num(times, nan=-1)
    for _, rows in frame.groupby("u"):
        chosen = rows[held_out[frame.index.get_indexer(rows.index)]]
        assert len(chosen) == (len(rows) > 1)
        if len(rows) > 1:
            latest = rows[rows["age"] == rows["age"].max()]
            assert chosen["i"].item() == latest["i"].max()


BAD_TABLES = {
    "non-numeric id": ("0\t1\t5\t9\nx\t2\t5\t9\n", "line 2: the user 'x' is not an integer id"),
    "non-numeric rating": (
        "0\t1\t5\t9\n0\t2\tgood\t9\n",
        "line 2: the rating 'good' is not a number",
    ),
    "non-numeric time": ("0\t1\t5\tnoon\n", "line 1: the timestamp 'noon' is not a number"),
    "fractional id": ("0\t1\t5\t9\n0\t2.5\t5\t9\n", "line 2: the item '2.5' is not an integer id"),
    "negative user": ("0\t1\t5\t9\n-3\t2\t5\t9\n", "line 2: the user -3 is negative"),
    "negative item": ("0\t1\t5\t9\n3\t-2\t5\t9\n", "line 2: the item -2 is negative"),
    "negative rating": ("0\t1\t5\t9\n3\t2\t-5\t9\n", "line 2: the rating -5 is negative"),
    "missing fields": ("0\t1\t5\t9\n3\t2\n3\t4\t1\t1\n", "line 2: 2 column"),
    "too many fields": ("0\t1\t5\t9\n3\t2\t1\t1\t1\n", "line 2: 5 column"),
    "blank line": ("0\t1\t5\t9\n\n3\t4\t1\t1\n", "line 2: "),
    "nan rating": ("0\t1\tnan\t9\n", "line 1: the rating 'nan' is not a number"),
    "one column": ("5\n6\n", "line 1: the item column is missing"),
    "empty": ("", "line 1: the file is empty"),
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
        "line 1: 2 columns have the name 'item': say by position with --columns which is the item",
    ),
    "huge user": (f"1\t2\n{2**63}\t2\n", f"line 2: the user {2**63} is too large"),
    "huge item first": (f"1\t{10**400}\n1\t2\n", "line 1: the item 1000"),
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
    "blank first line": ("\n1,2\n", "line 1: the user column is missing"),
    "digits of another script": (
        "0\t1\n\u0663\t2\n",
        "line 2: the user '\u0663' is not an integer id",
    ),
}


@pytest.mark.parametrize("name", BAD_TABLES)
def test_bad_rows_name_the_file_and_the_line(tmp_path, name):
    text, message = BAD_TABLES[name]
    table = write(tmp_path / "bad.tsv", text)
    with pytest.raises(UserError) as error:
        data.load(str(table))
    assert (
        str(error.value).startswith(f"{table}, ")
        and message in str(error.value)
        and "\n" not in str(error.value)
    )


def test_bad_rows_of_the_grouplens_layout_too(tmp_path):
    write(tmp_path / "ml-1m" / "ratings.dat", "1::10::5::100\n1::ten::3::300\n")
    with pytest.raises(UserError, match="ratings.dat, line 2: the item 'ten' is not an integer id"):
        data.load("ml-1m", tmp_path)


@pytest.mark.parametrize(
    "test, message",
    [
        ("0\t1\n5\t0\n", "line 2: the test user 5 has no train"),
        ("0\t1\n1\t1\n", r"line 2: the test pair \(1, 1\) is also"),
    ],
)
def test_bad_test_rows_name_the_file_and_the_line(tmp_path, test, message):
    write(tmp_path / "own" / "train.tsv", "0\t0\n1\t1\n")
    write(tmp_path / "own" / "test.tsv", test)
    with pytest.raises(UserError, match=f"test.tsv, {message}"):
        data.load(str(tmp_path / "own"))


def test_other_faults_are_told_in_one_line(tmp_path):
    table = write(tmp_path / "own.csv", "0,1\n0,2\n")
    binary = tmp_path / "binary.csv"
    binary.write_bytes(b"\xff\xfe\x00")
    for arguments, message in (
        ((str(tmp_path / "absent.csv"),), "neither one of"),
        ((str(tmp_path),), "holds no"),
        ((str(binary),), "not a text file"),
        ((str(table), None, 0), None),
    ):
        if message:
            with pytest.raises(UserError, match=message):
                data.load(*arguments)
    with pytest.raises(UserError, match="no timestamps"):
        data.load(str(table), split="last")
    with pytest.raises(UserError, match="neither last nor random"):
        data.load(str(table), split="middle")
    with pytest.raises(UserError, match="no column 'who'"):
        data.load(str(table), columns={"user": "who", "item": 1})
    with pytest.raises(UserError, match="none of user"):
        data.load(str(table), columns={"users": 0, "item": 1})


def test_reading_large_tables_takes_the_fast_path(tmp_path, monkeypatch):
    monkeypatch.setattr("advrec_tf.data.tables._complaint", lambda *a: pytest.fail("slow path"))
    frame = read_table(
        write(
            tmp_path / "t.tsv",
            "".join(f"{n % 50}\t{n % 70}\t3\t{n if n % 3 else ''}\n" for n in range(5000)),
        )
    )
    assert len(frame) == 5000 and frame["timestamp"].isna().sum() == 1667 and frame.index[0] == 1


def test_synthetic_data_are_seeded_and_skewed():
    first = data.load("synthetic", seed=4, n_users=50, n_items=40, per_user=10)
    assert (
        first.fingerprint
        == data.load("synthetic", seed=4, n_users=50, n_items=40, per_user=10).fingerprint
    )
    assert (
        first.fingerprint
        != data.load("synthetic", seed=5, n_users=50, n_items=40, per_user=10).fingerprint
    )
    large = data.load("synthetic")
    assert (
        large.statistics()["popularity Gini"] > 0.3
        and len(large.test_users) == large.n_users == 600
    )


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_negatives_are_unknown_items(seed):
    built = data.synthetic(n_users=12, n_items=9, per_user=6, seed=seed)
    users, positives, negatives = data.sample_triples(built, seed)
    known = built.pairs(built.train_users, built.train_items)
    assert not np.isin(built.pairs(users, negatives), known).any()
    assert negatives.min() >= 0 and negatives.max() < built.n_items
    np.testing.assert_array_equal(built.pairs(users, positives), known)


def test_negatives_are_uniform_and_may_be_the_test_item():
    frame = pd.DataFrame(
        [(0, i) for i in (0, 3, 4)] + [(1, i) for i in range(1, 7)], columns=["user", "item"]
    )
    built = data.Interactions.from_frames(frame, pd.DataFrame([(0, 5)], columns=["user", "item"]))
    draws = np.concatenate(
        [
            triples.negatives[triples.users == 0]
            for triples in (data.sample_triples(built, s) for s in range(2000))
        ]
    )
    counts = np.bincount(draws, minlength=7)
    assert counts[[0, 3, 4]].sum() == 0
    np.testing.assert_allclose(counts[[1, 2, 5, 6]] / len(draws), 0.25, atol=0.02)


def test_data_that_cannot_be_tested_are_told(tmp_path):
    with pytest.raises(UserError, match="nobody can be tested"):
        data.load(str(write(tmp_path / "own.csv", "0,1\n1,2\n1,2\n")))
    with pytest.raises(UserError, match="nobody can be tested"):
        data.Interactions.from_frames(pd.DataFrame({"user": [], "item": []}))


def test_a_user_who_knows_everything_is_told():
    frames = [
        pd.DataFrame(rows, columns=["user", "item"])
        for rows in ([(0, 0), (0, 1), (1, 0)], [(1, 1)])
    ]
    with pytest.raises(UserError, match="user 0 of frame knows every item"):
        data.sample_triples(data.Interactions.from_frames(*frames), 0)


def test_an_epoch_is_shuffled_whole_and_a_function_of_its_number(small):
    first = data.shuffled_batches(small, 64, 0, 7)
    assert first.users.shape == (len(small.train_users) // 64, 64)
    seen = small.pairs(first.users.ravel(), first.positives.ravel())
    assert (
        len(np.unique(seen)) == len(seen)
        and np.isin(seen, small.pairs(small.train_users, small.train_items)).all()
    )
    for again, same in (
        (data.shuffled_batches(small, 64, 0, 7), True),
        (data.shuffled_batches(small, 64, 0, 8), False),
    ):
        assert (
            np.array_equal(first.negatives, again.negatives)
            == np.array_equal(first.users, again.users)
            == same
        )
    assert data.shuffled_batches(small, 10**6, 0, 0).users.shape == (1, len(small.train_users))


def test_fingerprint_sees_every_part(tmp_path):
    prints = set()
    for train, test in (
        ("0\t0\n1\t1\n", "0\t1\n"),
        ("0\t0\n1\t1\n", "1\t0\n"),
        ("0\t1\n1\t0\n", "0\t0\n"),
    ):
        write(tmp_path / "own" / "train.tsv", train)
        write(tmp_path / "own" / "test.tsv", test)
        prints.add(data.load(str(tmp_path / "own")).fingerprint)
    assert len(prints) == 3


def test_k_cores_by_hand(tmp_path):
    """User 2 has too few; without her, item 9 has too few; without that, user 1 has too few (only the iterated core sees it)."""
    rows = [
        (0, 1, 1),
        (0, 2, 2),
        (0, 3, 3),
        (1, 1, 1),
        (1, 2, 2),
        (1, 9, 3),
        (2, 9, 1),
        (3, 1, 5),
        (3, 2, 6),
        (3, 3, 4),
    ]
    table = write(tmp_path / "own.tsv", "".join(f"{u}\t{i}\t1\t{t}\n" for u, i, t in rows))
    whole = data.load(str(table))
    single = data.k_core(whole, 2)
    assert single.user_ids.tolist() == [0, 1, 3] and single.item_ids.tolist() == [1, 2, 3]
    # User 1's test item (9) is gone, so the latest that is left is held out; the others keep theirs.
    assert dict(pairs(single.user_ids[single.test_users], single.item_ids[single.test_items])) == {
        0: 3,
        1: 2,
        3: 2,
    }
    triple = data.k_core(whole, 3, "single_pass")
    assert triple.user_ids.tolist() == [0, 1, 3] and triple.item_ids.tolist() == [1, 2]
    with pytest.raises(UserError, match="no user left"):
        data.k_core(whole, 3, "iterated")
    with pytest.raises(ValueError, match="protocol"):
        data.k_core(whole, 3, "twice")


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), k=st.integers(2, 6))
def test_the_iterated_core_is_a_core(seed, k):
    whole = data.synthetic(n_users=30, n_items=25, per_user=8, seed=seed)
    try:
        core = data.k_core(whole, k, "iterated")
    except UserError:
        return
    for ids in ((core.train_users, core.test_users), (core.train_items, core.test_items)):
        assert np.bincount(np.concatenate(ids)).min() >= k
    assert len(core.test_users) == core.n_users


def frame_of(rows, *columns):
    return pd.DataFrame(rows, columns=["user", "item", *columns])


def test_the_train_matrix_holds_ones_or_ratings(small):
    clicks, rated = small.matrix(), small.matrix(ratings=True)
    assert (
        clicks.shape == rated.shape == (small.n_users, small.n_items)
        and clicks.dtype == rated.dtype == np.float32
    )
    dense = np.zeros(clicks.shape, np.float32)
    dense[small.train_users, small.train_items] = small.train_ratings
    np.testing.assert_array_equal(rated.toarray(), dense)
    np.testing.assert_array_equal(clicks.toarray(), dense > 0)


def test_the_rating_scale_is_that_of_the_train_ratings():
    built = data.Interactions.from_frames(
        frame_of([(0, 0, 2), (0, 1, 4.5), (1, 0, 3)], "rating"), frame_of([(1, 1, 5)], "rating")
    )
    assert built.rating_scale == (2, 4.5) and all(type(end) is float for end in built.rating_scale)


def test_ratings_that_are_not_there_are_told():
    built = data.Interactions.from_frames(frame_of([(0, 0), (0, 1)]), name="shop")
    for ask in (lambda: built.matrix(ratings=True), lambda: built.rating_scale):
        with pytest.raises(UserError, match="shop has no ratings"):
            ask()


@pytest.mark.parametrize("seed", [-1, 1.5, None, "0"])
def test_a_seed_is_a_whole_number_from_0_up(small, tmp_path, seed):
    table = write(tmp_path / "own.csv", "0,1\n0,2\n")
    for draw in (
        lambda: data.load(str(table), seed=seed),
        lambda: data.load("synthetic", seed=seed),
        lambda: data.synthetic(n_users=3, n_items=4, per_user=2, seed=seed),
        lambda: data.sample_triples(small, seed),
        lambda: data.sample_triples(small, [0, seed]),
        lambda: data.choose_targets(small, "tail", 2, seed),
        lambda: data.k_core(replace(small, train_timestamps=None), 2, seed=seed),
        lambda: data.shuffled_batches(small, 8, seed, 0),
        lambda: data.user_batches(small, small.train_ratings, small.train_ratings, 8, seed, 0),
        lambda: data.rating_batches(small, 8, seed, 0),
        lambda: data.Interactions.from_frames(frame_of([(0, 0), (0, 1)]), split="80:20", seed=seed),
    ):
        with pytest.raises(
            UserError, match=f"^the seed must be a whole number from 0 up, not {seed}$"
        ):
            draw()


def test_a_seed_may_be_huge(small):
    assert len(data.sample_triples(small, 2**200).users) == len(small.train_users)
    assert len(data.choose_targets(small, "tail", 2, np.int64(3))) == 2


TEXT_IDS = {
    "str": lambda ids: pd.Series(ids, dtype="str"),
    "string": lambda ids: pd.Series(ids, dtype="string"),
    "object": lambda ids: pd.Series(ids, dtype=object),
    "category": lambda ids: pd.Series(
        pd.Categorical(ids, categories=sorted(set(ids), reverse=True))
    ),
    "mixed": lambda ids: pd.Series([7 if each == "7" else each for each in ids], dtype=object),
}


@pytest.mark.parametrize("kind", TEXT_IDS)
def test_text_ids_are_plain_sorted_arrays_and_survive_a_file(tmp_path, kind):
    frame = pd.DataFrame(
        {
            "user": TEXT_IDS[kind](["b", "b", "7", "7"]),
            "item": TEXT_IDS[kind](["long", "7", "c", "7"]),
        }
    )
    built = data.Interactions.from_frames(frame, split="random")
    assert (built.user_ids.dtype.kind, built.user_ids.tolist(), built.item_ids.tolist()) == (
        "U",
        ["7", "b"],
        ["7", "c", "long"],
    )
    assert sorted(
        pairs(
            *(
                np.concatenate([getattr(built, f"{part}_{of}") for part in ("train", "test")])
                for of in ("users", "items")
            )
        )
    ) == [
        (0, 0),
        (0, 1),
        (1, 0),
        (1, 2),
    ]
    np.savez(tmp_path / "ids.npz", ids=built.item_ids)
    with np.load(tmp_path / "ids.npz", allow_pickle=False) as file:
        np.testing.assert_array_equal(file["ids"], built.item_ids)


@pytest.mark.parametrize("kind", ["int64", "uint8", "Int64", "object", "category"])
def test_integer_ids_stay_integers(kind):
    built = data.Interactions.from_frames(frame_of([(10, 3), (10, 20), (9, 3)]).astype(kind))
    assert (
        built.user_ids.dtype.kind in "iu"
        and built.user_ids.tolist() == [9, 10]
        and built.item_ids.tolist() == [3, 20]
    )


def test_a_missing_id_is_told():
    with pytest.raises(UserError, match="shop, line 1: the item is missing"):
        data.Interactions.from_frames(frame_of([("a", "x"), ("a", None)]), name="shop")


def test_ratings_of_the_train_table_stay_where_the_test_table_has_none(tmp_path):
    write(tmp_path / "shop" / "train.csv", "user,item,rating\n0,1,4\n0,0,2\n")
    write(tmp_path / "shop" / "test.csv", "user,item\n0,2\n")
    built = data.load(str(tmp_path / "shop"))
    assert built.train_ratings.tolist() == [2, 4] and built.test_ratings is None
    assert (
        data.Interactions.from_frames(
            frame_of([(0, 1), (0, 0)]), frame_of([(0, 2, 1)], "rating")
        ).test_ratings
        is None
    )


def test_repeated_pairs_of_split_tables_keep_the_latest():
    columns = "rating", "timestamp"
    train = frame_of(
        [
            (0, 0, 1, 9),
            (0, 0, 2, 9),
            (0, 0, 3, 8),
            (0, 0, 4, np.nan),
            (0, 1, 5, np.nan),
            (0, 1, 6, np.nan),
        ],
        *columns,
    )
    built = data.Interactions.from_frames(train, frame_of([(0, 2, 7, 3), (0, 2, 8, 2)], *columns))
    assert (
        built.duplicates == 5
        and built.train_ratings.tolist() == [2, 6]
        and built.test_ratings.tolist() == [7]
    )
    np.testing.assert_array_equal(built.train_timestamps, [9, np.nan])
    untimed = data.Interactions.from_frames(
        train[["user", "item", "rating"]], frame_of([(0, 2, 7, 3), (0, 2, 8, 2)], *columns)
    )
    assert untimed.train_ratings.tolist() == [4, 6] and untimed.test_ratings.tolist() == [7]


def test_repeated_pairs_of_a_random_split_keep_the_latest():
    frame = frame_of(
        [(0, 0, 1, 9), (0, 0, 2, 8), (0, 1, 3, 9), (0, 1, 4, 8)], "rating", "timestamp"
    )
    built = data.Interactions.from_frames(frame, split="random")
    assert sorted([*built.train_ratings, *built.test_ratings]) == [1, 3]


def by_ids(built, part, values):
    """The values of the train or test pairs by the ids of their users and items."""
    users, items = (getattr(built, f"{part}_{of}") for of in ("users", "items"))
    return dict(zip(pairs(built.user_ids[users], built.item_ids[items]), values.tolist()))


def test_a_core_keeps_ratings_and_timestamps(small):
    core = data.k_core(small, 11)
    assert core.n_users < small.n_users and core.n_items < small.n_items
    times = by_ids(small, "train", small.train_timestamps)
    ratings = by_ids(small, "train", small.train_ratings) | by_ids(
        small, "test", small.test_ratings
    )
    assert by_ids(core, "train", core.train_timestamps).items() <= times.items()
    kept = by_ids(core, "train", core.train_ratings) | by_ids(core, "test", core.test_ratings)
    assert (
        len(kept) == len(core.train_users) + len(core.test_users)
        and kept.items() <= ratings.items()
    )


def test_a_core_of_data_without_timestamps_has_none_and_keeps_the_test_rows(small):
    whole = replace(small, train_timestamps=None)
    core, other = (data.k_core(whole, 11, seed=seed) for seed in (0, 1))
    assert (
        core.train_timestamps is None
        and core.fingerprint == data.k_core(whole, 11).fingerprint != other.fingerprint
    )
    first, second = (by_ids(each, "test", each.test_items) for each in (core, other))
    before = {
        pair
        for pair in by_ids(whole, "test", whole.test_items)
        if pair[1] in core.item_ids and pair[0] in core.user_ids
    }
    assert before <= first.keys() & second.keys() and len(before) < len(first)


def test_a_core_of_data_whose_test_rows_have_no_ratings_has_none(small):
    core = data.k_core(replace(small, test_ratings=None), 11)
    assert core.train_ratings is core.test_ratings is None


def public(tmp_path, monkeypatch, users=2, items=3, interactions=5):
    """A data folder with a small gowalla of 2 users, 3 items and 5 pairs; the published sizes are those given."""
    write(tmp_path / "gowalla" / "train.csv", "uid,sid\n0,0\n0,0\n0,1\n1,2\n")
    write(tmp_path / "gowalla" / "test.csv", "uid,sid\n0,2\n1,0\n")
    monkeypatch.setitem(
        SOURCES,
        "gowalla",
        SOURCES["gowalla"]._replace(users=users, items=items, interactions=interactions),
    )
    return tmp_path


def test_a_named_data_set_of_the_published_sizes_is_registered(tmp_path, monkeypatch):
    built = data.load("gowalla", public(tmp_path, monkeypatch))
    assert built.registered and replace(built, name="other").registered
    assert not data.k_core(built, 1).registered
    assert (
        not data.load(str(tmp_path / "gowalla")).registered
        and not data.load("synthetic").registered
    )
    assert data.load(
        "gowalla", public(tmp_path, monkeypatch, items=None, interactions=None)
    ).registered


@pytest.mark.parametrize("part", ["users", "items", "interactions"])
def test_a_named_data_set_of_other_sizes_is_not_registered(tmp_path, monkeypatch, part):
    assert not data.load("gowalla", public(tmp_path, monkeypatch, **{part: 4})).registered


def test_only_the_registered_gowalla_has_built_in_targets():
    counts = np.arange(1, 101)
    clicks = pd.DataFrame(
        {"user": np.concatenate([np.arange(n) for n in counts]), "item": np.repeat(counts, counts)}
    )
    built = data.Interactions.from_frames(clicks, frame_of([(50, 1)]), name="gowalla")
    drawn = [data.choose_targets(built, seed=seed) for seed in (0, 1)]
    assert drawn[0] == data.choose_targets(replace(built, name="shop", registered=True)) and set(
        drawn[0]
    ) == {95, 96, 97, 98, 99}
    with pytest.raises(UserError, match="target 259 is not an item"):
        data.choose_targets(replace(built, registered=True))


def test_ones_own_inputs_never_have_the_name_of_a_public_data_set(tmp_path):
    for name, expected in (
        ("ml-1m.csv", "own-ml-1m"),
        ("gowalla.tsv", "own-gowalla"),
        ("synthetic.csv", "own-synthetic"),
        ("ml-2m.csv", "ml-2m"),
    ):
        assert data.load(str(write(tmp_path / name, "0,1\n0,2\n"))).name == expected
    for table in ("train.csv", "test.csv"):
        write(tmp_path / "any" / "ml-1m" / table, f"0,{len(table)}\n")
    assert data.load(str(tmp_path / "any" / "ml-1m")).name == "own-ml-1m"


def test_inputs_of_the_same_name_are_told_apart(small, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = ["a/shop.csv", str(tmp_path / "b" / "shop.csv"), "other.csv", "ml-1m", "ml-1m"]
    named = data.distinct_names([replace(small, name=Path(path).stem) for path in paths], paths)
    marks = [
        hashlib.sha256(str(tmp_path / folder / "shop.csv").encode()).hexdigest()[:6]
        for folder in "ab"
    ]
    assert [each.name for each in named] == [
        f"shop-{marks[0]}",
        f"shop-{marks[1]}",
        "other",
        "ml-1m",
        "ml-1m",
    ]
    assert named[0].fingerprint == small.fingerprint and data.distinct_names(
        [small], ["synthetic"]
    ) == [small]


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
def test_bad_columns_are_told(tmp_path, name):
    columns, message = BAD_COLUMNS[name]
    table = write(tmp_path / "own.csv", "who,what,x,x\n1,2,3,4\n1,3,3,4\n")
    with pytest.raises(UserError) as error:
        data.load(str(table), columns=columns)
    assert str(error.value).startswith(f"{table}, {message}")


def test_a_blank_first_line_is_told_with_columns_too(tmp_path):
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
    assert data.load(
        str(write(tmp_path / "own.csv", "ann,x\nann,y\nbob,1\nbob,2\n"))
    ).item_ids.tolist() == ["1", "2", "x", "y"]


def test_the_largest_integer_id_is_one(tmp_path):
    assert data.load(
        str(write(tmp_path / "own.csv", f"0,1\n0,{2**63 - 1}\n"))
    ).item_ids.tolist() == [1, 2**63 - 1]


def test_triples_follow_the_seed(small):
    draws = [data.sample_triples(small, seed).negatives for seed in (3, 3, 4)]
    assert np.array_equal(draws[0], draws[1]) and not np.array_equal(draws[0], draws[2])


def by_pair(built, batches):
    """The negatives of an epoch of one batch, in the order of the train pairs."""
    return batches.negatives.ravel()[
        np.argsort(built.pairs(batches.users, batches.positives).ravel())
    ]


def test_every_epoch_and_seed_has_its_own_negatives_and_its_own_order(small):
    n = len(small.train_users)
    first, *others = (data.shuffled_batches(small, n, *place) for place in ((0, 0), (0, 1), (1, 0)))
    for other in others:
        assert not np.array_equal(by_pair(small, first), by_pair(small, other))
        assert not np.array_equal(first.positives, other.positives)


def test_every_epoch_and_seed_has_its_own_order_of_ratings(small):
    known = sorted(zip(small.train_users, small.train_items, small.train_ratings))
    orders = [data.rating_batches(small, 100, *place) for place in ((0, 0), (0, 0), (0, 1), (1, 0))]
    for batches in orders:
        present = batches.present == 1
        assert sorted(zip(*(part[present] for part in batches[:3]))) == known
    same = [np.array_equal(orders[0].items, other.items) for other in orders[1:]]
    assert same == [True, False, False]


def test_every_epoch_and_seed_has_its_own_order_of_users(small):
    ratings = small.train_ratings
    orders = [
        data.user_batches(small, ratings, ratings, 16, *place).users.ravel()
        for place in ((0, 0), (0, 0), (0, 1), (1, 0))
    ]
    assert all(sorted(order) == list(range(small.n_users)) for order in orders)
    assert [np.array_equal(orders[0], other) for other in orders[1:]] == [True, False, False]


def test_a_fifth_of_every_user_is_held_out_as_the_seed_says():
    sizes = np.array([1, 2, 4, 7, 8, 10, 12, 20])
    users = np.repeat(np.arange(len(sizes)), sizes)
    splits = [one_in_five(users, seed) for seed in (0, 0, 1)]
    for held_out in splits:
        assert np.bincount(users[held_out], minlength=len(sizes)).tolist() == [
            0,
            1,
            1,
            1,
            2,
            2,
            2,
            4,
        ]
    assert np.array_equal(splits[0], splits[1]) and not np.array_equal(splits[0], splits[2])


def test_the_80_20_split_follows_its_seed(tmp_path):
    table = write(
        tmp_path / "own.tsv", "".join(f"{u}\t{i}\t1\t{i}\n" for u in range(20) for i in range(10))
    )
    splits = [data.load(str(table), seed=seed, split="80:20") for seed in (0, 0, 1)]
    assert np.bincount(splits[0].test_users).tolist() == [2] * 20
    assert splits[0].fingerprint == splits[1].fingerprint != splits[2].fingerprint


def test_synthetic_data_are_split_as_asked():
    last, again, random, fifth = (
        data.synthetic(n_users=30, n_items=40, per_user=10, split=split)
        for split in (None, "last", "random", "80:20")
    )
    assert last.fingerprint == again.fingerprint != random.fingerprint
    assert (
        last.has_one_test_item_each
        and random.has_one_test_item_each
        and not fifth.has_one_test_item_each
    )


def test_leave_one_out_takes_the_largest_item_of_equally_late_ones():
    users, items = np.array([0, 0, 0, 1, 1]), np.array([4, 9, 2, 8, 3])
    assert items[
        leave_one_out(users, items, np.array([5.0, 5, 5, np.nan, np.nan]), 0)
    ].tolist() == [9, 8]


FINGERPRINTED = {  # a change, and whether the data then train another model on clicks; one on ratings it is always
    "users": ({"n_users": 81}, True),
    "items": ({"n_items": 51}, True),
    "train users": ({"train_users": "changed"}, True),
    "train items": ({"train_items": "changed"}, True),
    "test users": ({"test_users": "changed"}, True),
    "test items": ({"test_items": "changed"}, True),
    "ratings": ({"train_ratings": "changed"}, False),
    "no ratings": ({"train_ratings": None}, False),
}


@pytest.mark.parametrize("part", FINGERPRINTED)
def test_fingerprints_see_what_a_model_sees(small, part):
    change, seen = FINGERPRINTED[part]
    change = {
        field: np.roll(getattr(small, field), 1) if isinstance(value, str) else value
        for field, value in change.items()
    }
    other = replace(small, **change)
    assert (
        other.fingerprint != small.fingerprint
    ) == seen and other.ratings_fingerprint != small.ratings_fingerprint
    assert (
        replace(small, name="x", train_timestamps=None).ratings_fingerprint
        == small.ratings_fingerprint
    )


def test_statistics_by_hand():
    """Items clicked 3, 1 and 0 times in train: Gini = (2 * 3 + 0 * 1 - 2 * 0) / (3 * 4); two test pairs, one of an unseen item."""
    built = data.Interactions.from_frames(
        frame_of([(0, 0), (1, 0), (2, 0), (2, 0), (2, 1)]), frame_of([(0, 1), (1, 2)])
    )
    expected = {
        "users": 3,
        "items": 3,
        "interactions": 6,
        "train": 4,
        "test": 2,
        "density": 6 / 9,
        "size": 9,
        "shape": 1,
        "popularity Gini": 0.5,
        "share of the most popular 10%": 0.75,
        "duplicates collapsed": 1,
        "test items never in train": 1,
    }
    assert built.statistics() == pytest.approx(expected)


def test_an_item_at_a_percentile_is_of_the_group_below_it():
    counts = np.arange(101)  # the percentiles are 0, 1, ..., 100
    clicks = pd.DataFrame(
        {"user": np.concatenate([np.arange(n) for n in counts]), "item": np.repeat(counts, counts)}
    )
    built = data.Interactions.from_frames(clicks, frame_of([(0, 0)]))
    groups = {
        name: (items.min(), items.max(), len(items))
        for name, items in data.popularity_groups(built).items()
    }
    assert groups == {
        "head": (96, 100, 5),
        "upper_torso": (76, 95, 20),
        "lower_torso": (51, 75, 25),
        "tail": (0, 50, 51),
    }


def test_a_core_drops_users_first_and_goes_on_only_when_iterated():
    """k = 2.  User 2 has one interaction; without her item 12 has one, and without that user 1 has one: only the iterated core sees it.

    Were items dropped first, item 12 would still have two.
    """
    rows = [(0, 10, 1), (0, 11, 2), (3, 10, 1), (3, 11, 2), (1, 11, 1), (1, 12, 2), (2, 12, 1)]
    whole = data.Interactions.from_frames(frame_of(rows, "timestamp"))
    single, iterated = (data.k_core(whole, 2, protocol) for protocol in ("single_pass", "iterated"))
    assert (single.user_ids.tolist(), single.item_ids.tolist()) == ([0, 1, 3], [10, 11])
    assert (iterated.user_ids.tolist(), iterated.item_ids.tolist()) == ([0, 3], [10, 11])
    assert data.k_core(whole, 2).fingerprint == single.fingerprint


def test_a_core_does_not_know_when_a_test_row_was():
    """k = 2: item 12 falls away, and user 1 has nothing left but the test row, which becomes a train row."""
    rows = [
        (0, 10, 1, 5),
        (0, 11, 2, 4),
        (3, 10, 1, 3),
        (3, 11, 2, 2),
        (1, 12, 1, 1),
        (1, 10, 2, 5),
    ]
    core = data.k_core(data.Interactions.from_frames(frame_of(rows, "timestamp", "rating")), 2)
    assert by_ids(core, "train", core.train_ratings) == {(0, 10): 5, (3, 10): 3, (1, 10): 5}
    np.testing.assert_array_equal(core.train_timestamps, [1, np.nan, 1])


def test_validation_holds_out_the_last_training_interaction_and_forgets_the_test_items():
    frame = pd.DataFrame(
        {
            "user": [0, 0, 0, 0, 1, 1, 2],
            "item": [5, 6, 7, 8, 5, 6, 5],
            "timestamp": [3.0, 9, 8, 7, 1, 2, 1],
            "rating": [1, 2, 3, 4, 5, 1, 2],
        }
    )
    whole = data.Interactions.from_frames(frame, name="shop")
    assert whole.test_items.tolist() == [1, 1]  # of users 0 and 1, the item 6
    found = whole.validation()
    # User 0 has 5, 7 and 8 left, the latest of which is 7; user 1 has one left, which stays.
    assert (
        found.test_users.tolist() == [0]
        and found.test_items.tolist() == [2]
        and found.test_ratings.tolist() == [3]
    )
    assert found.train_users.tolist() == [0, 0, 1, 2] and found.train_items.tolist() == [0, 3, 0, 0]
    assert found.train_ratings.tolist() == [1, 4, 5, 2] and found.train_timestamps.tolist() == [
        3,
        7,
        1,
        1,
    ]
    assert (
        found.name == "shop-validation"
        and not found.registered
        and (found.n_users, found.n_items) == (3, 4)
    )
    assert found.fingerprint != whole.fingerprint
    plain = data.Interactions.from_frames(frame[["user", "item"]], split="random", seed=3)
    assert plain.validation(1).train_ratings is None and len(plain.validation(1).test_users) == 1
    with pytest.raises(UserError, match="no user has two training interactions"):
        data.Interactions.from_frames(frame[:2]).validation()
