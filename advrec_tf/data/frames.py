"""The fields of `Interactions` from tables: numbering, duplicates and the split."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd

from advrec_tf.data.splits import leave_one_out, one_in_five
from advrec_tf.errors import UserError


def fields_of(
    train: pd.DataFrame, test: pd.DataFrame | None, name: str, split: str | None, seed: int
) -> dict[str, Any]:
    """Return the fields of `Interactions.from_frames`, which has the same arguments."""
    frames = [train] if test is None else [train, test]
    source = train.attrs.get("path", name)
    users, user_ids = _numbered(frames, "user", name)
    items, item_ids = _numbered(frames, "item", name)
    times, ratings = (_column(frames, field) for field in ("timestamp", "rating"))
    if test is not None:
        _check_test(users, items, len(train), test)
    rows, owners, contents = _latest_of_pairs(users, items, len(train), times)
    known_times = None if times is None or "timestamp" not in train else times[rows]
    if test is None:
        is_test = _held_out(owners, contents, known_times, split, seed, source)
    else:
        is_test = rows >= len(train)
    if not is_test.any():
        raise UserError(
            f"{source}: no user has two different interactions, so nobody can be tested"
        )
    in_train = ~is_test
    rated = ["rating" in frame for frame in frames]
    return dict(
        name=name,
        n_users=len(user_ids),
        n_items=len(item_ids),
        train_users=owners[in_train],
        train_items=contents[in_train],
        test_users=owners[is_test],
        test_items=contents[is_test],
        user_ids=user_ids,
        item_ids=item_ids,
        user_order=_first_seen(users, len(user_ids)),
        item_order=_first_seen(items, len(item_ids)),
        duplicates=len(users) - len(rows),
        train_timestamps=None if known_times is None else known_times[in_train],
        train_ratings=_rating(ratings, rows[in_train]) if rated[0] else None,
        test_ratings=_rating(ratings, rows[is_test]) if all(rated) else None,
    )


def _rating(ratings: np.ndarray | None, rows: np.ndarray) -> np.ndarray | None:
    """Return the ratings of some rows, float32."""
    return None if ratings is None else ratings[rows].astype(np.float32)


def without_cold(train: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Return the test rows whose user and whose item are in train; attrs say how many are not."""
    known = np.ones(len(test), bool)
    for field in ("user", "item"):
        codes, _ = _numbered([train, test], field, "")
        known &= np.isin(codes[len(train) :], codes[: len(train)])
    left = test[known]
    dropped = f"{len(test) - len(left):,} test rows of unknown users or items dropped"
    left.attrs = test.attrs | {"dropped": [dropped]}
    return left


def _numbered(frames: list[pd.DataFrame], field: str, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return each id's index among the sorted ids, int32 [N], and these: integers or text.

    Ids are integers if those of all frames are.  Text is a NumPy array of strings, which np.load
    accepts without pickles.  name: of the data, where a frame has no path.
    """
    columns = [frame[field] for frame in frames]
    for column, frame in zip(columns, frames):
        missing = column.isna()
        if missing.any():
            source, line = frame.attrs.get("path", name), column.index[np.argmax(missing)]
            raise UserError(f"{source}, line {line}: the {field} is missing")
    if all(_holds_integers(column) for column in columns):
        values = [column.to_numpy(np.int64) for column in columns]
        return _ranked(values[0] if len(values) == 1 else np.concatenate(values))
    _check_kinds(frames, field)
    texts = [column.astype(str).astype("category") for column in columns]
    union = pd.api.types.union_categoricals(texts)
    codes, used = _ranked(union.codes.astype(np.int64))
    names = np.asarray(union.categories[used], str)
    order = np.argsort(names)
    rank = np.empty(len(order), np.int32)
    rank[order] = np.arange(len(order))
    return rank[codes], names[order]


def _holds_integers(column: pd.Series) -> bool:
    """Return whether all ids are integers of 64 bits."""
    if isinstance(column.dtype, pd.CategoricalDtype):
        return pd.api.types.infer_dtype(column.cat.categories) == "integer"
    if column.dtype == np.int64:
        return True
    is_integer = pd.api.types.infer_dtype(column) == "integer"
    return is_integer and int(column.abs().max()) <= np.iinfo(np.int64).max  # else they wrap


def _check_kinds(frames: list[pd.DataFrame], field: str) -> None:
    """Raise UserError where one table has integer ids and another writes them as floats."""
    for frame, other in product(frames, frames):
        floats = frame.attrs.get("integers_as_floats", {}).get(field)
        if floats and other[field].dtype == np.int64:
            raise UserError(
                f"{other.attrs['path']} has integers as {field}s, and {frame.attrs['path']} "
                f"floats such as {floats}: write them alike, or say --ids=integer"
            )


def _first_seen(indices: np.ndarray, count: int) -> np.ndarray:
    """Return the indices 0 ... count - 1 in the order in which they first occur."""
    first = np.empty(count, np.int32)
    first[indices[::-1]] = np.arange(len(indices), dtype=np.int32)[::-1]
    return np.argsort(first)


def _ranked(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return each integer's index among the sorted distinct ones, int32, and these."""
    low, high = values.min(initial=0), values.max(initial=0)
    if low < 0 or high > 4 * len(values) + 1_000_000:  # a table of all numbers would be too large
        ids, indices = np.unique(values, return_inverse=True)
        return indices.astype(np.int32), ids
    present = np.zeros(high + 1, bool)
    present[values] = True
    rank = np.cumsum(present, dtype=np.int32)
    rank -= 1
    return rank[values], np.flatnonzero(present)


def _column(frames: list[pd.DataFrame], field: str) -> np.ndarray | None:
    """Return a column of several frames in one, float64, NaN for a frame without it.

    None where no frame has it.
    """
    if not any(field in frame for frame in frames):
        return None
    columns = [frame.get(field, pd.Series(np.nan, frame.index)) for frame in frames]
    values = [column.to_numpy(np.float64) for column in columns]
    return values[0] if len(values) == 1 else np.concatenate(values)


def _latest_of_pairs(
    users: np.ndarray, items: np.ndarray, train_rows: int, times: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the row of the latest interaction of each (user, item) pair, its user and its item.

    Train pairs come before test pairs, each in sorted order: int64 [N], int32 [N], int32 [N].
    A blank timestamp is the oldest; of equal ones the last row counts.
    """
    n_users, n_items = (int(x.max(initial=0)) + 1 for x in (users, items))
    pairs = users.astype(np.int64) * n_items
    pairs += items
    pairs[train_rows:] += n_users * n_items
    rows, pairs = _sorted(pairs)
    repeated = pairs[1:] == pairs[:-1]
    if repeated.any():
        kept = ~_is_superseded(rows, repeated, times)
        rows, pairs = rows[kept], pairs[kept]
    owners = pairs // n_items
    contents = pairs - owners * n_items
    owners[rows >= train_rows] -= n_users
    return rows, owners.astype(np.int32), contents.astype(np.int32)


def _is_superseded(rows: np.ndarray, repeated: np.ndarray, times: np.ndarray | None) -> np.ndarray:
    """Return which rows have a later one of the same pair: bool [N].

    rows: sorted by pair, and within it as they stand; repeated: whether the next row is of the
    same pair, [N - 1]
    """
    superseded = np.append(repeated, False)
    if times is None:
        return superseded
    # Few rows are of pairs that occur twice, and only these are ordered by time.
    of_several = np.flatnonzero(superseded | np.append(False, repeated))
    group = np.cumsum(~np.append(False, repeated)[of_several])
    age = times[rows[of_several]]
    age = np.where(np.isnan(age), -np.inf, age)
    ordered = np.lexsort((age, group))  # stable: of equal ages the last row stays last
    superseded[of_several] = True
    superseded[of_several[ordered[np.diff(group, append=-1) != 0]]] = False
    return superseded


def _sorted(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the order of integers from 0 up, equal ones as they stand, and these in that order."""
    bits = len(values).bit_length()
    if int(values.max(initial=0)).bit_length() + bits > 63:
        order = np.argsort(values, kind="stable")
        return order, values[order]
    # Value and position in one number: sorting numbers is several times as fast as their order.
    keys = values << bits
    keys |= np.arange(len(values))
    keys.sort()
    order = keys & ((1 << bits) - 1)
    keys >>= bits
    return order, keys


def _held_out(
    users: np.ndarray,
    items: np.ndarray,
    timestamps: np.ndarray | None,
    split: str | None,
    seed: int,
    source: str,
) -> np.ndarray:
    """Return which of the pairs [N] a split holds out: bool [N]."""
    if split == "80:20":
        return one_in_five(users, seed)
    if split not in (None, "last", "random"):
        raise UserError(f"split {split!r} is neither last nor random nor 80:20")
    if split == "last" and timestamps is None:
        raise UserError(f"{source} has no timestamps to split by: use the random split")
    return leave_one_out(users, items, None if split == "random" else timestamps, seed)


def _check_test(users: np.ndarray, items: np.ndarray, train_rows: int, test: pd.DataFrame) -> None:
    """Raise UserError for a test user without train interactions, and a test pair in train."""
    pairs = users.astype(np.int64) * (items.max() + 1) + items
    new_user = ~np.isin(users[train_rows:], users[:train_rows])
    repeated = np.isin(pairs[train_rows:], pairs[:train_rows])
    for faults, message in (
        (new_user, "the test user {user} has no train interaction"),
        (repeated, "the test pair ({user}, {item}) is also in train"),
    ):
        if faults.any():
            row = test.iloc[int(np.argmax(faults))]
            reason = message.format(user=row["user"], item=row["item"])
            raise UserError(f"{test.attrs.get('path', 'test')}, line {row.name}: {reason}")
