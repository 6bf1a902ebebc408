"""FGSM, BIM and PGD on two factor matrices, and the runs that a list of points shares."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

import numpy as np

from advrec_tf.perturbations.arguments import (
    Budget,
    Perturbation,
    TripleArrays,
    checked_table,
)
from advrec_tf.perturbations.canonical import (
    NormalizedFactors,
    normalized_factors,
    parameter_tables,
)
from advrec_tf.perturbations.chunks import TripleChunks, unchunked
from advrec_tf.perturbations.loop import iterates
from advrec_tf.perturbations.presets import EMBEDDING_ATTACKS, PGD_INIT, default_step, uniform_start
from advrec_tf.perturbations.served import Served


def trajectory(
    P: np.ndarray,
    Q: np.ndarray,
    triples: TripleArrays | TripleChunks,
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

    served: how the recommender makes factors of its parameters, the identity if None. It maps two
    tensors, the perturbed parameter tables P [M, D] and Q [N, D'], to the factors [U, F] and
    [I, F] that rank the items. It is differentiable: the attack maximises the loss of the factors
    and perturbs the parameters. If it is a NamedTuple of arrays with a `__call__`, one compiled
    program serves all arrays of these shapes. Arrays that a function closes over are constants.

    unit: of epsilon and the step size. Absolute is numbers of P and Q, as in the paper. Relative
    and row are shares of row norms in canonical form, see `normalized_factors`. With `served`,
    relative is a share of the RMS row norm of each parameter table.

    Raises ValueError for shapes that do not fit, ids out of range, factors that are not finite,
    an epsilon or step size that is negative or not finite, iteration counts that are empty,
    negative or not increasing, and unit row with `served`.
    """
    factors = _normalized(P, Q, unit, triples, served)
    start = None if init is None else factors.from_original(init)
    budget = Budget(epsilon, step_size, ball)
    return map(factors.to_original, iterates(factors, triples, budget, start, read_at, served))


def _normalized(P, Q, unit: str, triples, served: Served | None) -> NormalizedFactors:
    """Return `parameter_tables` if factors are served from P and Q, else `normalized_factors`."""
    if served is not None:
        return parameter_tables(P, Q, unit)
    if unit != "absolute" and isinstance(triples, TripleChunks):
        triples = unchunked(triples)
    return normalized_factors(P, Q, unit, triples)


def fgsm(
    P: np.ndarray,
    Q: np.ndarray,
    triples,
    epsilon: float = 0.5,
    init: Perturbation | None = None,
    served: Served | None = None,
    unit: str = "absolute",
) -> Perturbation:
    """Return the single step epsilon Pi / ||Pi|| of FGSM (Eq. 4).

    Its rows have l2 norm epsilon in `unit`, or 0 where there is no gradient. The gradient is taken
    at P, Q, or at P + init.user, Q + init.item; init is not part of the result. Arguments and
    errors as in `trajectory`.
    """
    factors = _normalized(P, Q, unit, triples, served)
    at = factors.zeros if init is None else factors.from_original(init)
    return _single_step(
        factors, triples, Budget(epsilon, default_step("fgsm", epsilon)), at, served
    )


def _single_step(
    factors: NormalizedFactors, triples, budget: Budget, at: Perturbation, served
) -> Perturbation:
    """Return one step from zero with the gradient at `at`, as a perturbation of the original."""
    user, item = (checked_table(x + d) for x, d in zip((factors.user, factors.item), at))
    moved = factors._replace(user=user, item=item)
    return factors.to_original(next(iterates(moved, triples, budget, served=served)))


def bim(
    P: np.ndarray,
    Q: np.ndarray,
    triples,
    epsilon: float = 0.5,
    iterations: int = 25,
    step_size: float | None = None,
    ball: str = "linf",
    served: Served | None = None,
    unit: str = "absolute",
) -> Perturbation:
    """Return the basic iterative method's perturbation: `iterations` steps from zero (Eq. 7).

    Arguments and errors as in `trajectory`.
    """
    read_at = (iterations,)
    return next(
        trajectory(P, Q, triples, epsilon, step_size, ball, None, read_at, served, unit=unit)
    )


def pgd(
    P: np.ndarray,
    Q: np.ndarray,
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
    """Return the perturbation of projected gradient descent: BIM from a uniform random start.

    init_range: in the unit of epsilon. Arguments and errors as in `trajectory`.
    """
    factors = _normalized(P, Q, unit, triples, served)
    start = factors.scaled(uniform_start(factors.user, factors.item, seed, init_range))
    budget = Budget(epsilon, step_size, ball)
    return factors.to_original(
        next(iterates(factors, triples, budget, start, (iterations,), served))
    )


# The key columns that points of one attack run have in common.
_RUN_COLUMNS = ("attack", "start", "ball", "epsilon", "step_size")


class _Attacked(NamedTuple):
    """What all attack runs of `perturbed` share."""

    factors: NormalizedFactors
    triples: TripleArrays | TripleChunks
    seed: int
    init_range: float
    served: Served | None

    def run(self, points: list[dict], ended: dict[str, Perturbation]) -> Iterator[Perturbation]:
        """Yield the perturbations of one attack run, one for each iteration count of its points.

        ended: by the name of a start, where an earlier attack ended
        """
        first = points[0]
        attack, start = EMBEDDING_ATTACKS.get(first.get("attack", "")), first.get("start")
        if attack is None:
            return iter([self.factors.zeros])
        if attack.draw:
            return iter([attack.draw(self.factors, first["epsilon"], self.seed)])
        budget = Budget(first["epsilon"], first["step_size"], first.get("ball", "linf"))
        if start in ended:
            at = ended[start]
            return iter([_single_step(self.factors, self.triples, budget, at, self.served)])
        user, item, *_ = self.factors
        init = attack.init(user, item, self.seed, self.init_range) if attack.init else None
        read_at = sorted({point["iterations"] for point in points})
        return iterates(self.factors, self.triples, budget, init, read_at, self.served)


def perturbed(
    P: np.ndarray,
    Q: np.ndarray,
    triples,
    points: Sequence[dict],
    seed: int = 0,
    init_range: float = PGD_INIT,
    served: Served | None = None,
) -> Iterator[tuple[dict, Perturbation]]:
    """Yield `(point, perturbation)` for each point, in order.

    Points that differ only in `iterations` share one attack run, and points of the same iterations
    share one perturbation.

    points: of `presets.points`, iterations increasing; one without an attack is clean. served: as
    in `trajectory`.
    """
    factors = _normalized(P, Q, "absolute", None, served)
    attacked = _Attacked(factors, triples, seed, init_range, served)
    ended: dict[str, Perturbation] = {}
    for (name, *_), group in groupby(points, key=lambda p: [p.get(c) for c in _RUN_COLUMNS]):
        run = list(group)
        for point, delta in _by_iterations(run, attacked.run(run, ended)):
            yield point, delta
        ended[f"after_{name}"] = delta


def _by_iterations(
    points: list[dict], deltas: Iterator[Perturbation]
) -> Iterator[tuple[dict, Perturbation]]:
    """Yield each point with its perturbation, the next one where the iterations change."""
    for _, group in groupby(points, key=lambda point: point.get("iterations")):
        delta = next(deltas)
        yield from ((point, delta) for point in group)
