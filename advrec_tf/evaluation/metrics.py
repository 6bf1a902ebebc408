"""The registry of metrics of top-k lists, and the functions that evaluate them (section 4.3)."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from scipy import sparse

from advrec_tf.data import Interactions

VERSION = 1  # of lists and metrics, one more whenever their bytes change
PR, RE, NDCG, EFD, SE, ICOV = "PR", "RE", "nDCG", "EFD", "SE", "ICov"
HR = "HR"  # share of users with a hit; equals RE when every user has one test item
DETECTION = ("recall", "precision", "F1", "AUROC", "AUPRC")  # of a detector of fake users


@dataclass(frozen=True, eq=False)
class Recommendations:
    """The lists of all users, and what metrics read of them.  T users have test items."""

    lists: np.ndarray  # int [U, K], -1 for an empty slot
    data: Interactions
    counts: np.ndarray  # int [I], how often each item is listed
    targets: tuple[int, ...] = ()  # items that an attack promotes
    factors: Sequence[np.ndarray] = ()  # P, Q of the lists

    @classmethod
    def of(cls, lists: np.ndarray, data: Interactions, **attack: Any) -> "Recommendations":
        """Check lists and count their items.  Raises ValueError for lists of other data."""
        lists = np.asarray(lists)
        if lists.ndim != 2 or len(lists) != data.n_users:
            raise ValueError(
                f"lists must be [{data.n_users}, K], one row a user, not {lists.shape}"
            )
        if lists.size and (lists.min() < -1 or lists.max() >= data.n_items):
            raise ValueError(f"lists hold item ids outside 0 ... {data.n_items - 1}")
        return cls(lists, data, np.bincount(lists[lists >= 0], minlength=data.n_items), **attack)

    @cached_property
    def tested(self) -> np.ndarray:
        """The users who have test items: int [T], ascending."""
        return np.unique(self.data.test_users)

    @cached_property
    def test_sizes(self) -> np.ndarray:
        """Number of test items of each tested user: int [T]."""
        return np.bincount(self.data.test_users)[self.tested]

    @cached_property
    def is_hit(self) -> np.ndarray:
        """Whether each slot of the tested users' lists holds a test item: bool [T, K]."""
        listed = self.data.pairs(self.tested[:, None], self.lists[self.tested])
        wanted = self.data.pairs(self.data.test_users, self.data.test_items)
        return np.isin(listed, wanted) & (self.lists[self.tested] >= 0)

    @cached_property
    def hits(self) -> np.ndarray:
        """Number of test items in each tested user's list: int [T]."""
        return self.is_hit.sum(axis=1)

    @property
    def discount(self) -> np.ndarray:
        """1 / log2(rank + 1) of the ranks 1 ... K: float64 [K]."""
        return 1 / np.log2(np.arange(2, self.lists.shape[1] + 2))


@dataclass(frozen=True)
class Metric:
    """A metric: its function, and how its values are named, read and written.

    function: returns a value for each tested user [T], whose mean is the metric; with
    `per_user=False` it returns one number for all lists and may read `counts`, not `lists`.
    """

    name: str
    title: str
    function: Callable[[Recommendations], Any]
    better: Literal["higher", "lower"] = "higher"
    unit: str = ""
    decimals: int = 4
    per_user: bool = True


def ndcg(recommended: Recommendations) -> np.ndarray:
    """Return the discounts at the hits over the largest sum possible: float64 [T]."""
    ideal = np.cumsum(recommended.discount)
    slots = np.minimum(recommended.test_sizes, len(ideal))
    return recommended.is_hit @ recommended.discount / ideal[slots - 1]


def efd(recommended: Recommendations) -> np.ndarray:
    """Return the discounted novelty of the hits over the sum of all discounts: float64 [T].

    This is the expected free discovery with relevance of Vargas and Castells (2011).
    """
    values = novelty(recommended.data)[recommended.lists[recommended.tested]]
    gains = np.where(recommended.is_hit, values, 0)
    return gains @ recommended.discount / recommended.discount.sum()


def novelty(data: Interactions) -> np.ndarray:
    """Return -log2 of each item's share of the train interactions: float64 [I].

    An item that was never seen takes the largest novelty.
    """
    counts = data.item_counts
    return -np.log2(np.maximum(counts, counts[counts > 0].min()) / counts.sum())


def entropy(recommended: Recommendations) -> float:
    """Return -sum_i p_i log2 p_i in bits, p_i the share of item i among all filled slots."""
    counts = recommended.counts
    shares = counts[counts > 0] / counts.sum()
    return float(-np.sum(shares * np.log2(shares)))


METRICS = {
    metric.name: metric
    for metric in (
        Metric(PR, "hits over k", lambda r: r.hits / r.lists.shape[1]),
        Metric(RE, "hits over test items", lambda r: r.hits / r.test_sizes),
        Metric(NDCG, "hits discounted by rank, over the most possible", ndcg),
        Metric(EFD, "novelty of the hits, discounted by rank", efd, unit="bits"),
        Metric(SE, "entropy of all lists' items", entropy, unit="bits", per_user=False),
        Metric(
            ICOV,
            "distinct items in all lists",
            lambda r: int(np.count_nonzero(r.counts)),
            decimals=0,
            per_user=False,
        ),
    )
}
NAMES = tuple(METRICS)


def evaluate(
    recommended: Recommendations, registry: Mapping[str, Metric] = METRICS
) -> dict[str, float]:
    """Return the value of every metric of a registry: {name: value}."""
    values = {name: metric.function(recommended) for name, metric in registry.items()}
    return {
        name: float(value.mean()) if registry[name].per_user else value
        for name, value in values.items()
    }


def evaluate_users(
    recommended: Recommendations, registry: Mapping[str, Metric] = METRICS
) -> dict[str, np.ndarray]:
    """Return each tested user's value of every per-user metric: {name: float64 [T]}."""
    return {
        name: metric.function(recommended).astype(np.float64)
        for name, metric in registry.items()
        if metric.per_user
    }


def metrics(lists: np.ndarray, data: Interactions) -> dict[str, float]:
    """Return METRICS of lists, int [U, K] with -1 for an empty slot: {name: value}.

    Users without a test item count in SE and ICov alone.
    """
    return evaluate(Recommendations.of(lists, data))


def per_user_metrics(lists: np.ndarray, data: Interactions) -> dict[str, np.ndarray]:
    """Return the per-user METRICS of lists, int [U, K]: {name: float64 [T]}.

    The T users who have test items are in the order of their ids.
    """
    return evaluate_users(Recommendations.of(lists, data))


def resampled_metrics(
    lists: np.ndarray, data: Interactions, resamples: int = 200, seed: int = 0, block: int = 50
) -> np.ndarray:
    """Return METRICS of users drawn with replacement: float64 [resamples, metrics], as NAMES.

    All lists of the same users have the same draws, so differences between lists are paired.
    A draw has fewer distinct users than there are, so its ICov is below that of all users.

    lists: int [U, K]; block: resamples that are held in memory together
    """
    recommended, rng = Recommendations.of(lists, data), np.random.default_rng(seed)
    users, slots = np.nonzero(recommended.lists >= 0)
    items = recommended.lists[users, slots]
    listed = sparse.csr_matrix((np.ones(len(users)), (users, items)), (data.n_users, data.n_items))
    per_user = evaluate_users(recommended)
    over_lists = [metric for metric in METRICS.values() if not metric.per_user]
    values = np.column_stack(list(per_user.values()))  # [T, per-user metrics]
    blocks = []
    for start in range(0, resamples, block):
        draws = _draws(rng, data.n_users, min(block, resamples - start))
        tested = draws[:, recommended.tested]
        means = tested @ values / np.maximum(tested.sum(axis=1), 1)[:, None]
        columns = dict(zip(per_user, means.T))
        drawn = [replace(recommended, counts=counts) for counts in (listed.T @ draws.T).T]
        for metric in over_lists:
            columns[metric.name] = np.array([metric.function(each) for each in drawn])
        blocks.append(np.column_stack([columns[name] for name in METRICS]))
    return np.concatenate(blocks)


def _draws(rng: np.random.Generator, n_users: int, count: int) -> np.ndarray:
    """Return how often each user is in each bootstrap draw: float64 [count, U]."""
    draws = (rng.integers(0, n_users, n_users) for _ in range(count))
    return np.stack([np.bincount(users, minlength=n_users) for users in draws]).astype(np.float64)


def rank_metrics(ranks: np.ndarray, k: int = 10) -> dict[str, float]:
    """Return HR@k and nDCG@k from the ranks, int [M] from 1, of one test item a user."""
    hit = ranks <= k
    return {
        f"{HR}@{k}": float(hit.mean()),
        f"{NDCG}@{k}": float(np.where(hit, 1 / np.log2(ranks + 1), 0).mean()),
    }
