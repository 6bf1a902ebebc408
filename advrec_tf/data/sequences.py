"""Each user's interactions in order of time, and rows of fixed length that several users share."""

from typing import NamedTuple

import numpy as np

from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import generator
from advrec_tf.errors import UserError

VERSION = 1  # one more whenever the bytes change
START = -1  # stands before the first item of a sequence
OPEN_ROWS = 64  # how many of the last rows are tried for a sequence


class Sequences(NamedTuple):
    """Sequences side by side in rows of L slots.

    A slot holds what is known at that point, and the item that comes next.  Slots of one sequence
    follow each other; a model must not look from one sequence into another.
    """

    items: np.ndarray  # int32 [R, L], START for the first slot of a sequence and for an empty slot
    targets: np.ndarray  # int32 [R, L], the item that comes next, -1 if there is none
    positions: np.ndarray  # int32 [R, L], the slot's number in its sequence, from 0
    segments: np.ndarray  # int32 [R, L], the sequence's number in its row, -1 for an empty slot


def has_times(data: Interactions) -> bool:
    """Return whether the time of any train interaction is known."""
    return data.train_timestamps is not None and not np.isnan(data.train_timestamps).all()


def in_order_of_time(data: Interactions, seed: int | list[int]) -> list[np.ndarray]:
    """Return the train items of each user, the oldest first: int32 [n] for every user.

    Interactions whose time is unknown are left out.  Ties are in an order drawn from the seed: in
    that of the ids a model would learn that the next item has a larger id, which a held-out item
    need not have.  Two thirds of ML-1M's known clicks have the time of another one.
    Raises UserError for data without any time.
    """
    if not has_times(data):
        raise UserError(f"{data.name} has no timestamps, so nobody's items have an order")
    times = np.asarray(data.train_timestamps)
    known = ~np.isnan(times)
    users, items = data.train_users[known], data.train_items[known]
    order = np.lexsort((generator(seed).random(len(users)), times[known], users))
    counts = np.bincount(users, minlength=data.n_users)
    return np.split(items[order], np.cumsum(counts)[:-1])


def training_sequences(data: Interactions, length: int, seed: int, epoch: int) -> Sequences:
    """Return rows in which every known train interaction follows once.

    A history of more than `length` items is cut into several sequences, from its end.  Ties have
    another order in every epoch; which sequences share a row follows from the seed alone.
    """
    windows = []
    for items in in_order_of_time(data, [seed, epoch, 0]):
        cuts = range(len(items), 0, -length)
        windows += [items[max(0, end - length) : end] for end in cuts]
    return _packed(windows, length, seed)[0]


def histories(data: Interactions, length: int, seed: int) -> tuple[Sequences, np.ndarray]:
    """Return rows with the last items of every user, and the users' last slots.

    A user without a known time has the start alone.  -> rows, int32 [U] into the flat [R L] slots
    """
    windows = [np.append(items, -1)[-length:] for items in in_order_of_time(data, seed)]
    return _packed(windows, length, seed)


def _packed(windows: list[np.ndarray], length: int, seed: int) -> tuple[Sequences, np.ndarray]:
    """Return sequences in rows of `length` slots, and each one's last slot (first-fit packing).

    A sequence goes into the first of the last OPEN_ROWS rows that has room for it, in an order
    drawn from the seed.  What is known at a slot is what follows at the slot before; START begins.

    windows: what follows in each sequence, from 1 to `length` items
    """
    order = generator(seed).permutation(len(windows))
    filled: list[int] = []  # slots of each row
    counts: list[int] = []  # sequences of each row
    spots = np.zeros((len(windows), 3), np.int64)  # row, first slot, number in the row
    for window in order:
        size = len(windows[window])
        first = max(0, len(filled) - OPEN_ROWS)
        row = next((r for r in range(first, len(filled)) if filled[r] + size <= length), None)
        if row is None:
            row = len(filled)
            filled.append(0)
            counts.append(0)
        spots[window] = row, filled[row], counts[row]
        filled[row] += size
        counts[row] += 1
    sizes = np.array([len(window) for window in windows])
    starts = spots[:, 0] * length + spots[:, 1]
    within = np.arange(sizes.sum()) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    slots = np.repeat(starts, sizes) + within
    targets = np.concatenate(windows)
    before = np.where(within == 0, START, np.roll(targets, 1))

    def rows(values: np.ndarray) -> np.ndarray:
        """Return the values at their slots, -1 elsewhere."""
        flat = np.full(len(filled) * length, -1, np.int32)
        flat[slots] = values
        return flat.reshape(-1, length)

    segments = rows(np.repeat(spots[:, 2], sizes))
    sequences = Sequences(rows(before), rows(targets), np.maximum(rows(within), 0), segments)
    return sequences, (starts + sizes - 1).astype(np.int32)
