"""What a leaderboard ranks: the factors of a model, as they are or changed without training."""

import re
from collections.abc import Collection
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from advrec_tf import perturbations
from advrec_tf.errors import UserError

_CHANGES = re.compile(r"(?s)([^:]*)(?::([1-9][0-9]{0,5}))?(:normalised)?")
_RANKED = re.compile(r"(.+)-([1-9][0-9]{0,5})")
FORMS = "NAME, NAME:RANK (truncated), NAME:normalised or NAME:RANK:normalised"


@dataclass(frozen=True)
class Entry:
    """One entry: a model, and what was done to its factors.

    rank: of the model, where its configuration leaves the rank open; truncated_rank: the rank
    that the factors are truncated to; user_normalized: whether all users' scores have equal norm.
    """

    model: str
    rank: int | None = None
    truncated_rank: int | None = None
    user_normalized: bool = False
    seed: int = 0

    @property
    def label(self) -> str:
        """Return the name in tables and figures, such as `iALS-128→64, user-normalised`."""
        rank = f"-{self.rank}" if self.rank else ""
        truncated = f"→{self.truncated_rank}" if self.truncated_rank else ""
        normalized = ", user-normalised" if self.user_normalized else ""
        return f"{self.model}{rank}{truncated}{normalized}"

    @property
    def source(self) -> "Entry":
        """Return the entry whose factors are changed into those of this one."""
        return replace(self, truncated_rank=None, user_normalized=False)

    @property
    def columns(self) -> dict[str, Any]:
        """Return the key columns of its rows."""
        fields = asdict(self)
        return {"entry": self.label, "model_rank": fields.pop("rank"), **fields}


def changed(P: np.ndarray, Q: np.ndarray, entry: Entry) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of a model, truncated and normalised as the entry says.

    Users are normalised before the truncation, so that all count alike in it, and after it.
    """
    if entry.user_normalized:
        P, Q = perturbations.normalize_users(P, Q)
    if entry.truncated_rank:
        P, Q = perturbations.truncate(P, Q, entry.truncated_rank)
        if entry.user_normalized:
            P, Q = perturbations.normalize_users(P, Q)
    return P, Q


# The entry that is compared with all others: the highest of `comparison.means` on the held-out
# training interactions of ML-100K, whose leaderboard is published.
COMPARED = Entry("SVD", 16, user_normalized=True)
FACTORS = Entry("factors")  # those of an audit


def parse_entry(
    text: str, models: Collection[str], ranked_models: Collection[str], flag: str = "--entries"
) -> Entry:
    """Return the entry that `text` of a flag names.

    models: whose rank is fixed; ranked_models: whose rank follows the name, as in `SVD-16`.
    Raises UserError for any other text.
    """
    if match := _CHANGES.fullmatch(text):
        name, truncated, normalized = match.groups()
        changes: dict[str, Any] = {"truncated_rank": int(truncated) if truncated else None}
        changes["user_normalized"] = bool(normalized)
        if name in models:
            return Entry(name, None, **changes)
        ranked = _RANKED.fullmatch(name)
        if ranked and ranked[1] in ranked_models:
            return Entry(ranked[1], int(ranked[2]), **changes)
    names = ", ".join([*models, *(f"{name}-N" for name in ranked_models)])
    raise UserError(f"{flag} must be {FORMS}, where NAME is one of {names}; not {text!r}")
