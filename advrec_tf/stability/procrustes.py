"""Two trainings of one model in one basis: the orthogonal Procrustes problem over both tables."""

import numpy as np

from advrec_tf.errors import UserError

Tables = tuple[np.ndarray, np.ndarray]  # canonical P [U, r] and Q [I, r]
MOST_OF_SHUFFLED = 0.9  # a residual above this share of that of shuffled rows is no match
SHUFFLES = 999  # all of which must leave more
ROWS = 2000  # of each table that are tried


def aligned(before: Tables, after: Tables) -> Tables:
    """Return the second tables in the basis and scale of the first: c P R and c Q R.

    R is orthogonal and c a positive number.  They minimise the squared residual of both tables,
    each in units of the first's RMS row norm and weighted by its rows (Schonemann 1966).
    Tables of fewer columns are padded with zeros.
    """
    before, after = _padded(before, after)
    rotation, scale = _solved(before, after)
    user, item = (scale * (x @ rotation) for x in after)
    return user, item


def check_rows(before: Tables, after: Tables, seed: int = 0) -> None:
    """Raise UserError where the rows of the second tables do not belong to those of the first.

    The map is found on half of the rows and tried on the other half, where rows must come much
    nearer to their own than to shuffled ones, in every one of SHUFFLES.
    """
    before, after = _padded(before, after)
    rng = np.random.default_rng(seed)
    halves = [rng.permutation(len(x)) for x in before]
    fit, held = ([order[part::2] for order in halves] for part in (0, 1))
    rotation, scale = _solved(
        (before[0][fit[0]], before[1][fit[1]]), (after[0][fit[0]], after[1][fit[1]])
    )
    for side, first, second, rows in zip(("user", "item"), before, after, held):
        rows = rows[:ROWS]
        rows_before, mapped = first[rows], scale * (second[rows] @ rotation)
        squares = np.sum(rows_before**2) + np.sum(mapped**2)
        residual = squares - 2 * np.sum(rows_before * mapped)
        shuffled = [
            squares - 2 * np.sum(rng.permutation(rows_before) * mapped) for _ in range(SHUFFLES)
        ]
        if residual > min(MOST_OF_SHUFFLED**2 * np.mean(shuffled), *shuffled):
            ratio = np.sqrt(residual / np.mean(shuffled))
            raise UserError(
                f"the {side} rows of both trainings do not correspond: they lie {ratio:.2f} times "
                "as far apart as shuffled rows. Are their ids in one order?"
            )


def linear_residual(before: Tables, after: Tables) -> float:
    """Return the relative RMS residual that the best free linear map of each table leaves.

    No orthogonal map, and no pair of maps P A, Q A^-T, leaves less.
    """
    squares = []
    for first, second in zip(*_padded(before, after)):
        weights, *_ = np.linalg.lstsq(np.float64(second), np.float64(first), rcond=1e-6)
        squares.append(np.sum((second @ weights - first) ** 2) / np.sum(np.float64(first) ** 2))
    return float(np.sqrt(np.mean(squares)))


def _padded(before: Tables, after: Tables) -> tuple[Tables, Tables]:
    """Return both pairs with as many columns, float64."""
    width = max(before[0].shape[1], after[0].shape[1])
    pairs = []
    for pair in (before, after):
        user, item = (np.pad(np.float64(x), ((0, 0), (0, width - x.shape[1]))) for x in pair)
        pairs.append((user, item))
    return pairs[0], pairs[1]


def _solved(before: Tables, after: Tables) -> tuple[np.ndarray, float]:
    """Return R [r, r] and c of `aligned`."""
    weights = [1 / np.sum(x**2) for x in before]  # of a table's mean square, times its rows
    product = sum(w * x.T @ y for w, x, y in zip(weights, after, before))
    left, values, right = np.linalg.svd(product)
    square = sum(w * np.sum(x**2) for w, x in zip(weights, after))
    return left @ right, float(values.sum() / square)
