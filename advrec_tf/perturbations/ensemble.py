"""An ensemble of attacks without parameters to tune; what any of them breaks is broken.

It is built in the manner of AutoAttack (Croce and Hein 2020).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, Triples, sample_triples
from advrec_tf.perturbations import Budget, NormalizedFactors, Perturbation
from advrec_tf.perturbations.canonical import parameter_tables
from advrec_tf.perturbations.losses import Schedule, SmoothDCG, Softmax, anneal, frank_wolfe

BIM_STEPS = 25  # with the papers' step size
SOFTMAX_STEPS, SOFTMAX_MOMENTUM = 10, 0.5
# By the threat model whose attack is annealed; chosen on ML-1M (BPR-MF and iALS-64).
SCHEDULES = {
    "lists": Schedule(12, 6.0, 1.0),
    "test": Schedule(24, 4.0, 0.2),
    "user": Schedule(24, 4.0, 0.2),
}
FREE_SCORES, RESTARTS = 1 << 17, 64  # scores of users x items whose restarts cost next to nothing


@dataclass(frozen=True, eq=False)
class Problem:
    """The factors that are attacked, and what all attacks of an ensemble share.

    served: makes factors of P and Q, which are then the parameter tables before it.
    """

    P: np.ndarray
    Q: np.ndarray
    data: Interactions
    seed: int = 0
    k: int = 10
    unit: str = "relative"
    served: Callable | None = None

    @cached_property
    def triples(self) -> Triples:
        """Return the seed's training triples: users, positives and negatives."""
        return sample_triples(self.data, self.seed)

    @cached_property
    def chunks(self) -> perturbations.TripleChunks:
        """Return the triples, laid out for compiled gradients."""
        return perturbations.chunk_triples(self.triples, self.data.n_users, self.data.n_items)

    @cached_property
    def factors(self) -> NormalizedFactors:
        """Return the factors, or the tables before them, as the attacks see them in this unit."""
        if self.served is not None:
            tables = parameter_tables(self.P, self.Q, self.unit)
            return tables._replace(served=perturbations.ServedMap(self.served))
        return perturbations.normalized_factors(self.P, self.Q, self.unit, self.triples)

    def loss(self, threat_model: str) -> SmoothDCG:
        """Return the demotion loss of a threat model.

        That of `lists` demotes every user's list, its first items with the largest weights. Others
        demote the test items.
        """
        clean = self.factors.moved(*self.factors.zeros)
        if threat_model == "lists":
            items = evaluation.top_k(*clean, self.data, self.k)
            weights = 1 / np.arange(1, self.k + 1)
        else:
            items = items_of_test(self.data)
            weights = np.ones(items.shape[1])
        return SmoothDCG(clean, self.data, items, weights, self.k)


def items_of_test(data: Interactions) -> np.ndarray:
    """Return each user's test items, int [U, n], -1 where there are fewer."""
    counts = np.bincount(data.test_users, minlength=data.n_users)
    items = np.full((data.n_users, counts.max(initial=1)), -1)
    column = np.arange(len(data.test_users)) - np.searchsorted(data.test_users, data.test_users)
    items[data.test_users, column] = data.test_items
    return items


Attack = Callable[[Problem, float, str], Perturbation]  # (problem, epsilon, ball), normalised


def _noise(problem: Problem, epsilon: float, ball: str, draw: int = 0) -> Perturbation:
    """Return random rows of length epsilon; in the linf ball, random signs times epsilon.

    draw: which of several draws of the problem's seed
    """
    seed = [problem.seed, draw] if draw else problem.seed
    rows = perturbations.noise(problem.factors.user, problem.factors.item, epsilon, seed)
    if ball == "linf":
        rows = Perturbation(*(np.float32(epsilon) * np.sign(x) for x in rows))
    return problem.factors.scaled(rows)


def _bim(problem: Problem, epsilon: float, ball: str) -> Perturbation:
    """Return BIM's perturbation after BIM_STEPS steps up the BPR loss of the training triples."""
    budget = Budget(epsilon, ball=ball)
    return next(
        perturbations.iterates(
            problem.factors, problem.chunks, budget, read_at=(BIM_STEPS,), served=problem.served
        )
    )


def _softmax(problem: Problem, epsilon: float, ball: str) -> Perturbation:
    """Return the perturbation of Frank-Wolfe steps up the softmax loss of the train items."""
    factors, loss = problem.factors, Softmax(problem.data)
    sizes, delta = factors.sizes(epsilon), list(factors.zeros)
    for _ in range(SOFTMAX_STEPS):
        delta = frank_wolfe(factors, loss.gradient, sizes, ball, SOFTMAX_MOMENTUM, delta)
    return Perturbation(*delta)


def _smooth_dcg(threat_model: str) -> Attack:
    """Return the attack that lowers a smooth nDCG of the threat model, with affordable restarts."""

    def attack(problem: Problem, epsilon: float, ball: str) -> Perturbation:
        """Lower the smooth DCG from several starts; small problems get more of them."""
        scores = problem.data.n_users * problem.data.n_items
        count = int(np.clip(FREE_SCORES // scores, 1, RESTARTS))
        return restarted(problem, threat_model, epsilon, ball, SCHEDULES[threat_model], count)

    return attack


def restarted(
    problem: Problem, threat_model: str, epsilon: float, ball: str, schedule: Schedule, count: int
) -> Perturbation:
    """Return the best of `count` annealed attacks.

    The first starts at zero. The others start at noise, with a random first temperature and random
    weights of users, so that the rows which all users share serve others.
    """
    factors, loss = problem.factors, problem.loss(threat_model)
    sizes = factors.sizes(epsilon)
    least, best = anneal(factors, loss, sizes, ball, schedule, factors.zeros)
    for draw in range(1, count):
        rng = np.random.default_rng([problem.seed, draw])
        loss.user_weights = rng.exponential(size=(problem.data.n_users, 1, 1)).astype(np.float32)
        warm = schedule._replace(first=schedule.first * 10 ** -rng.random())
        start = _noise(problem, epsilon, ball, draw)
        dcg, delta = anneal(factors, loss, sizes, ball, warm, start)
        if dcg < least:
            least, best = dcg, delta
    return best


NOISE = "noise"  # the baseline that every attack should beat
# The attacks of each threat model. What the attacker knows: the training pairs, as in the papers;
# the lists that are shown; the held-out items, whose rank is measured.
THREAT_MODELS: dict[str, dict[str, Attack]] = {
    "train": {NOISE: _noise, "bim": _bim, "softmax": _softmax},
    "lists": {NOISE: _noise, "smooth DCG": _smooth_dcg("lists")},
    "test": {NOISE: _noise, "smooth DCG": _smooth_dcg("test")},
}
# The threat models whose attacks are also possible in each: embeddings and training pairs give the
# lists, and an attacker of one user may attack all.
ALSO = {"train": ("lists",), "user": ("test",)}


def ensemble(
    problem: Problem, threat_model: str, epsilon: float, ball: str = "l2"
) -> Iterator[tuple[str, Perturbation]]:
    """Yield every attack of a threat model, by name, with its perturbation of P and Q.

    `train`: BIM, and a softmax over all items. `lists`: each user's list falls below its strongest
    rivals. `test`: so do the test items. Each has noise of the same epsilon, which the attacks
    should beat. Raises ValueError for another threat model.
    """
    if threat_model not in THREAT_MODELS:
        raise ValueError(
            f"threat model must be one of {', '.join(THREAT_MODELS)}, not {threat_model!r}"
        )
    return (
        (name, problem.factors.to_original(attack(problem, epsilon, ball)))
        for name, attack in THREAT_MODELS[threat_model].items()
    )
