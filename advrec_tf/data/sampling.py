"""Training triples (user, positive, negative) and mini-batches."""

from typing import NamedTuple

import numpy as np

from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import generator
from advrec_tf.errors import UserError

VERSION = 1  # of triples and mini-batches, one more whenever their bytes change


class Triples(NamedTuple):
    """Users, the items that they know and items that they do not know: int32 [N] each."""

    users: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray


def check_negatives(data: Interactions) -> None:
    """Raise UserError if a user knows every item."""
    degree = np.diff(data.indptr)
    if np.any(degree == data.n_items):
        user = data.user_ids[np.argmax(degree == data.n_items)]
        raise UserError(
            f"user {user} of {data.name} knows every item: there is no negative to sample"
        )


def sample_triples(data: Interactions, seed: int | list[int]) -> Triples:
    """Return one uniform negative for every train pair, in the order of the train pairs.

    A test item can be drawn.  The r-th item that a user does not know is r + the number of known
    items below it, which bisection finds.  This is the distribution of drawing until an unknown
    item comes up, in one pass and without a [users, items] table.
    """
    check_negatives(data)
    degree = np.diff(data.indptr)
    users, positives = data.train_users, data.train_items
    row = users.astype(np.int64) * data.n_items
    # Unknown items before each known one; `row` makes the numbers increase over users.
    unknown_before = row + positives - (np.arange(len(users)) - data.indptr[users])
    r = generator(seed).integers(0, (data.n_items - degree)[users])
    known_before = np.searchsorted(unknown_before, row + r, side="right") - data.indptr[users]
    return Triples(users, positives, (r + known_before).astype(np.int32))


def shuffled_batches(data: Interactions, batch_size: int, seed: int, epoch: int) -> Triples:
    """Return the shuffled mini-batches of an epoch: int32 [batches, batch size] each.

    Every epoch has its own negatives, and the last partial batch is dropped.  Data of less than a
    batch are one batch.  The result depends on (seed, epoch) alone, so that a resumed training
    goes on as if it had not stopped.
    """
    batch_size = min(batch_size, len(data.train_users))
    steps = len(data.train_users) // batch_size
    triples = sample_triples(data, [seed, epoch, 0])
    order = generator([seed, epoch, 1]).permutation(len(data.train_users))[: steps * batch_size]
    return Triples(*(part[order].reshape(steps, batch_size) for part in triples))


class UserBatches(NamedTuple):
    """The mini-batches of users of one epoch, each with all pairs of its users.

    A padding pair has target 0 and weight 1, so its correction of the sum over all items is 0.
    """

    users: np.ndarray  # int32 [steps, B], -1 for padding of the last batch
    rows: np.ndarray  # int32 [steps, N], the index of a pair's user in `users`
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
    """Return batches of all users in an order drawn from (seed, epoch).

    All epochs have arrays of the same shape.  An order in which a batch has more pairs than
    `_most_pairs` allows is drawn again, which is rare.  targets, weights: float32 [train pairs]
    """
    batch_size = min(batch_size, data.n_users)
    steps, width = -(-data.n_users // batch_size), _most_pairs(data, batch_size)
    rng = generator([seed, epoch])
    while True:
        shuffled = rng.permutation(data.n_users)
        position = np.argsort(shuffled)[data.train_users]
        sizes = np.bincount(position // batch_size, minlength=steps)
        if sizes.max() <= width:
            break
    users = np.full(steps * batch_size, -1, np.int32)
    users[: data.n_users] = shuffled
    order = np.argsort(position, kind="stable")
    padding = np.arange(steps) * width - (np.cumsum(sizes) - sizes)  # before each batch
    slots = np.repeat(padding, sizes) + np.arange(len(order))

    def padded(values: np.ndarray, filler: int, dtype: type) -> np.ndarray:
        flat: np.ndarray = np.full(steps * width, filler, dtype)
        flat[slots] = values[order]
        return flat.reshape(steps, width)

    return UserBatches(
        users.reshape(steps, -1),
        padded(position % batch_size, 0, np.int32),
        padded(data.train_items, 0, np.int32),
        padded(targets, 0, np.float32),
        padded(weights, 1, np.float32),
    )


def _most_pairs(data: Interactions, batch_size: int) -> int:
    """Return the number of pairs that a batch of users has room for.

    It is four deviations above the mean, enough for the most active user, and no more than there
    can be.  It is rounded up by at most 6%: data that differ a little, as under two attacks, then
    have batches of one shape and share one compiled program.
    """
    degree = np.diff(data.indptr)
    likely = batch_size * degree.mean() + 4 * np.sqrt(batch_size) * degree.std()
    with_largest = degree.max() + batch_size * degree.mean()
    most = np.sort(degree)[-batch_size:].sum()
    enough = int(min(np.ceil(max(likely, with_largest)), most))
    step = 1 << max(0, enough.bit_length() - 5)
    return -(-enough // step) * step


class RatingBatches(NamedTuple):
    """The mini-batches of ratings of one epoch; `present` is 0 for padding of the last batch."""

    users: np.ndarray  # int32 [steps, B]
    items: np.ndarray  # int32 [steps, B]
    ratings: np.ndarray  # float32 [steps, B]
    present: np.ndarray  # float32 [steps, B]


def rating_batches(data: Interactions, batch_size: int, seed: int, epoch: int) -> RatingBatches:
    """Return batches of all train ratings in an order drawn from (seed, epoch)."""
    assert data.train_ratings is not None  # PMF.fit checks it
    n = len(data.train_users)
    steps = -(-n // batch_size)
    order = np.resize(generator([seed, epoch]).permutation(n), steps * batch_size)
    present = (np.arange(steps * batch_size) < n).astype(np.float32)
    parts = data.train_users[order], data.train_items[order], data.train_ratings[order], present
    return RatingBatches(*(part.reshape(steps, batch_size) for part in parts))
