"""Training triples (user, positive, negative)."""

from typing import NamedTuple

import numpy as np

from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import generator
from advrec_tf.errors import UserError

VERSION = 1  # of triples and mini-batches, one more whenever their bytes change


class Triples(NamedTuple):
    """int32 arrays [N] of users, the items they know, and items they do not."""

    users: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray


def check_negatives(data: Interactions) -> None:
    """Raises UserError, naming the user, when somebody knows every item."""
    degree = np.diff(data.indptr)
    if np.any(degree == data.n_items):
        user = data.user_ids[np.argmax(degree == data.n_items)]
        raise UserError(
            f"user {user} of {data.name} knows every item: there is no negative to sample"
        )


def sample_triples(data: Interactions, seed: int | list[int]) -> Triples:
    """One uniform negative for every train pair, in the order of the train pairs; the test item can be drawn.

    The r-th item that a user does not know is r + (number of known items among the first r + that many), found by
    bisection: the same distribution as drawing until an unknown item comes up, in one pass and without a users x items table.
    """
    check_negatives(data)
    degree = np.diff(data.indptr)
    users, positives = data.train_users, data.train_items
    row = users.astype(np.int64) * data.n_items
    # Unknown items before each known one, made increasing over users; within a user it does not decrease.
    unknown_before = row + positives - (np.arange(len(users)) - data.indptr[users])
    r = generator(seed).integers(0, (data.n_items - degree)[users])
    known_before = np.searchsorted(unknown_before, row + r, side="right") - data.indptr[users]
    return Triples(users, positives, (r + known_before).astype(np.int32))


def shuffled_batches(data: Interactions, batch_size: int, seed: int, epoch: int) -> Triples:
    """The mini-batches of one epoch: fresh negatives, shuffled, the last partial batch dropped.

    A function of (seed, epoch) alone, so that a resumed training goes on as if it had not stopped.  Arrays are
    int32 [batches, batch size]; with less than one batch of data there is one batch that holds everything.
    """
    batch_size = min(batch_size, len(data.train_users))
    steps = len(data.train_users) // batch_size
    triples = sample_triples(data, [seed, epoch, 0])
    order = generator([seed, epoch, 1]).permutation(len(data.train_users))[: steps * batch_size]
    return Triples(*(part[order].reshape(steps, batch_size) for part in triples))


class UserBatches(NamedTuple):
    """The mini-batches of users of one epoch, each with all that its users know.

    A pair that only fills a batch up has target 0 and weight 1, with which its correction of the sum over all items is 0.
    """

    users: np.ndarray  # int32 [steps, B], -1 where the last batch has no more users
    rows: np.ndarray  # int32 [steps, N], a pair's user as a place in `users`
    items: np.ndarray  # int32 [steps, N]
    targets: np.ndarray  # float32 [steps, N]
    weights: np.ndarray  # float32 [steps, N]


def user_batches(
    data: Interactions,
    targets: np.ndarray,
    weights: np.ndarray,
    batch_size: int,
    seed: int,
    epoch: int,
) -> UserBatches:
    """All users once, in an order drawn from (seed, epoch).  targets, weights: float32 [train pairs]

    All epochs have arrays of the same shape: of the orders drawn, the first is taken in which no batch has more pairs than
    `_most_pairs` allows, and that is nearly always the first at all.
    """
    batch_size = min(batch_size, data.n_users)
    steps, width = -(-data.n_users // batch_size), _most_pairs(data, batch_size)
    rng = generator([seed, epoch])
    while True:
        shuffled = rng.permutation(data.n_users)
        place = np.argsort(shuffled)[data.train_users]
        sizes = np.bincount(place // batch_size, minlength=steps)
        if sizes.max() <= width:
            break
    users = np.full(steps * batch_size, -1, np.int32)
    users[: data.n_users] = shuffled
    order = np.argsort(place, kind="stable")
    at = np.repeat(np.arange(steps) * width - (np.cumsum(sizes) - sizes), sizes) + np.arange(
        len(order)
    )

    def laid_out(values, filler, kind):
        flat = np.full(steps * width, filler, kind)
        flat[at] = values[order]
        return flat.reshape(steps, width)

    pairs = laid_out(place % batch_size, 0, np.int32), laid_out(data.train_items, 0, np.int32)
    return UserBatches(
        users.reshape(steps, -1),
        *pairs,
        laid_out(targets, 0, np.float32),
        laid_out(weights, 1, np.float32),
    )


def _most_pairs(data: Interactions, batch_size: int) -> int:
    """Four deviations above the pairs that a batch of users has on average, enough for the most active user, and no more than there can be.

    It is rounded up, by 6% at most: data that differ a little, as under one attack and the next, then have batches of one shape, and one program.
    """
    degree = np.diff(data.indptr)
    likely = batch_size * degree.mean() + 4 * np.sqrt(batch_size) * degree.std()
    with_largest = degree.max() + batch_size * degree.mean()
    enough = int(min(np.ceil(max(likely, with_largest)), np.sort(degree)[-batch_size:].sum()))
    step = 1 << max(0, enough.bit_length() - 5)
    return -(-enough // step) * step


class RatingBatches(NamedTuple):
    """The mini-batches of ratings of one epoch; `present` is 0 where the last batch has no more of them."""

    users: np.ndarray  # int32 [steps, B]
    items: np.ndarray  # int32 [steps, B]
    ratings: np.ndarray  # float32 [steps, B]
    present: np.ndarray  # float32 [steps, B]


def rating_batches(data: Interactions, batch_size: int, seed: int, epoch: int) -> RatingBatches:
    """All train ratings once, in an order drawn from (seed, epoch)."""
    assert data.train_ratings is not None  # PMF.fit tells of data without
    n = len(data.train_users)
    steps = -(-n // batch_size)
    order = np.resize(generator([seed, epoch]).permutation(n), steps * batch_size)
    present = (np.arange(steps * batch_size) < n).astype(np.float32)
    parts = data.train_users[order], data.train_items[order], data.train_ratings[order], present
    return RatingBatches(*(part.reshape(steps, batch_size) for part in parts))
