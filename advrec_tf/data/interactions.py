"""The interactions of users with items, split into train and test: what every other room reads."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from advrec_tf.data.splits import highest_of_each, leave_one_out, one_in_five
from advrec_tf.errors import UserError


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions split into train and test; implicit feedback (each is a 1) to all models but those that ask for ratings.

    Users and items are numbered 0 ... n-1 in the order of their sorted ids; `user_ids[u]` and `item_ids[i]` are the ids
    of the file.  Train pairs are sorted by (user, item) and unique; so are the test pairs.
    """

    name: str
    n_users: int
    n_items: int
    train_users: np.ndarray  # int32 [N]
    train_items: np.ndarray  # int32 [N]
    test_users: np.ndarray  # int32 [M]
    test_items: np.ndarray  # int32 [M]
    user_ids: np.ndarray  # [n_users], integers or numpy texts
    item_ids: np.ndarray  # [n_items]
    duplicates: int = 0  # interactions that repeated an earlier pair and were collapsed
    train_timestamps: np.ndarray | None = (
        None  # float64 [N], NaN where unknown; None where the data have none
    )
    train_ratings: np.ndarray | None = None  # float32 [N]; None where the data have none
    test_ratings: np.ndarray | None = None  # float32 [M]; None where the test data have none
    registered: bool = (
        False  # whether this is a public data set, loaded by its name, of the published sizes
    )

    @cached_property
    def indptr(self) -> np.ndarray:
        """int64 [n_users + 1]: the train pairs of user u stand at indptr[u] : indptr[u + 1]."""
        return np.concatenate(
            [[0], np.cumsum(np.bincount(self.train_users, minlength=self.n_users))]
        )

    @cached_property
    def has_one_test_item_each(self) -> bool:
        """Whether no user has several test items (leave-one-out)."""
        return len(np.unique(self.test_users)) == len(self.test_users)

    @cached_property
    def item_counts(self) -> np.ndarray:
        """int64 [n_items]: train interactions of each item."""
        return np.bincount(self.train_items, minlength=self.n_items)

    @cached_property
    def rating_scale(self) -> tuple[float, float]:
        """The least and the largest train rating.  Raises UserError when there are no ratings."""
        ratings = self._ratings()
        return float(ratings.min()), float(ratings.max())

    def matrix(self, ratings: bool = False) -> sparse.csr_matrix:
        """The train interactions as ones, or their ratings: float32 [users, items].  Raises UserError for ratings that are not there."""
        values = self._ratings() if ratings else np.ones(len(self.train_users), np.float32)
        return sparse.csr_matrix(
            (values, self.train_items, self.indptr), shape=(self.n_users, self.n_items)
        )

    def _ratings(self) -> np.ndarray:
        if self.train_ratings is None:
            raise UserError(f"{self.name} has no ratings")
        return self.train_ratings

    def of_users(self, chosen: np.ndarray) -> "Interactions":
        """The part of some users, or all in another order, with user chosen[n] as user n: lists and ranks of P[chosen] and Q are theirs in the whole.

        chosen: int [n], each user once.  Popularity is of the part.
        """
        places, parts = np.full(self.n_users, -1, np.int32), {}
        places[chosen] = np.arange(len(chosen))
        for part in ("train", "test"):
            users = places[getattr(self, f"{part}_users")]
            taken = np.argsort(users, kind="stable")[np.count_nonzero(users < 0) :]
            parts[f"{part}_users"] = users[taken]
            for name in (f"{part}_items", f"{part}_ratings", f"{part}_timestamps"):
                if getattr(self, name, None) is not None:
                    parts[name] = getattr(self, name)[taken]
        return replace(self, **parts, n_users=len(chosen), user_ids=self.user_ids[chosen])

    def validation(self, seed: int = 0) -> "Interactions":
        """Return the same data without their test items, each user's last training interaction held out in their place (as `leave_one_out`).

        Choices are made on these, so that the test items say nothing about them.  The name is <name>-validation.
        Raises UserError where no user has two training interactions.
        """
        held_out = leave_one_out(self.train_users, self.train_items, self.train_timestamps, seed)
        if not held_out.any():
            raise UserError(
                f"{self.name}: no user has two training interactions, so none can be held out"
            )
        parts: dict[str, Any] = {
            "test_users": self.train_users[held_out],
            "test_items": self.train_items[held_out],
        }
        for name in ("users", "items", "timestamps", "ratings"):
            values = getattr(self, f"train_{name}")
            parts[f"train_{name}"] = None if values is None else values[~held_out]
        parts["test_ratings"] = None if self.train_ratings is None else self.train_ratings[held_out]
        return replace(self, **parts, name=f"{self.name}-validation", registered=False)

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """One int64 for each (user, item), to look pairs up by."""
        return np.asarray(users, np.int64) * self.n_items + items

    @cached_property
    def fingerprint(self) -> str:
        """A hash of sizes, train pairs and test pairs: two data sets with the same one train the same model."""
        digest = hashlib.sha256(f"{self.n_users} {self.n_items} {len(self.train_users)}".encode())
        for part in (self.train_users, self.train_items, self.test_users, self.test_items):
            digest.update(np.ascontiguousarray(part, dtype="<i4").data)
        return digest.hexdigest()

    @cached_property
    def ratings_fingerprint(self) -> str:
        """The same with the train ratings, for what is trained on them."""
        ratings = (
            b""
            if self.train_ratings is None
            else np.ascontiguousarray(self.train_ratings, dtype="<f4").tobytes()
        )
        return hashlib.sha256(self.fingerprint.encode() + ratings).hexdigest()

    @cached_property
    def unseen_test_items(self) -> int:
        """Number of distinct test items without a train interaction."""
        return int(np.sum(self.item_counts[np.unique(self.test_items)] == 0))

    def statistics(self) -> dict[str, float]:
        """Size and shape of all interactions (train and test together), as the characteristics of section 5.2."""
        interactions = len(self.train_users) + len(self.test_users)
        counts = np.sort(self.item_counts)[::-1]
        ranks = np.arange(1, self.n_items + 1)
        gini = float(
            np.sum((self.n_items + 1 - 2 * ranks) * counts) / (self.n_items * counts.sum())
        )
        return {
            "users": self.n_users,
            "items": self.n_items,
            "interactions": interactions,
            "train": len(self.train_users),
            "test": len(self.test_users),
            "density": interactions / (self.n_users * self.n_items),
            "size": self.n_users * self.n_items,
            "shape": self.n_users / self.n_items,
            "popularity Gini": gini,
            "share of the most popular 10%": float(
                counts[: -(-self.n_items // 10)].sum() / counts.sum()
            ),
            "duplicates collapsed": self.duplicates,
            "test items never in train": self.unseen_test_items,
        }

    @classmethod
    def from_frames(
        cls,
        train: pd.DataFrame,
        test: pd.DataFrame | None = None,
        *,
        name: str = "frame",
        split: str | None = None,
        seed: int = 0,
    ) -> "Interactions":
        """Builds a data set from frames with columns user, item and, optionally, rating and timestamp.

        Without `test`, one interaction of every user with at least two is held out: the latest (`split="last"`, the
        default when there are timestamps) or a random one (`split="random"`); or a random fifth of them (`split="80:20"`).

        Raises UserError when nobody can be tested, for a test user that train never saw and for a test pair that is also in train; the message
        names `frame.attrs["path"]` and the line, which is the frame's index.
        """
        frames = [train] if test is None else [train, test]
        both = pd.concat([frame[["user", "item"]] for frame in frames])
        (users, user_ids), (items, item_ids) = (
            _numbered(both[column], train.attrs.get("path", name)) for column in ("user", "item")
        )
        is_test = np.arange(len(both)) >= len(train)
        times, values = (_column(frames, field) for field in ("timestamp", "rating"))
        kept = _latest_of_pairs(users, items, is_test, times)
        if test is not None:
            _check_test(users, items, is_test, test)
        elif split == "80:20":
            is_test[kept] = one_in_five(users[kept], seed)
        else:
            is_test[kept] = leave_one_out(
                users[kept],
                items[kept],
                times[kept] if _splits_by_time(train, split) else None,
                seed,
            )
        if not is_test[kept].any():
            raise UserError(
                f"{train.attrs.get('path', name)}: no user has two different interactions, so nobody can be tested"
            )
        parts = kept[~is_test[kept]], kept[is_test[kept]]  # each by user and item, as `kept` is
        train_users, train_items, test_users, test_items = (
            ids[chosen].astype(np.int32) for chosen in parts for ids in (users, items)
        )
        return cls(
            name,
            len(user_ids),
            len(item_ids),
            train_users,
            train_items,
            test_users,
            test_items,
            user_ids,
            item_ids,
            len(both) - len(kept),
            train_timestamps=times[parts[0]] if "timestamp" in train else None,
            train_ratings=values[parts[0]].astype(np.float32) if "rating" in train else None,
            test_ratings=values[parts[1]].astype(np.float32)
            if all("rating" in frame for frame in frames)
            else None,
        )


def _numbered(column: pd.Series, source: str) -> tuple[np.ndarray, np.ndarray]:
    """The place of every id among the sorted ones, int64 [N], and these: integers, or texts that np.load takes back."""
    codes, ids = pd.factorize(column)
    if codes.min(initial=0) < 0:
        raise UserError(
            f"{source}, line {column.index[np.argmin(codes)]}: the {column.name} is missing"
        )
    ids = np.asarray(ids)
    if ids.dtype.kind not in "iu":
        ids = ids.astype(np.int64 if pd.api.types.infer_dtype(ids) == "integer" else str)
    ids, places = np.unique(ids, return_inverse=True)
    return places[codes], ids


def _column(frames: list[pd.DataFrame], field: str) -> np.ndarray:
    """A column of several frames in one, float64, NaN where a frame does not have it."""
    return np.concatenate(
        [
            frame[field].to_numpy(np.float64) if field in frame else np.full(len(frame), np.nan)
            for frame in frames
        ]
    )


def _latest_of_pairs(
    users: np.ndarray, items: np.ndarray, is_test: np.ndarray, timestamps: np.ndarray
) -> np.ndarray:
    """Positions of one interaction for each (user, item) pair of train and of test, in the order of these: the latest, a blank timestamp being the
    oldest."""
    pairs = (is_test * (users.max(initial=0) + 1) + users) * (items.max(initial=0) + 1) + items
    age = np.where(np.isnan(timestamps), -np.inf, timestamps)
    latest = highest_of_each(pairs, age, np.argsort(pairs, kind="stable"))
    return latest[np.diff(pairs[latest], append=-1) != 0]


def _splits_by_time(frame: pd.DataFrame, split: str | None) -> bool:
    if split not in (None, "last", "random"):
        raise UserError(f"split {split!r} is neither last nor random nor 80:20")
    if split == "last" and "timestamp" not in frame:
        raise UserError(
            f"{frame.attrs.get('path', 'the data')} has no timestamps to split by: use the random split"
        )
    return split != "random" and "timestamp" in frame


def _check_test(
    users: np.ndarray, items: np.ndarray, is_test: np.ndarray, test: pd.DataFrame
) -> None:
    pair = users.astype(np.int64) * (items.max() + 1) + items
    faults = (
        (users, "the test user {user} has no train interaction", False),
        (pair, "the test pair ({user}, {item}) is also in train", True),
    )
    for key, message, expected in faults:
        bad = np.isin(key[is_test], key[~is_test]) == expected
        if bad.any():
            row = test.iloc[int(np.argmax(bad))]
            raise UserError(
                f"{test.attrs.get('path', 'test')}, line {row.name}: "
                + message.format(user=row["user"], item=row["item"])
            )
