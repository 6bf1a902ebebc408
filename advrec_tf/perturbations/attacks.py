"""FGSM, BIM and PGD on a pair of factor matrices: one loop of gradient, normalise, step, project, and its presets."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import numpy as np
import tensorflow as tf

from advrec_tf.execution.threads import several_threads
from advrec_tf.perturbations.arguments import (
    Perturbation,
    checked_budget,
    checked_iterations,
    checked_table,
)
from advrec_tf.perturbations.canonical import (
    NormalizedFactors,
    normalized_factors,
    parameter_tables,
)
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

Served = Callable[[tf.Tensor, tf.Tensor], Sequence[tf.Tensor]]


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
    served: Served | None = None,
) -> Iterator[tuple[dict, Perturbation]]:
    """Yield `(point, perturbation)` in order. Points that differ only in `iterations` share one attack run.

    A point without an attack is unperturbed.  points: of `points`, iterations increasing; served: as in `trajectory`.
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
            form = _form(P, Q, unit, None, served)
            deltas = iter([form.to_original(kind.draw(form, first["epsilon"], seed))])
        else:
            form = _form(P, Q, unit, triples, served)
            size = {
                "epsilon": first["epsilon"],
                "step_size": first["step_size"],
                "ball": first.get("ball", "linf"),
            }
            if start in ended:
                deltas = iter(
                    [
                        _one_step(
                            form, triples, form.from_original(ended[start]), **size, served=served
                        )
                    ]
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
                        served=served,
                    ),
                )
        for _, equal in groupby(own, key=lambda point: point.get("iterations")):
            delta = next(deltas)
            yield from ((point, delta) for point in equal)
        ended[f"after_{name}"] = delta


_OF_A_RUN = ("attack", "start", "ball", "epsilon", "step_size", "unit")


def _form(P: np.ndarray, Q: np.ndarray, unit: str, triples, served=None) -> NormalizedFactors:
    """Return `parameter_tables` if factors are `served` from P and Q, otherwise `normalized_factors`.

    triples: three arrays, chunks, or None where no loss is taken.
    """
    if served is not None:
        return parameter_tables(P, Q, unit)
    if unit == "absolute":
        return normalized_factors(P, Q)
    return normalized_factors(
        P, Q, unit, unchunked(triples) if isinstance(triples, TripleChunks) else triples
    )


def _one_step(form: NormalizedFactors, triples, at: Perturbation, **how) -> Perturbation:
    """A single step from zero whose gradient is taken at `at`, a perturbation of the form; of the factors that were given."""
    user, item = (checked_table(x + d) for x, d in zip((form.user, form.item), at))
    return form.to_original(
        next(ascended(form._replace(user=user, item=item), triples, read_at=(1,), **how))
    )


@compiled
def _advance(
    p, q, user, item, one, served, chunks: TripleChunks, iterations, sizes, steps, ball: str
):
    def gradient(du, di):
        tables = p + du, q + di
        return _pulled_back(served, *tables, one, lambda P, Q: full_gradient(P, Q, chunks))

    return ascend(gradient, (user, item), iterations, sizes, steps, ball)


def _pulled_back(served, user, item, one, gradient: Callable) -> Sequence[tf.Tensor]:
    """Return the gradient in the parameter tables, where gradient(P, Q) is that in the factors.

    The vector-Jacobian product of `served`; for a projection U U^T it is U (U^T g).
    one: a number 1 that the compiler does not know. It decides how XLA adds the squares of rows of
    5 to 8 columns, and so keeps the last bits of their attacks.
    """
    if served is None:
        return [one * table for table in gradient(user, item)]
    with tf.GradientTape() as tape:
        tape.watch((user, item))
        factors = served(user, item)
    pulled = tape.gradient(
        factors,
        (user, item),
        output_gradients=gradient(*factors),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [one * tf.convert_to_tensor(table) for table in pulled]


def _advance_in_threads(
    p, q, user, item, one, served, parts: Parts, iterations, sizes, steps, ball: str
):
    """Return the state of `_advance` with the same bytes, from iterations in Python.

    A compiled loop has one thread; here the parts of a gradient have their own.
    """
    for _ in range(int(iterations)):
        gradient = gradient_in_threads(_factors(p, q, user, item, served), parts)
        user, item = _move(p, q, user, item, one, served, gradient, sizes, steps, ball)
    return user, item


@compiled
def _factors(p, q, du, di, served):
    """Return the factors of the perturbed parameter tables."""
    return (p + du, q + di) if served is None else served(p + du, q + di)


@compiled
def _move(p, q, user, item, one, served, gradient, sizes, steps, ball: str):
    pulled = _pulled_back(served, p + user, q + item, one, lambda *_: gradient)
    return ascend(lambda *_: pulled, (user, item), 1, sizes, steps, ball)


def trajectory(
    P: np.ndarray,
    Q: np.ndarray,
    triples: tuple[np.ndarray, np.ndarray, np.ndarray] | TripleChunks,
    epsilon: float = 0.5,
    step_size: float | None = None,
    ball: str = "linf",
    init: Perturbation | None = None,
    read_at: Sequence[int] = (1, 10, 20),
    served: Served | None = None,
    unit: str = "absolute",
) -> Iterator[Perturbation]:
    """Yield the perturbation after each iteration count of `read_at`, in one run (Eq. 5 to 7).

    P: [U, D], Q: [I, D]; nothing is changed. triples: three int arrays [N] (user, positive,
    negative), or `chunk_triples` of them, which several attacks can share. The step size is
    epsilon / 4 unless given. init: the perturbation that the attack starts from, zero by default.

    served: how the recommender makes factors of its parameters. It is a differentiable function
    of two tensors, the perturbed parameter tables P [U, D] and Q [I, D'], and returns the factors
    [U, F] and [I, F] that rank the items. None is the identity. The attack maximises the loss of
    the factors and perturbs the parameters. A NamedTuple of arrays with a `__call__` needs one
    compiled program for all its values; arrays that a function closes over become constants.

    unit: of epsilon and the step size. Absolute is numbers of P and Q, as in the paper. Relative
    and row are shares of row norms in canonical form (see `normalized_factors`). With `served`
    relative is a share of the RMS row norm of each parameter table.

    Raises ValueError for shapes that do not fit, ids out of range, factors that are not finite, an
    epsilon or step size that is negative or not finite, iteration counts that are empty, negative
    or not increasing, and for unit row with `served`.
    """
    form = _form(P, Q, unit, triples, served)
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
            served,
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
    served=None,
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
    served = _checked_served(served, P, Q)

    def run():
        done = 0
        if init is None:
            state = tf.zeros(P.shape), tf.zeros(Q.shape)
        else:
            state = tuple(tf.constant(x, tf.float32) for x in init)
        # An identity lets go of the copy that a constant makes of an array, which otherwise stays until an operation follows.
        p, q = tf.identity(P), tf.identity(Q)
        if several_threads():
            advance, laid_out = _advance_in_threads, Parts.of(chunks, len(P), len(Q))
        else:
            advance, laid_out = _advance, TripleChunks(*map(tf.identity, chunks))
        for stop in read_at:
            state = advance(
                p,
                q,
                *state,
                tf.constant(1.0),
                served,
                laid_out,
                tf.constant(stop - done),
                sizes,
                steps,
                ball,
            )
            done = stop
            yield Perturbation(*(x.numpy() for x in state))

    return run()


def _checked_served(served: Served | None, P: np.ndarray, Q: np.ndarray) -> Served | None:
    """Return `served` with its arrays as tensors, which a compiled loop takes as inputs."""
    if served is None:
        return None
    served = tf.nest.map_structure(
        lambda x: tf.identity(_single(x)) if isinstance(x, np.ndarray) else x, served
    )
    shapes = [tuple(x.shape) for x in served(tf.identity(P), tf.identity(Q))]
    if [len(P), len(Q)] != [shape[0] for shape in shapes] or shapes[0][1:] != shapes[1][1:]:
        raise ValueError(f"served must give factors [{len(P)}, F] and [{len(Q)}, F], not {shapes}")
    return served


def _single(x: np.ndarray) -> np.ndarray:
    """Return an array whose floats have single precision, as those of P and Q."""
    return x.astype(np.float32) if x.dtype.kind == "f" else x


def fgsm(
    P: np.ndarray,
    Q: np.ndarray,
    triples,
    epsilon: float = 0.5,
    init: Perturbation | None = None,
    served: Served | None = None,
    unit: str = "absolute",
) -> Perturbation:
    """The single-step perturbation epsilon Pi / ||Pi|| (Eq. 4): rows of l2 norm epsilon, zero where there is no gradient.

    The gradient is taken at P, Q, or at P + init.user, Q + init.item.  Budgets and errors as in `trajectory`.
    """
    form = _form(P, Q, unit, triples, served)
    at = (
        form.from_original(init)
        if init is not None
        else Perturbation(np.zeros_like(form.user), np.zeros_like(form.item))
    )
    return _one_step(
        form, triples, at, epsilon=epsilon, step_size=default_step("fgsm", epsilon), served=served
    )


def bim(
    P,
    Q,
    triples,
    epsilon: float = 0.5,
    iterations: int = 25,
    step_size: float | None = None,
    ball: str = "linf",
    served: Served | None = None,
    unit: str = "absolute",
) -> Perturbation:
    """The basic iterative method: `iterations` steps from zero (Eq. 7).  Arguments and errors as in `trajectory`."""
    return next(
        trajectory(P, Q, triples, epsilon, step_size, ball, None, (iterations,), served, unit)
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
    served: Served | None = None,
    unit: str = "absolute",
) -> Perturbation:
    """Projected gradient descent: BIM from a uniform random start, in the units of the budget.  Arguments and errors as in `trajectory`."""
    form = _form(P, Q, unit, triples, served)
    start = form.scaled(uniform_start(form.user, form.item, seed, init_range))
    return form.to_original(
        next(ascended(form, triples, epsilon, step_size, ball, start, (iterations,), served))
    )
