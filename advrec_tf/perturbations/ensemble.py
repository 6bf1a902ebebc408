"""Attacks that are hard to fool together: no parameter to tune, and what any of them breaks is
broken (in the manner of Croce and Hein 2020).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, Triples, sample_triples
from advrec_tf.perturbations import NormalizedFactors, Perturbation
from advrec_tf.perturbations.losses import Schedule, SmoothDCG, Softmax, anneal, frank_wolfe

BIM_STEPS = 25  # with the papers' step size
SOFTMAX_STEPS, SOFTMAX_MOMENTUM = 10, 0.5
# By the threat whose attack is annealed; found on ML-1M (BPR-MF and iALS-64).
SCHEDULES = {
    "lists": Schedule(12, 6.0, 1.0),
    "test": Schedule(24, 4.0, 0.2),
    "user": Schedule(24, 4.0, 0.2),
}
FREE_SCORES, RESTARTS = 1 << 17, 64  # scores of users x items whose restarts cost next to nothing


@dataclass(frozen=True, eq=False)
class Problem:
    """Factors in the form of their budget, and what the members of an ensemble share."""

    P: np.ndarray
    Q: np.ndarray
    data: Interactions
    seed: int = 0
    k: int = 10
    unit: str = "relative"

    @cached_property
    def triples(self) -> Triples:
        return sample_triples(self.data, self.seed)

    @cached_property
    def chunks(self) -> perturbations.TripleChunks:
        return perturbations.chunk_triples(self.triples, self.data.n_users, self.data.n_items)

    @cached_property
    def form(self) -> NormalizedFactors:
        return perturbations.normalized_factors(self.P, self.Q, self.unit, self.triples)

    def loss(self, threat: str) -> SmoothDCG:
        """The smooth DCG of what is to sink under a threat: every user's list, its first items
        before its last, or his test items.
        """
        if threat == "lists":
            sunk = evaluation.top_k(self.form.user, self.form.item, self.data, self.k)
            weights = 1 / np.arange(1, self.k + 1)
        else:
            sunk = items_of_test(self.data)
            weights = np.ones(sunk.shape[1])
        return SmoothDCG(self.form, self.data, sunk, weights, self.k)


def items_of_test(data: Interactions) -> np.ndarray:
    """Each user's test items, int [U, n], -1 where there are fewer."""
    counts = np.bincount(data.test_users, minlength=data.n_users)
    found = np.full((data.n_users, counts.max(initial=1)), -1)
    turn = np.arange(len(data.test_users)) - np.searchsorted(data.test_users, data.test_users)
    found[data.test_users, turn] = data.test_items
    return found


def _noise(problem: Problem, rho: float, ball: str, draw: int = 0) -> Perturbation:
    seed = [problem.seed, draw] if draw else problem.seed
    rows = perturbations.noise(problem.form.user, problem.form.item, rho, seed)
    if ball == "linf":
        rows = Perturbation(*(np.float32(rho) * np.sign(x) for x in rows))
    return problem.form.scaled(rows)


def _bim(problem: Problem, rho: float, ball: str) -> Perturbation:
    return next(
        perturbations.ascended(problem.form, problem.chunks, rho, None, ball, None, (BIM_STEPS,))
    )


def _softmax(problem: Problem, rho: float, ball: str) -> Perturbation:
    form, loss = problem.form, Softmax(problem.data)
    delta = [np.zeros_like(form.user), np.zeros_like(form.item)]
    for _ in range(SOFTMAX_STEPS):
        delta = frank_wolfe(form, loss.gradient, form.sizes(rho), ball, SOFTMAX_MOMENTUM, delta)
    return Perturbation(*delta)


def _smooth_dcg(threat: str) -> Callable[[Problem, float, str], Perturbation]:
    def member(problem: Problem, rho: float, ball: str) -> Perturbation:
        scores = problem.data.n_users * problem.data.n_items
        count = int(np.clip(FREE_SCORES // scores, 1, RESTARTS))
        return restarted(problem, threat, rho, ball, SCHEDULES[threat], count)

    return member


def restarted(
    problem: Problem, threat: str, rho: float, ball: str, schedule: Schedule, count: int
) -> Perturbation:
    """Return the best of `count` annealed attacks.

    The first starts at zero. The others start at noise, with a random first temperature and random
    weights of users, so that the rows which all users share serve others.
    """
    loss, sizes = problem.loss(threat), problem.form.sizes(rho)
    zeros = Perturbation(*map(np.zeros_like, problem.form[:2]))
    least, best = anneal(problem.form, loss, sizes, ball, schedule, zeros)
    for draw in range(1, count):
        rng = np.random.default_rng([problem.seed, draw])
        loss.user_weights = rng.exponential(size=(problem.data.n_users, 1, 1)).astype(np.float32)
        warm = schedule._replace(first=schedule.first * 10 ** -rng.random())
        dcg, delta = anneal(problem.form, loss, sizes, ball, warm, _noise(problem, rho, ball, draw))
        if dcg < least:
            least, best = dcg, delta
    return best


NOISE = "noise"  # no attack: what none should fall behind
# What an attacker knows: the training pairs, as in the papers; the lists that are shown; the
# held-out item, whose rank is what is measured.
MEMBERS: dict[str, dict[str, Callable[[Problem, float, str], Perturbation]]] = {
    "train": {NOISE: _noise, "bim": _bim, "softmax": _softmax},
    "lists": {NOISE: _noise, "smooth DCG": _smooth_dcg("lists")},
    "test": {NOISE: _noise, "smooth DCG": _smooth_dcg("test")},
}
# Whose attacks each can make besides: embeddings and training pairs give the lists, and who attacks
# one user may attack all.
ALSO = {"train": ("lists",), "user": ("test",)}


def ensemble(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    threat: str,
    rho: float,
    ball: str = "l2",
    seed: int = 0,
    k: int = 10,
    unit: str = "relative",
) -> Iterator[tuple[str, Perturbation]]:
    """Every member of a threat's ensemble with its perturbation of P and Q, and noise of the same
    size, which none of them should fall behind.

    `train`: BIM, and a softmax over all items. `lists`: each user's list sinks below its strongest
    rivals. `test`: so do his test items. Raises ValueError for another threat.
    """
    if threat not in MEMBERS:
        raise ValueError(f"threat must be one of {', '.join(MEMBERS)}, not {threat!r}")
    problem = Problem(P, Q, data, seed, k, unit)
    return (
        (name, problem.form.to_original(member(problem, rho, ball)))
        for name, member in MEMBERS[threat].items()
    )
