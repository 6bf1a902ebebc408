"""The interactions of users with items, split into train and test."""

import hashlib
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from advrec_tf.data.frames import fields_of
from advrec_tf.data.splits import leave_one_out
from advrec_tf.errors import UserError


@dataclass(frozen=True, eq=False)
class Interactions:
    """Interactions split into train and test.

    They are implicit feedback to all models that do not ask for ratings.  Users and items are
    numbered 0 ... n-1 in the order of their sorted ids.  Train pairs are sorted by (user, item)
    and unique; so are the test pairs.
    """

    name: str
    n_users: int
    n_items: int
    train_users: np.ndarray  # int32 [N]
    train_items: np.ndarray  # int32 [N]
    test_users: np.ndarray  # int32 [M]
    test_items: np.ndarray  # int32 [M]
    user_ids: np.ndarray  # [n_users], the ids of the file: integers or text
    item_ids: np.ndarray  # [n_items]
    duplicates: int = 0  # interactions that repeated an earlier pair and were collapsed
    train_timestamps: np.ndarray | None = None  # float64 [N], NaN where unknown
    train_ratings: np.ndarray | None = None  # float32 [N]
    test_ratings: np.ndarray | None = None  # float32 [M]
    registered: bool = False  # a public data set, loaded by its name, of the published sizes
    user_order: np.ndarray | None = None  # users in the order in which the table names them first
    item_order: np.ndarray | None = None
    source: str = ""  # the table or folder that was read, or the name of a public data set
    read: str = ""  # what was understood of it

    def __repr__(self) -> str:
        return (
            f"Interactions({self.name!r}: {self.n_users} users, {self.n_items} items, "
            f"{len(self.train_users)} train and {len(self.test_users)} test interactions)"
        )

    @property
    def understood(self) -> str:
        """Return one line on what was read, and how it was split."""
        count = len(self.train_users) + len(self.test_users)
        sizes = f"{self.n_users:,} users, {self.n_items:,} items, {count:,} interactions"
        line = f"{self.source}: {sizes}; {self.read}; {self.duplicates:,} duplicates"
        if formula := next(filter(None, map(_first_formula, (self.user_ids, self.item_ids))), ""):
            line += f"; a spreadsheet would run ids such as {formula!r} in any file written here"
        return line

    @cached_property
    def indptr(self) -> np.ndarray:
        """int64 [n_users + 1]: user u has the train pairs indptr[u] : indptr[u + 1]."""
        degrees = np.bincount(self.train_users, minlength=self.n_users)
        return np.concatenate([[0], np.cumsum(degrees)])

    @cached_property
    def has_one_test_item_each(self) -> bool:
        """True if no user has several test items (leave-one-out)."""
        return len(np.unique(self.test_users)) == len(self.test_users)

    @cached_property
    def item_counts(self) -> np.ndarray:
        """int64 [n_items]: number of train interactions of each item."""
        return np.bincount(self.train_items, minlength=self.n_items)

    @cached_property
    def rating_scale(self) -> tuple[float, float]:
        """The least and the largest train rating.  Raises UserError for data without ratings."""
        ratings = self._ratings()
        return float(ratings.min()), float(ratings.max())

    def matrix(self, ratings: bool = False) -> sparse.csr_matrix:
        """Return the train interactions as ones, or their ratings: float32 [n_users, n_items].

        Raises UserError when there are no ratings.
        """
        values = self._ratings() if ratings else np.ones(len(self.train_users), np.float32)
        return sparse.csr_matrix(
            (values, self.train_items, self.indptr), shape=(self.n_users, self.n_items)
        )

    def _ratings(self) -> np.ndarray:
        """Return the train ratings. Raises UserError if there are none."""
        if self.train_ratings is None:
            raise UserError(f"{self.name} has no ratings")
        return self.train_ratings

    def of_users(self, chosen: np.ndarray) -> "Interactions":
        """Return the data of some users, with user chosen[n] as user n.

        Lists and ranks of P[chosen] and Q are those of these users in all data; popularity is not.

        chosen: int [n], each user once
        """
        new_index = np.full(self.n_users, -1, np.int32)
        new_index[chosen] = np.arange(len(chosen))
        parts = {}
        for part in ("train", "test"):
            users = new_index[getattr(self, f"{part}_users")]
            taken = np.argsort(users, kind="stable")[np.count_nonzero(users < 0) :]
            parts[f"{part}_users"] = users[taken]
            for name in (f"{part}_items", f"{part}_ratings", f"{part}_timestamps"):
                if getattr(self, name, None) is not None:
                    parts[name] = getattr(self, name)[taken]
        ids = {"user_ids": self.user_ids[chosen], "user_order": None}
        return replace(self, **parts, n_users=len(chosen), **ids)

    def validation(self, seed: int = 0) -> "Interactions":
        """Return the train interactions, with each user's last one held out as the test item.

        The held-out interactions are those of `leave_one_out`.  Choices that are made on these
        data do not depend on the test items.  The name is <name>-validation.
        Raises UserError if no user has two training interactions.
        """
        held_out = leave_one_out(self.train_users, self.train_items, self.train_timestamps, seed)
        if not held_out.any():
            raise UserError(
                f"{self.name}: no user has two training interactions, so none can be held out"
            )
        parts: dict[str, Any] = {
            "test_users": self.train_users[held_out],
            "test_items": self.train_items[held_out],
            "test_ratings": None if self.train_ratings is None else self.train_ratings[held_out],
        }
        return replace(self.without(held_out, f"{self.name}-validation"), **parts)

    def without(self, removed: np.ndarray, name: str) -> "Interactions":
        """Return the data without some training interactions, under another name.

        removed: bool [N]
        """
        parts: dict[str, Any] = {"name": name, "registered": False}
        for field in ("train_users", "train_items", "train_timestamps", "train_ratings"):
            values = getattr(self, field)
            parts[field] = None if values is None else values[~removed]
        return replace(self, **parts)

    def pairs(self, users: np.ndarray, items: np.ndarray) -> np.ndarray:
        """Return an int64 for each (user, item), by which pairs can be compared."""
        return np.asarray(users, np.int64) * self.n_items + items

    @cached_property
    def fingerprint(self) -> str:
        """A hash of sizes, train pairs and test pairs, on which models without ratings depend."""
        digest = hashlib.sha256(f"{self.n_users} {self.n_items} {len(self.train_users)}".encode())
        for part in (self.train_users, self.train_items, self.test_users, self.test_items):
            digest.update(np.ascontiguousarray(part, dtype="<i4").data)
        return digest.hexdigest()

    @cached_property
    def ratings_fingerprint(self) -> str:
        """A hash of `fingerprint` and the train ratings, on which models of ratings depend."""
        return self._fingerprint_with(self.train_ratings, "<f4")

    @cached_property
    def times_fingerprint(self) -> str:
        """A hash of `fingerprint` and the train times, on which models of sequences depend."""
        return self._fingerprint_with(self.train_timestamps, "<f8")

    def _fingerprint_with(self, values: np.ndarray | None, kind: str) -> str:
        """Return a hash of `fingerprint` and a value of every train pair."""
        known = np.empty(0) if values is None else values
        content = np.ascontiguousarray(known, dtype=kind).tobytes()
        return hashlib.sha256(self.fingerprint.encode() + content).hexdigest()

    @cached_property
    def unseen_test_items(self) -> int:
        """Number of distinct test items without a train interaction."""
        return int(np.sum(self.item_counts[np.unique(self.test_items)] == 0))

    def statistics(self) -> dict[str, float]:
        """Return the characteristics of section 5.2; sizes are of train and test together."""
        interactions = len(self.train_users) + len(self.test_users)
        counts = np.sort(self.item_counts)[::-1]
        weights = self.n_items + 1 - 2 * np.arange(1, self.n_items + 1)
        gini = np.sum(weights * counts) / (self.n_items * counts.sum())
        tenth = counts[: -(-self.n_items // 10)]
        return {
            "users": self.n_users,
            "items": self.n_items,
            "interactions": interactions,
            "train": len(self.train_users),
            "test": len(self.test_users),
            "density": interactions / (self.n_users * self.n_items),
            "size": self.n_users * self.n_items,
            "shape": self.n_users / self.n_items,
            "popularity Gini": float(gini),
            "share of the most popular 10%": float(tenth.sum() / counts.sum()),
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
        """Return a data set from frames with the columns user, item and maybe rating, timestamp.

        Without `test`, one interaction is held out of every user with at least two: the latest
        (`split="last"`, the default when there are timestamps) or a random one ("random").
        With "80:20" it is a random fifth of them.

        Raises UserError if nobody can be tested, for a test user without train interactions, and
        for a test pair that is also in train.  The message names `frame.attrs["path"]` and the
        line, which is the frame's index.
        """
        return cls(**fields_of(train, test, name, split, seed))


def _first_formula(ids: np.ndarray) -> str:
    """Return the first id that a spreadsheet takes for a formula, "" if there is none."""
    if ids.dtype.kind != "U":
        return ""
    starts = ids.astype("U1")
    return next((str(ids[n]) for n in np.flatnonzero(np.isin(starts, ["=", "@"]))), "")
