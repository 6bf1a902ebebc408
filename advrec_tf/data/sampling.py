"""Training triples (user, positive, negative)."""

from typing import NamedTuple

import numpy as np

from advrec_tf.data.interactions import Interactions
from advrec_tf.errors import UserError


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
        raise UserError(f"user {user} of {data.name} knows every item: there is no negative to sample")


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
    r = np.random.default_rng(seed).integers(0, (data.n_items - degree)[users])
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
    order = np.random.default_rng([seed, epoch, 1]).permutation(len(data.train_users))[: steps * batch_size]
    return Triples(*(part[order].reshape(steps, batch_size) for part in triples))
