"""Groups of items by popularity, and the choice of an attack's targets among them."""

import numpy as np

from advrec_tf.data.choices import GROUPS
from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import generator
from advrec_tf.errors import UserError

PUBLISHED_TARGETS = {
    "gowalla": (259, 2272, 3010, 6737, 7690)
}  # of the head, as in the public code of Tang et al.


def popularity_groups(data: Interactions) -> dict[str, np.ndarray]:
    """Return the items of each of GROUPS by their train clicks: {group: int [n]}."""
    counts, groups = data.item_counts, {}
    for name, (low, high) in GROUPS.items():
        above = counts > np.percentile(counts, low) if low else True
        groups[name] = np.flatnonzero(above & (counts <= np.percentile(counts, high)))
    return groups


def choose_targets(
    data: Interactions, group: str = "head", count: int = 5, seed: int = 0
) -> tuple[int, ...]:
    """Return random items of a group, ascending.

    Five targets in the head of the public Gowalla are those of Tang et al.  Raises UserError when
    the group is smaller than `count`.
    """
    published = PUBLISHED_TARGETS.get(data.name, ()) if data.registered else ()
    if group == "head" and count == len(published):
        check_targets(data, published)
        return published
    items = popularity_groups(data)[group]
    if len(items) < count:
        raise UserError(
            f"the {group} of {data.name} has {len(items)} items, "
            f"fewer than the {count} targets asked for"
        )
    return tuple(np.sort(generator(seed).choice(items, count, replace=False)).tolist())


def check_targets(data: Interactions, targets: tuple[int, ...]) -> None:
    """Raise UserError for targets that are not items of the data, repeated or missing."""
    outside = [target for target in targets if not 0 <= target < data.n_items]
    if outside:
        raise UserError(
            f"target {outside[0]} is not an item of {data.name}: "
            f"items are numbered 0 to {data.n_items - 1}"
        )
    if not targets or len(set(targets)) < len(targets):
        raise UserError("targets must be different items, at least one")
