"""The loop of FGSM, BIM and PGD: gradient, normalise, step, project (Eq. 4 to 7)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from advrec_tf.execution.threads import several_threads
from advrec_tf.perturbations.arguments import Budget, Perturbation, checked_iterations
from advrec_tf.perturbations.canonical import NormalizedFactors
from advrec_tf.perturbations.chunks import TripleChunks, chunk_triples
from advrec_tf.perturbations.gradient import Parts, compiled, full_gradient, gradient_in_threads
from advrec_tf.perturbations.presets import default_step
from advrec_tf.perturbations.served import Served, in_xla, pulled_back


def normalize_rows(x: tf.Tensor) -> tf.Tensor:
    """Scale each row to unit l2 norm; zero rows stay zero (Pi / ||Pi||, Eq. 4). x: [N, D]"""
    return tf.math.l2_normalize(x, axis=1, epsilon=1e-12)


def project_linf(x: tf.Tensor, epsilon) -> tf.Tensor:
    """Clip every element to [-epsilon, epsilon] (Eq. 6).

    The l2 norm of a row of D elements may then reach epsilon sqrt(D).
    """
    return tf.clip_by_value(x, -epsilon, epsilon)


def project_l2(x: tf.Tensor, epsilon) -> tf.Tensor:
    """Scale every row longer than epsilon back to l2 norm epsilon, as FGSM has. x: [N, D]"""
    norms = tf.norm(x, axis=1, keepdims=True)
    return x * tf.minimum(1.0, epsilon / tf.maximum(norms, 1e-12))


_PROJECTIONS = {"linf": project_linf, "l2": project_l2}


def ascend(
    gradient: Callable, delta: tuple, iterations, sizes: tuple, steps: tuple, ball: str
) -> tuple:
    """Repeat delta <- project(delta + step Pi / ||Pi||) `iterations` times (Eq. 7), in a graph.

    gradient(du, di) -> Pi of users and items at Theta + Delta. delta: ([U, D], [I, D]), the start.
    sizes, steps: epsilon and step size of users and of items, numbers or one a row [N, 1].
    """
    project = _PROJECTIONS[ball]

    def body(count, user, item):
        """Take one step of both tables."""
        moved = [
            x + step * normalize_rows(g)
            for x, g, step in zip((user, item), gradient(user, item), steps)
        ]
        return count + 1, *(
            tf.ensure_shape(project(x, size), x.shape) for x, size in zip(moved, sizes)
        )

    return tf.while_loop(lambda count, *_: count < iterations, body, (0, *delta))[1:]


class Ascent(NamedTuple):
    """What all iterations of an attack share."""

    tables: tuple[tf.Tensor, tf.Tensor]  # the parameters, before the perturbation
    served: Served | None
    sizes: tuple[tf.Tensor, tf.Tensor]  # epsilon in the rows of each table
    steps: tuple[tf.Tensor, tf.Tensor]
    ball: str
    one: tf.Tensor  # 1, which the compiler does not know

    def moved(self, delta: Sequence[tf.Tensor]) -> tuple[tf.Tensor, ...]:
        """Return the perturbed parameter tables."""
        return tuple(table + part for table, part in zip(self.tables, delta))

    def factors(self, delta: Sequence[tf.Tensor]) -> Sequence[tf.Tensor]:
        """Return the factors that the perturbed parameters give."""
        moved = self.moved(delta)
        return moved if self.served is None else self.served(*moved)

    def gradient(self, delta: Sequence[tf.Tensor], of_factors: Callable) -> Sequence[tf.Tensor]:
        """Return the gradient in the parameters, where of_factors(P, Q) is that in the factors.

        This is the vector-Jacobian product of `served`; for a projection U U^T it is U (U^T g).
        """
        moved = self.moved(delta)
        served = self.served
        slopes = of_factors(*moved) if served is None else pulled_back(served, moved, of_factors)
        # The unknown factor 1 changes how XLA adds the squares of rows of 5 to 8 columns. It keeps
        # the bytes that such attacks have had.
        return [self.one * table for table in slopes]

    def ascend(self, gradient: Callable, delta: tuple, iterations) -> tuple:
        """Return the perturbation after further iterations."""
        return ascend(gradient, delta, iterations, self.sizes, self.steps, self.ball)


@compiled
def _advance(ascent: Ascent, delta, chunks: TripleChunks, iterations):
    """Return delta after so many further iterations, in one compiled loop."""

    def gradient(user, item):
        """Return the gradient of the parameters at a perturbation."""
        return ascent.gradient((user, item), lambda P, Q: full_gradient(P, Q, chunks))

    return ascent.ascend(gradient, delta, iterations)


def _advance_in_threads(ascent: Ascent, delta, parts: Parts, iterations):
    """Return the same bytes as `_advance`, from iterations in Python.

    A compiled loop has one thread; here each part of a gradient has its own.
    """
    factors, step = (_factors, _step) if in_xla(ascent.served) else (_graph_factors, _graph_step)
    for _ in range(int(iterations)):
        gradient = gradient_in_threads(factors(ascent, delta), parts)
        delta = step(ascent, delta, gradient)
    return delta


def _factors_of(ascent: Ascent, delta):
    """Return the factors that the perturbed parameters give."""
    return ascent.factors(delta)


def _stepped(ascent: Ascent, delta, gradient):
    """Return delta after one step along a gradient that has been computed, of the factors."""
    pulled = ascent.gradient(delta, lambda *_: gradient)
    return ascent.ascend(lambda *_: pulled, delta, 1)


_factors, _step = compiled(_factors_of), compiled(_stepped)
_graph_factors, _graph_step = tf.function(_factors_of), tf.function(_stepped)


def iterates(
    factors: NormalizedFactors,
    triples,
    budget: Budget,
    init: Perturbation | None = None,
    read_at: Sequence[int] = (1,),
    served: Served | None = None,
) -> Iterator[Perturbation]:
    """Yield the perturbation of `factors` after each iteration count of `read_at`.

    Arguments are as in `trajectory`, but init and what is yielded are perturbations of the
    normalised factors. Raises ValueError when it is called, not when the first perturbation is
    taken.
    """
    budget, read_at = budget.checked(), checked_iterations(read_at)
    rows = len(factors.user), len(factors.item)
    if served is not None:
        served = _with_tensors(served)
        rows = _served_rows(served, factors)
    chunks = triples if isinstance(triples, TripleChunks) else chunk_triples(triples, *rows)
    if init is not None:
        _check_init(init, factors)
    return _iterates(factors, chunks, rows, budget, init, read_at, served)


def _iterates(factors: NormalizedFactors, chunks, rows, budget: Budget, init, read_at, served):
    """Yield the perturbation after each count of `read_at`, from arguments that are checked.

    rows: of P and Q; init and what is yielded are in the scale of the normalised factors.
    """
    step = default_step("bim", budget.epsilon) if budget.step_size is None else budget.step_size
    sizes, steps = (tuple(map(tf.constant, factors.sizes(x))) for x in (budget.epsilon, step))
    # An identity frees the copy that a constant makes of an array, which otherwise stays.
    tables = tf.identity(factors.user), tf.identity(factors.item)
    ascent = Ascent(tables, served, sizes, steps, budget.ball, tf.constant(1.0))
    delta: Any = map(tf.zeros_like, tables)
    if init is not None:
        delta = (tf.constant(part, tf.float32) for part in init)
    layout: Any  # Parts, or TripleChunks of tensors
    if several_threads() or not in_xla(served):
        advance, layout = _advance_in_threads, Parts.of(chunks, *rows)
    else:
        advance, layout = _advance, TripleChunks(*map(tf.identity, chunks))
    delta, done = tuple(delta), 0
    for stop in read_at:
        delta = advance(ascent, delta, layout, tf.constant(stop - done))
        done = stop
        yield Perturbation(*(table.numpy() for table in delta))


def _check_init(init: Perturbation, factors: NormalizedFactors) -> None:
    """Raise ValueError if a start does not have the shapes of the factors."""
    shapes = np.shape(init.user), np.shape(init.item)
    wanted = factors.user.shape, factors.item.shape
    if shapes != wanted:
        raise ValueError(
            f"init has shapes {shapes[0]}, {shapes[1]} where the factors have {wanted[0]}, "
            f"{wanted[1]}"
        )


def _with_tensors(served: Served) -> Served:
    """Return `served` with its arrays as tensors, which a compiled loop takes as inputs.

    Floats get single precision, as P and Q have.
    """

    def tensor(leaf):
        """Return a tensor in place of an array, float32 if it holds numbers with a fraction."""
        if not isinstance(leaf, np.ndarray):
            return leaf
        return tf.identity(leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf)

    return tf.nest.map_structure(tensor, served)


def _served_rows(served: Served, factors: NormalizedFactors) -> tuple[int, int]:
    """Return the numbers of users and of items for which `served` gives factors.

    Raises ValueError if its factors are not two tables of one dimension.
    """
    P, Q = (tuple(x.shape) for x in served(tf.identity(factors.user), tf.identity(factors.item)))
    if len(P) != 2 or P[1:] != Q[1:]:
        raise ValueError(f"served must give factors [U, F] and [I, F], not {P} and {Q}")
    return P[0], Q[0]
