"""Attacks that are hard to fool together: no parameter to tune, and what any of them breaks is broken (in the manner of Croce and Hein 2020)."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import sparse

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, Triples, sample_triples
from advrec_tf.perturbations import Form, Perturbation
from advrec_tf.robustness.losses import AllRivals, Hinge, Pairwise, Sinking, responses

DRAWS = 5  # of negatives, over which the training loss is averaged
STEPS = 25  # of BIM and PGD, with the papers' step size
RESPONSES = 10  # iterations of what needs no step size


@dataclass(frozen=True, eq=False)
class Problem:
    """Factors in the form of their budget, and what the members of an ensemble share."""

    P: np.ndarray
    Q: np.ndarray
    data: Interactions
    seed: int = 0
    k: int = 10
    budget: str = "relative"

    @cached_property
    def triples(self) -> Triples:
        return sample_triples(self.data, self.seed)

    @cached_property
    def draws(self) -> list[perturbations.TripleChunks]:
        sizes = self.data.n_users, self.data.n_items
        more = (sample_triples(self.data, [self.seed, n]) for n in range(1, DRAWS))
        return [perturbations.chunk_triples(triples, *sizes) for triples in (self.triples, *more)]

    @cached_property
    def form(self) -> Form:
        return perturbations.form_of(self.P, self.Q, self.budget, self.triples)

    def stepping(self, rho: float, ball: str, start: Perturbation | None = None) -> Perturbation:
        """BIM, or PGD from a start in units of the budget."""
        init = None if start is None else self.form.scaled(start)
        return next(perturbations.ascended(self.form, self.draws[0], rho, None, ball, init, (STEPS,)))

    def responding(self, loss, rho: float, ball: str) -> Perturbation:
        """`responses` to a loss."""
        return next(responses(self.form, loss, self.form.sizes(rho), ball, (RESPONSES,)))

    @cached_property
    def sunk(self) -> dict[str, np.ndarray]:
        """The items that are to sink under a threat, int [U, n]: every user's list, or his test items."""
        return {"lists": evaluation.top_k(self.form.user, self.form.item, self.data, self.k), "test": items_of_test(self.data)}

    @cached_property
    def spread(self) -> float:
        """Of the margins of test items over their strongest rivals."""
        return Sinking(self.form, self.data, self.sunk["test"], self.k).spread


def items_of_test(data: Interactions) -> np.ndarray:
    """Each user's test items, int [U, n], -1 where there are fewer."""
    counts = np.bincount(data.test_users, minlength=data.n_users)
    found = np.full((data.n_users, counts.max(initial=1)), -1)
    found[data.test_users, np.arange(len(data.test_users)) - np.searchsorted(data.test_users, data.test_users)] = data.test_items
    return found


def _noise(problem: Problem, rho: float, ball: str) -> Perturbation:
    rows = perturbations.noise(problem.form.user, problem.form.item, rho, problem.seed)
    return problem.form.scaled(rows if ball == "l2" else Perturbation(*(np.float32(rho) * np.sign(x) for x in rows)))


def _bim(problem: Problem, rho: float, ball: str) -> Perturbation:
    return problem.stepping(rho, ball)


def _pgd(problem: Problem, rho: float, ball: str) -> Perturbation:
    return problem.stepping(rho, ball, perturbations.uniform_start(problem.form.user, problem.form.item, problem.seed, rho))


def _climbing(problem: Problem, rho: float, ball: str) -> Perturbation:
    return problem.responding(Pairwise(problem.draws), rho, ball)


def _every_negative(problem: Problem, rho: float, ball: str) -> Perturbation:
    return problem.responding(AllRivals(problem.data, problem.data.matrix(), masked=False, spread=1.0), rho, ball)


def _sinking(threat: str, loss: type[Sinking]) -> Callable[[Problem, float, str], Perturbation]:
    def member(problem: Problem, rho: float, ball: str) -> Perturbation:
        return problem.responding(loss(problem.form, problem.data, problem.sunk[threat], problem.k), rho, ball)

    return member


def _all_rivals(problem: Problem, rho: float, ball: str) -> Perturbation:
    data = problem.data
    sunk = sparse.csr_matrix((np.ones(len(data.test_users), np.float32), (data.test_users, data.test_items)), (data.n_users, data.n_items))
    return problem.responding(AllRivals(data, sunk, masked=True, spread=problem.spread), rho, ball)


NOISE = "noise"  # no attack: what none should fall behind
# What an attacker knows: the training pairs, as in the papers; the lists that are shown; the held-out item, whose place is what is measured.
MEMBERS: dict[str, dict[str, Callable[[Problem, float, str], Perturbation]]] = {
    "train": {NOISE: _noise, "bim": _bim, "pgd": _pgd, "climbing": _climbing, "every negative": _every_negative},
    "lists": {NOISE: _noise, "sinking": _sinking("lists", Sinking)},
    "test": {NOISE: _noise, "sinking": _sinking("test", Sinking), "hinge": _sinking("test", Hinge), "all rivals": _all_rivals},
}


def ensemble(
    P: np.ndarray, Q: np.ndarray, data: Interactions, threat: str, rho: float, ball: str = "l2", seed: int = 0, k: int = 10, budget: str = "relative"
) -> Iterator[tuple[str, Perturbation]]:
    """Every member of a threat's ensemble with its perturbation of P and Q, and noise of the same size, which none of them should fall behind.

    `train`: BIM, PGD, and two losses that are climbed without a step size, over some negatives and over all.  `lists`: each user's own list sinks
    below its strongest rivals.  `test`: so do his test items, or below the end of the list, or below all rivals.
    Raises ValueError for another threat.
    """
    if threat not in MEMBERS:
        raise ValueError(f"threat must be one of {', '.join(MEMBERS)}, not {threat!r}")
    problem = Problem(P, Q, data, seed, k, budget)
    return ((name, problem.form.back(member(problem, rho, ball))) for name, member in MEMBERS[threat].items())
