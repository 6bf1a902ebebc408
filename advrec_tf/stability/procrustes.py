"""Two trainings of one model in one basis: the orthogonal Procrustes problem over both tables."""

import numpy as np

from advrec_tf.errors import UserError
from advrec_tf.perturbations.arguments import Tables

OTHERS = 20  # rows that each row is compared with
LEAST_NEARER = 0.75  # of the others; 1 for one training in two forms, .5 for shuffled rows
FEWEST = 5  # rows, below which nothing is compared


def aligned(before: Tables, after: Tables) -> tuple[Tables, Tables]:
    """Return both pairs of tables in one basis, scale and width; the first pair does not move.

    The second becomes c P R and c Q R.  The orthogonal R minimises the squared residual of both
    tables, which count alike (Schonemann 1966).  c gives both pairs the same RMS row norm.
    Tables of fewer columns are padded with zeros.
    """
    before, after = _widened(before, after)
    rotation, scale = _solved(before, after)
    user, item = (scale * (x @ rotation) for x in after)
    return before, (user, item)


def check_rows(before: Tables, after: Tables, seed: int = 0) -> None:
    """Raise UserError where most rows of the second tables do not belong to those of the first.

    The map is found on half of the rows.  Each row of the other half must be nearer to its own
    than to most random rows of the first tables.
    """
    before, after = _widened(before, after)
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(len(x)) for x in before]
    fit, held = ([order[part::2] for order in halves] for part in (0, 1))
    rotation, scale = _solved(
        (before[0][fit[0]], before[1][fit[1]]), (after[0][fit[0]], after[1][fit[1]])
    )
    for side, first, second, rows in zip(("user", "item"), before, after, held):
        if len(rows) < FEWEST:
            continue
        mapped = scale * (second[rows] @ rotation)
        distance = np.linalg.norm(mapped - first[rows], axis=1)
        nearer = []
        for _ in range(OTHERS):
            others = first[rng.permutation(rows)]
            nearer.append(np.mean(distance <= np.linalg.norm(mapped - others, axis=1) + 1e-9))
        if np.mean(nearer) < LEAST_NEARER:
            raise UserError(
                f"the {side} rows of both trainings do not correspond: a row is nearer to its own "
                f"than to another one in {np.mean(nearer):.0%} of the cases, and in 50% by chance. "
                "Are their ids in one order?"
            )


def linear_residual(before: Tables, after: Tables) -> float:
    """Return the relative RMS residual that the best free linear map of each table leaves.

    No orthogonal map, and no pair of maps P A, Q A^-T, leaves less.  Widths may differ.
    """
    squares = []
    for first, second in zip(before, after):
        weights, *_ = np.linalg.lstsq(np.float64(second), np.float64(first), rcond=1e-6)
        squares.append(np.sum((second @ weights - first) ** 2) / np.sum(np.float64(first) ** 2))
    return float(np.sqrt(np.mean(squares)))


def padded(tables: Tables, width: int) -> Tables:
    """Return both tables with columns of zeros up to a width, float64."""
    user, item = (np.pad(np.float64(x), ((0, 0), (0, width - x.shape[1]))) for x in tables)
    return user, item


def _widened(before: Tables, after: Tables) -> tuple[Tables, Tables]:
    """Return both pairs in the width of the wider one."""
    width = max(before[0].shape[1], after[0].shape[1])
    return padded(before, width), padded(after, width)


def _solved(before: Tables, after: Tables) -> tuple[np.ndarray, float]:
    """Return R [r, r] and c of `aligned`."""
    weights = [1 / np.sum(x**2) for x in before]  # both tables count alike
    left, _, right = np.linalg.svd(sum(w * x.T @ y for w, x, y in zip(weights, after, before)))
    square = sum(w * np.sum(x**2) for w, x in zip(weights, after))
    return left @ right, float(np.sqrt(len(before) / square))
