"""FGSM, BIM and PGD on a pair of factor matrices: one loop of gradient, normalise, step, project, and its presets."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
import tensorflow as tf

from advrec_tf.execution.threads import several_threads
from advrec_tf.perturbations.arguments import (
    Perturbation,
    checked_budget,
    checked_factors,
    checked_iterations,
)
from advrec_tf.perturbations.canonical import NormalizedFactors, normalized_factors
from advrec_tf.perturbations.gradient import (
    Parts,
    TripleChunks,
    chunk_triples,
    compiled,
    full_gradient,
    gradient_in_threads,
    unchunked,
)
from advrec_tf.perturbations.presets import EMBEDDING_ATTACKS, PGD_INIT, default_step, uniform_start


def normalize_rows(x: tf.Tensor) -> tf.Tensor:
    """Scales each row to unit l2 norm; zero rows stay zero.  x: [N, D] -> [N, D].  (Pi / ||Pi||, Eq. 4)"""
    return tf.math.l2_normalize(x, axis=1, epsilon=1e-12)


def project_linf(x: tf.Tensor, epsilon) -> tf.Tensor:
    """Clips every element to [-epsilon, epsilon] (Eq. 6, Clip): rows of D elements may reach an l2 norm of epsilon sqrt(D)."""
    return tf.clip_by_value(x, -epsilon, epsilon)


def project_l2(x: tf.Tensor, epsilon) -> tf.Tensor:
    """Scales every row longer than epsilon back to l2 norm epsilon, the budget of FGSM.  x: [N, D] -> [N, D]"""
    norms = tf.norm(x, axis=1, keepdims=True)
    return x * tf.minimum(1.0, epsilon / tf.maximum(norms, 1e-12))


_PROJECTIONS = {"linf": project_linf, "l2": project_l2}


def ascend(
    gradient: Callable, delta: tuple, iterations, sizes: tuple, steps: tuple, ball: str
) -> tuple:
    """The loop of Eq. 7, to be called inside a tf.function: `iterations` times delta <- project(delta + step Pi / ||Pi||).

    gradient(du, di) -> Pi for users and items at Theta + Delta; delta: ([U, D], [I, D]), the start; sizes, steps: epsilon and step size of users
    and of items, numbers or one a row [N, 1].
    """
    project = _PROJECTIONS[ball]

    def body(count, user, item):
        moved = [
            x + step * normalize_rows(g)
            for x, g, step in zip((user, item), gradient(user, item), steps)
        ]
        return count + 1, *(
            tf.ensure_shape(project(x, size), x.shape) for x, size in zip(moved, sizes)
        )

    return tf.while_loop(lambda count, *_: count < iterations, body, (0, *delta))[1:]


def perturbed(
    P: np.ndarray,
    Q: np.ndarray,
    triples,
    points: Sequence[dict],
    seed: int = 0,
    init_range: float = PGD_INIT,
    **how,
) -> Iterator[tuple[dict, Perturbation]]:
    """Every point beside its perturbation, in their order; points that differ in their iterations alone share one run.

    A point without an attack is unperturbed.  points: of `points`, iterations increasing; how: `fixed` and `through` of `trajectory`.
    """
    ended: dict[str, Perturbation] = {}
    for (name, start, *_), group in groupby(
        points, key=lambda p: tuple(p.get(n) for n in _OF_A_RUN)
    ):
        own = list(group)
        kind, first = EMBEDDING_ATTACKS.get(name), own[0]
        unit = first.get("unit", "absolute")
        if kind is None:
            deltas = iter([Perturbation(np.zeros_like(P), np.zeros_like(Q))])
        elif kind.draw:
            deltas = iter([kind.draw(P, Q, first["epsilon"], seed, unit)])
        else:
            form = _form(P, Q, unit, triples)
            size = {
                "epsilon": first["epsilon"],
                "step_size": first["step_size"],
                "ball": first.get("ball", "linf"),
            }
            if start in ended:
                deltas = iter(
                    [_one_step(form, triples, form.from_original(ended[start]), **size, **how)]
                )
            else:
                init = (
                    form.scaled(kind.init(form.user, form.item, seed, init_range))
                    if kind.init
                    else None
                )
                deltas = map(
                    form.to_original,
                    ascended(
                        form,
                        triples,
                        **size,
                        init=init,
                        read_at=sorted({p["iterations"] for p in own}),
                        **how,
                    ),
                )
        for _, equal in groupby(own, key=lambda point: point.get("iterations")):
            delta = next(deltas)
            yield from ((point, delta) for point in equal)
        ended[f"after_{name}"] = delta


_OF_A_RUN = ("attack", "start", "ball", "epsilon", "step_size", "unit")


def _form(P: np.ndarray, Q: np.ndarray, unit: str, triples) -> NormalizedFactors:
    """`normalized_factors`, of triples or of chunks of them, which the absolute budget does not look at."""
    if unit == "absolute":
        return normalized_factors(P, Q)
    return normalized_factors(
        P, Q, unit, unchunked(triples) if isinstance(triples, TripleChunks) else triples
    )


def _one_step(form: NormalizedFactors, triples, at: Perturbation, **how) -> Perturbation:
    """A single step from zero whose gradient is taken at `at`, a perturbation of the form; of the factors that were given."""
    user, item = checked_factors(form.user + at.user, form.item + at.item)
    return form.to_original(
        next(ascended(form._replace(user=user, item=item), triples, read_at=(1,), **how))
    )


@compiled
def _advance(
    p, q, user, item, free, through, chunks: TripleChunks, iterations, sizes, steps, ball: str
):
    def gradient(du, di):
        return _in_free_columns(
            full_gradient(*_served(p, q, du, di, through), chunks), free, through
        )

    return ascend(gradient, (user, item), iterations, sizes, steps, ball)


def _served(p, q, du, di, through) -> list[tf.Tensor]:
    """What users are served from when P and Q are perturbed."""
    return [_projected(side, x, through) for side, x in enumerate((p + du, q + di))]


def _in_free_columns(gradient, free, through) -> list[tf.Tensor]:
    """The gradient in P and Q of one in what users are served from."""
    return [
        columns * _projected(side, g, through)
        for side, (columns, g) in enumerate(zip(free, gradient))
    ]


def _projected(side: int, x: tf.Tensor, through) -> tf.Tensor:
    return tf.matmul(through[side], tf.matmul(through[side], x, transpose_a=True)) if through else x


def _advance_in_threads(
    p, q, user, item, free, through, parts: Parts, iterations, sizes, steps, ball: str
):
    """`_advance` with the same bytes, but iterations in Python, as a compiled loop has one thread."""
    for _ in range(int(iterations)):
        gradient = gradient_in_threads(_compiled_served(p, q, user, item, through), parts)
        user, item = _move(user, item, free, through, gradient, sizes, steps, ball)
    return user, item


_compiled_served = compiled(_served)


@compiled
def _move(user, item, free, through, gradient, sizes, steps, ball: str):
    own = _in_free_columns(gradient, free, through)
    return ascend(lambda *_: own, (user, item), 1, sizes, steps, ball)


def trajectory(
    P: np.ndarray,
    Q: np.ndarray,
    triples: tuple[np.ndarray, np.ndarray, np.ndarray] | TripleChunks,
    epsilon: float = 0.5,
    step_size: float | None = None,
    ball: str = "linf",
    init: Perturbation | None = None,
    read_at: Sequence[int] = (1, 10, 20),
    fixed: tuple[np.ndarray, np.ndarray] | None = None,
    through: tuple[np.ndarray, np.ndarray] | None = None,
    unit: str = "absolute",
) -> Iterator[Perturbation]:
    """Yields the multi-step perturbation after each iteration count of `read_at`, in one run (Eq. 5 to 7).

    P: [U, D], Q: [I, D]; triples: three int arrays [N] (user, positive, negative), or what `chunk_triples` makes of them, to be
    shared by several attacks; nothing is changed.  The step size is epsilon / 4 unless given; `init` is where the attack starts
    (zero by default); `fixed` marks columns of P and of Q (bool [D] each) that are constants, not parameters, such as the column of ones
    beside a bias; `through` are orthonormal bases A [U, k], B [I, k] on which users are served A A^T P and B B^T Q: the attacker knows of it and
    takes the loss there, and its gradient in P and Q through the projections.
    `budget` says what epsilon and the step size are in: numbers of the factors (absolute, the paper's), or shares of row norms in canonical form
    (relative, row; see `normalized_factors`), where the loss is free of scale, too; what is yielded is a perturbation of the P and Q that are given.
    The perturbation at L iterations is a prefix of that at more, so a grid costs as much as its last point.

    Raises ValueError for shapes that do not fit, ids out of range, factors that are not finite, an epsilon or step size that is
    negative or not finite, iteration counts that are empty, negative or not increasing, and `fixed` or `through` with other budgets.
    """
    form = _form(P, Q, unit, triples)
    return map(
        form.to_original,
        ascended(
            form,
            triples,
            epsilon,
            step_size,
            ball,
            None if init is None else form.from_original(init),
            read_at,
            fixed,
            through,
        ),
    )


def ascended(
    form: NormalizedFactors,
    triples,
    epsilon,
    step_size=None,
    ball="linf",
    init=None,
    read_at=(1,),
    fixed=None,
    through=None,
) -> Iterator[Perturbation]:
    """`trajectory` of a form: init is a perturbation of the form, and so is what is yielded."""
    P, Q = form.user, form.item
    size, step = checked_budget(epsilon, step_size, ball)
    sizes, steps = (
        tuple(map(tf.constant, form.sizes(each)))
        for each in (size, default_step("bim", size) if step is None else step)
    )
    read_at = checked_iterations(read_at)
    chunks = (
        triples if isinstance(triples, TripleChunks) else chunk_triples(triples, len(P), len(Q))
    )
    if init is not None and (np.shape(init.user) != P.shape or np.shape(init.item) != Q.shape):
        raise ValueError(
            f"init has shapes {np.shape(init.user)}, {np.shape(init.item)} where the factors have {P.shape}, {Q.shape}"
        )
    if form.back_to is not None and (fixed is not None or through is not None):
        raise ValueError("fixed and through go with the absolute budget")
    free = (
        tuple(1 - np.float32(columns) for columns in fixed)
        if fixed is not None
        else (np.ones(P.shape[1], np.float32),) * 2
    )
    if any(columns.shape != P.shape[1:] for columns in free):
        raise ValueError(f"fixed must be two arrays [{P.shape[1]}], one value a column")
    bases = tuple(np.asarray(basis, np.float32) for basis in through) if through is not None else ()
    if any(basis.ndim != 2 or len(basis) != len(x) for basis, x in zip(bases, (P, Q))):
        raise ValueError(f"through must be two bases of {len(P)} and {len(Q)} rows")

    def run():
        done = 0
        if init is None:
            state = tf.zeros(P.shape), tf.zeros(Q.shape)
        else:
            state = tuple(tf.constant(columns * x, tf.float32) for columns, x in zip(free, init))
        # An identity lets go of the copy that a constant makes of an array, which otherwise stays until an operation follows.
        p, q, served = tf.identity(P), tf.identity(Q), tuple(map(tf.identity, bases))
        if several_threads():
            advance, laid_out = _advance_in_threads, Parts.of(chunks, len(P), len(Q))
        else:
            advance, laid_out = _advance, TripleChunks(*map(tf.identity, chunks))
        for stop in read_at:
            state = advance(
                p, q, *state, free, served, laid_out, tf.constant(stop - done), sizes, steps, ball
            )
            done = stop
            yield Perturbation(*(x.numpy() for x in state))

    return run()


def fgsm(
    P: np.ndarray,
    Q: np.ndarray,
    triples,
    epsilon: float = 0.5,
    init: Perturbation | None = None,
    fixed=None,
    unit: str = "absolute",
) -> Perturbation:
    """The single-step perturbation epsilon Pi / ||Pi|| (Eq. 4): rows of l2 norm epsilon, zero where there is no gradient.

    The gradient is taken at P, Q, or at P + init.user, Q + init.item.  Budgets and errors as in `trajectory`.
    """
    form = _form(P, Q, unit, triples)
    at = (
        form.from_original(init)
        if init is not None
        else Perturbation(np.zeros_like(form.user), np.zeros_like(form.item))
    )
    return _one_step(
        form, triples, at, epsilon=epsilon, step_size=default_step("fgsm", epsilon), fixed=fixed
    )


def bim(
    P,
    Q,
    triples,
    epsilon: float = 0.5,
    iterations: int = 25,
    step_size: float | None = None,
    ball: str = "linf",
    unit: str = "absolute",
) -> Perturbation:
    """The basic iterative method: `iterations` steps from zero (Eq. 7).  Arguments and errors as in `trajectory`."""
    return next(
        trajectory(P, Q, triples, epsilon, step_size, ball, read_at=(iterations,), unit=unit)
    )


def pgd(
    P,
    Q,
    triples,
    epsilon: float = 0.5,
    iterations: int = 25,
    step_size: float | None = None,
    ball: str = "linf",
    seed: int = 0,
    init_range: float = PGD_INIT,
    unit: str = "absolute",
) -> Perturbation:
    """Projected gradient descent: BIM from a uniform random start, in the units of the budget.  Arguments and errors as in `trajectory`."""
    form = _form(P, Q, unit, triples)
    start = form.scaled(uniform_start(form.user, form.item, seed, init_range))
    return form.to_original(
        next(ascended(form, triples, epsilon, step_size, ball, start, (iterations,)))
    )
