"""Fake profiles: what an attacker adds to the train set."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from advrec_tf.data import Interactions, popularity_groups
from advrec_tf.errors import UserError
from advrec_tf.execution import storage

HIGHEST = 5.0  # rating, where the data have none


def highest_rating(data: Interactions) -> float:
    """Return the highest rating of the data, or 5 where they have none."""
    return HIGHEST if data.train_ratings is None else data.rating_scale[1]


@dataclass(frozen=True, eq=False)
class Profiles:
    """The interactions of fake users with the items of one catalogue, sorted by (user, item)."""

    name: str
    n_users: int
    item_ids: np.ndarray  # [n_items], the catalogue
    users: np.ndarray  # int32 [N], 0 ... n_users - 1
    items: np.ndarray  # int32 [N]
    ratings: np.ndarray | None  # float32 [N]; None for clicks
    targets: tuple[int, ...]  # items the attack promotes
    highest: float = HIGHEST  # the rating that a click counts as beside ratings

    @classmethod
    def from_matrix(
        cls,
        name: str,
        matrix: np.ndarray,
        data: Interactions,
        targets: tuple[int, ...],
        rated: bool = False,
    ) -> "Profiles":
        """Make profiles of the non-zero values of a matrix [fakes, items]: ratings if `rated`."""
        users, items = np.nonzero(matrix)
        return cls(
            name,
            len(matrix),
            data.item_ids,
            users.astype(np.int32),
            items.astype(np.int32),
            matrix[users, items].astype(np.float32) if rated else None,
            tuple(targets),
            highest_rating(data),
        )

    def matrix(self) -> np.ndarray:
        """Return the ratings, or 1 for a click, and 0 elsewhere: float32 [fakes, items]."""
        dense = np.zeros((self.n_users, len(self.item_ids)), np.float32)
        dense[self.users, self.items] = 1 if self.ratings is None else self.ratings
        return dense

    def arrays(self) -> storage.Arrays:
        """Return all fields as arrays, by name."""
        return {
            "name": np.array(self.name),
            "n_users": np.array(self.n_users, np.int64),
            "item_ids": self.item_ids,
            "highest": np.array(self.highest, np.float64),
            "users": self.users,
            "items": self.items,
            "ratings": np.empty(0, np.float32) if self.ratings is None else self.ratings,
            "targets": np.array(self.targets, np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: storage.Arrays) -> "Profiles":
        """Invert `arrays`.  Raises KeyError when an array is missing."""
        return cls(
            str(arrays["name"]),
            int(arrays["n_users"]),
            arrays["item_ids"],
            arrays["users"],
            arrays["items"],
            arrays["ratings"] if len(arrays["ratings"]) else None,
            tuple(arrays["targets"].tolist()),
            float(arrays["highest"]),
        )

    def save(self, path: Path) -> None:
        """Write <path>.npz, and <path>.csv (profile, item, rating) with the catalogue's ids."""
        path = Path(path)
        storage.save(path.with_suffix(".npz"), self.arrays())
        frame = pd.DataFrame({"profile": self.users, "item": self.item_ids[self.items]})
        if self.ratings is not None:
            frame["rating"] = self.ratings
        storage.write_csv(path.with_suffix(".csv"), frame)

    @classmethod
    def load(cls, path: Path) -> "Profiles":
        """Read the .npz of `save`.

        Raises UserError for a missing file, a damaged one, one of another kind, and one whose
        arrays do not fit together.
        """
        if not Path(path).exists():
            raise UserError(f"{path}: there is no such file of profiles")
        if Path(path).suffix != ".npz":
            raise UserError(f"{path}: profiles are read from .npz files")
        try:
            profiles = cls.from_arrays(storage.load(path))
            fault = profiles._fault()
        except UserError:
            raise UserError(
                f"{path}: the file is damaged or of an earlier version: make these profiles again"
            ) from None
        except KeyError as error:
            raise UserError(
                f"{path}: not a file of profiles ({error.args[0]} is missing)"
            ) from None
        except (TypeError, ValueError):  # an array has another shape than a number or a list
            fault = "its arrays are others"
        if fault:
            raise UserError(f"{path}: not a file of profiles ({fault}): make these profiles again")
        return profiles

    def _fault(self) -> str:
        """Return why the arrays are not those of fake profiles, "" if they are."""
        n_items = self.item_ids.size
        indices = {"users": (self.users, self.n_users), "items": (self.items, n_items)}
        indices["targets"] = np.array(self.targets, np.int64), n_items
        for name, (ids, count) in indices.items():
            if ids.ndim != 1 or ids.dtype.kind not in "iu" or np.any((ids < 0) | (ids >= count)):
                return f"{name} are not a list of integers within 0 ... {count - 1}"
        values = self.items if self.ratings is None else self.ratings
        if (
            not self.users.shape == self.items.shape == values.shape
            or not np.isfinite(values).all()
        ):
            return "users, items and finite ratings are not as many as each other"
        return ""

    def merged(self, other: "Profiles") -> "Profiles":
        """Return the profiles of both attacks, these first.

        Where one of them has ratings, the clicks of the other count as the highest rating.
        """
        if not np.array_equal(self.item_ids, other.item_ids):
            raise UserError(
                f"the profiles {self.name} and {other.name} are of different catalogues"
            )
        clicks = self.ratings is None and other.ratings is None
        return Profiles(
            f"{self.name}+{other.name}",
            self.n_users + other.n_users,
            self.item_ids,
            np.concatenate([self.users, other.users + self.n_users]),
            np.concatenate([self.items, other.items]),
            None if clicks else np.concatenate([self._as_ratings(), other._as_ratings()]),
            tuple(dict.fromkeys((*self.targets, *other.targets))),
            self.highest,
        )

    def stacked_on(self, data: Interactions) -> Interactions:
        """Return the data with the profiles as further users, after the real ones.

        The test set stays the same.  Where the data have ratings, clicks count as the highest one.
        Raises UserError when the profiles are of another catalogue.
        """
        if not np.array_equal(self.item_ids, data.item_ids):
            raise UserError(
                f"the profiles {self.name} were made for another catalogue than that of {data.name}"
            )
        ids: Any = [f"fake-{n}" for n in range(self.n_users)]
        if data.user_ids.dtype.kind in "iu":
            ids = data.user_ids.max() + 1 + np.arange(self.n_users)
        optional: dict[str, Any] = {}
        if data.train_ratings is not None:
            optional["train_ratings"] = np.concatenate([data.train_ratings, self._as_ratings()])
        if data.train_timestamps is not None:
            unknown = np.full(len(self.users), np.nan)
            optional["train_timestamps"] = np.concatenate([data.train_timestamps, unknown])
        return replace(
            data,
            name=f"{data.name}+{self.name}",
            n_users=data.n_users + self.n_users,
            train_users=np.concatenate([data.train_users, self.users + np.int32(data.n_users)]),
            train_items=np.concatenate([data.train_items, self.items]),
            user_ids=np.concatenate([data.user_ids, ids]),
            **optional,
        )

    def _as_ratings(self) -> np.ndarray:
        """Return a rating for each interaction; clicks count as the highest one."""
        if self.ratings is None:
            return np.full(len(self.users), self.highest, np.float32)
        return self.ratings

    def digest(self) -> str:
        """Return a hash of the profiles and their targets."""
        ratings = np.empty(0) if self.ratings is None else self.ratings
        parts = self.users, self.items, ratings, np.array(self.targets)
        content = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        return hashlib.sha256(content).hexdigest()

    def statistics(self, data: Interactions) -> dict[str, float | str]:
        """Return what may give the profiles away.

        These are the clicks of a profile, its targets, its overlap with real users (the largest
        Jaccard similarity to one of them) and the popularity of its items.
        """
        matrix = self.matrix() > 0
        clicks = matrix.sum(axis=1)
        shared = np.stack(
            [np.bincount(data.train_users, row[data.train_items], data.n_users) for row in matrix]
        )
        jaccard = shared / np.maximum(clicks[:, None] + np.diff(data.indptr) - shared, 1)
        shares = {
            f"share of clicks in the {group.replace('_', ' ')}": float(
                np.isin(self.items, items).mean()
            )
            for group, items in popularity_groups(data).items()
        }
        targets = np.array(self.targets, np.int64)
        promoted = zip(data.item_ids[targets], data.item_counts[targets])
        return {
            "profiles": self.n_users,
            "clicks": len(self.items),
            "clicks per profile: least": int(clicks.min()),
            "clicks per profile: median": float(np.median(clicks)),
            "clicks per profile: most": int(clicks.max()),
            "clicks per real user: median": float(np.median(np.diff(data.indptr))),
            "targets": ", ".join(f"{item} ({count} clicks)" for item, count in promoted),
            "profiles with a target": int(matrix[:, targets].any(axis=1).sum()),
            "distinct profiles": len(np.unique(matrix, axis=0)),
            "largest Jaccard with a real user: mean": float(jaccard.max(axis=1).mean()),
            "largest Jaccard with a real user: most": float(jaccard.max()),
            **shares,
        }
