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
    """The highest rating of the data, or 5 where they have none."""
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
    highest: float = HIGHEST  # rating of the data, which a click counts as beside ratings

    @classmethod
    def from_matrix(
        cls,
        name: str,
        matrix: np.ndarray,
        data: Interactions,
        targets: tuple[int, ...],
        rated: bool = False,
    ) -> "Profiles":
        """Whatever is not 0 in a matrix [fakes, items]; its values are the ratings if `rated`."""
        users, items = np.nonzero(matrix)
        ratings = matrix[users, items].astype(np.float32) if rated else None
        ids = users.astype(np.int32), items.astype(np.int32)
        return cls(
            name, len(matrix), data.item_ids, *ids, ratings, tuple(targets), highest_rating(data)
        )

    def matrix(self) -> np.ndarray:
        """float32 [fakes, items]: the rating or 1 where there is one, else 0."""
        dense = np.zeros((self.n_users, len(self.item_ids)), np.float32)
        dense[self.users, self.items] = 1 if self.ratings is None else self.ratings
        return dense

    def arrays(self) -> storage.Arrays:
        """All of it as arrays."""
        ratings = np.empty(0, np.float32) if self.ratings is None else self.ratings
        n_users, highest = np.array(self.n_users, np.int64), np.array(self.highest, np.float64)
        own = {
            "name": np.array(self.name),
            "n_users": n_users,
            "item_ids": self.item_ids,
            "highest": highest,
        }
        return {
            **own,
            "users": self.users,
            "items": self.items,
            "ratings": ratings,
            "targets": np.array(self.targets, np.int32),
        }

    @classmethod
    def from_arrays(cls, arrays: storage.Arrays) -> "Profiles":
        """The inverse of `arrays`.  Raises KeyError for what is missing."""
        ratings = arrays["ratings"] if len(arrays["ratings"]) else None
        parts = arrays["item_ids"], arrays["users"], arrays["items"], ratings
        return cls(
            str(arrays["name"]),
            int(arrays["n_users"]),
            *parts,
            tuple(arrays["targets"].tolist()),
            float(arrays["highest"]),
        )

    def save(self, path: Path) -> None:
        """Writes <path>.npz, and the same as <path>.csv (profile, item, rating) with the ids of the catalogue."""
        path = Path(path)
        storage.save(path.with_suffix(".npz"), self.arrays())
        frame = pd.DataFrame({"profile": self.users, "item": self.item_ids[self.items]})
        storage.write_csv(
            path.with_suffix(".csv"),
            frame if self.ratings is None else frame.assign(rating=self.ratings),
        )

    @classmethod
    def load(cls, path: Path) -> "Profiles":
        """Reads the .npz of `save`.  Raises UserError for a file that is damaged or something else."""
        if not Path(path).exists():
            raise UserError(f"{path}: there is no such file of profiles")
        if Path(path).suffix != ".npz":
            raise UserError(f"{path}: profiles are read from .npz files")
        try:
            return cls.from_arrays(storage.load(path))
        except UserError:
            raise UserError(
                f"{path}: its content is not what was written, or is of an earlier version: make these profiles again"
            ) from None
        except KeyError as error:
            raise UserError(
                f"{path}: not a file of profiles ({error.args[0]} is missing)"
            ) from None

    def merged(self, other: "Profiles") -> "Profiles":
        """The profiles of both attacks, these first; clicks beside ratings count as the highest."""
        if not np.array_equal(self.item_ids, other.item_ids):
            raise UserError(
                f"the profiles {self.name} and {other.name} are of different catalogues"
            )
        ratings = None
        if not (self.ratings is None and other.ratings is None):
            ratings = np.concatenate([_as_ratings(part) for part in (self, other)])
        users, items = (
            np.concatenate([self.users, other.users + self.n_users]),
            np.concatenate([self.items, other.items]),
        )
        targets = tuple(dict.fromkeys((*self.targets, *other.targets)))
        return Profiles(
            f"{self.name}+{other.name}",
            self.n_users + other.n_users,
            self.item_ids,
            users,
            items,
            ratings,
            targets,
            self.highest,
        )

    def stacked_on(self, data: Interactions) -> Interactions:
        """The data with the profiles as further users, after the real ones; the test set stays as it is.

        Where the data have ratings, clicks enter as the highest of them.  Raises UserError when the profiles are of another catalogue.
        """
        if not np.array_equal(self.item_ids, data.item_ids):
            raise UserError(
                f"the profiles {self.name} were made for another catalogue than that of {data.name}"
            )
        numbers = data.user_ids.dtype.kind in "iu"
        ids = (
            data.user_ids.max() + 1 + np.arange(self.n_users)
            if numbers
            else [f"fake-{n}" for n in range(self.n_users)]
        )
        extra: dict[str, Any] = {}
        if data.train_ratings is not None:
            extra["train_ratings"] = np.concatenate([data.train_ratings, _as_ratings(self)])
        if data.train_timestamps is not None:
            extra["train_timestamps"] = np.concatenate(
                [data.train_timestamps, np.full(len(self.users), np.nan)]
            )
        return replace(
            data,
            name=f"{data.name}+{self.name}",
            n_users=data.n_users + self.n_users,
            train_users=np.concatenate([data.train_users, self.users + np.int32(data.n_users)]),
            train_items=np.concatenate([data.train_items, self.items]),
            user_ids=np.concatenate([data.user_ids, ids]),
            **extra,
        )

    def digest(self) -> str:
        """A hash of the profiles themselves."""
        parts = (
            self.users,
            self.items,
            np.empty(0) if self.ratings is None else self.ratings,
            np.array(self.targets),
        )
        return hashlib.sha256(
            b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
        ).hexdigest()

    def statistics(self, data: Interactions) -> dict[str, float | str]:
        """What gives them away: clicks per profile, the targets in them, their overlap with real users, the popularity of their items.

        The overlap of a profile is its largest Jaccard similarity to a real user.
        """
        matrix = self.matrix() > 0
        sizes = matrix.sum(axis=1)
        shared = np.zeros((self.n_users, data.n_users), np.float32)
        for fake in range(self.n_users):
            shared[fake] = np.bincount(
                data.train_users, matrix[fake][data.train_items], data.n_users
            )
        jaccard = shared / np.maximum(sizes[:, None] + np.diff(data.indptr) - shared, 1)
        shares = {
            group: np.isin(self.items, items).mean()
            for group, items in popularity_groups(data).items()
        }
        return {
            "profiles": self.n_users,
            "clicks": len(self.items),
            "clicks per profile: least": int(sizes.min()),
            "clicks per profile: median": float(np.median(sizes)),
            "clicks per profile: most": int(sizes.max()),
            "clicks per real user: median": float(np.median(np.diff(data.indptr))),
            "targets": ", ".join(map(str, data.item_ids[list(self.targets)])),
            "profiles with a target": int(matrix[:, list(self.targets)].any(axis=1).sum()),
            "distinct profiles": len(np.unique(matrix, axis=0)),
            "largest Jaccard with a real user: mean": float(jaccard.max(axis=1).mean()),
            "largest Jaccard with a real user: most": float(jaccard.max()),
            **{
                f"share of clicks in the {group.replace('_', ' ')}": float(share)
                for group, share in shares.items()
            },
        }


def _as_ratings(profiles: Profiles) -> np.ndarray:
    return (
        np.full(len(profiles.users), profiles.highest, np.float32)
        if profiles.ratings is None
        else profiles.ratings
    )
