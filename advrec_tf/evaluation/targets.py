"""Metrics of poisoned data: how users are served, and how often they see the targets."""

from dataclasses import replace

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.evaluation.metrics import (
    HR,
    METRICS,
    PR,
    RE,
    Metric,
    Recommendations,
    evaluate,
    evaluate_users,
)
from advrec_tf.evaluation.ranking import of_blocks, top_k


def target_hits(lists: np.ndarray, data: Interactions, targets: tuple[int, ...]) -> np.ndarray:
    """Return whether each target is in each tested user's list: bool [T, targets].

    lists: int [U, K]
    """
    tested = np.unique(data.test_users)
    return np.stack([(lists[tested] == target).any(axis=1) for target in targets], axis=1)


def target_margins(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: tuple[int, ...], lists: np.ndarray
) -> np.ndarray:
    """Return how far the best unknown target scores above the last item of each tested list.

    A user who knows all targets or has no full list gets -inf.

    lists: int [U, K], those of P and Q -> float64 [T]
    """
    tested = np.unique(data.test_users)
    scores = P[tested].astype(np.float64) @ Q[list(targets)].T.astype(np.float64)  # [T, targets]
    shown = data.pairs(tested[:, None], np.array(targets)[None])
    scores[np.isin(shown, data.pairs(data.train_users, data.train_items))] = -np.inf
    last = lists[tested, -1]
    last_scores = np.einsum("nd,nd->n", P[tested], Q[last], dtype=np.float64)
    return np.where(last >= 0, scores.max(axis=1) - last_scores, -np.inf)


def target_ranks(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: tuple[int, ...]
) -> np.ndarray:
    """Return the rank of each target among the items that a tested user does not know.

    The result is float64 [T, targets]. The rank of a target that the user knows is NaN.
    """

    def ranks_of(start: int, scores: np.ndarray) -> np.ndarray:
        """Return the ranks of the targets for a block of users: float [rows, targets]."""
        target_scores = scores[:, list(targets)]
        ranks = [np.count_nonzero(scores >= column[:, None], axis=1) for column in target_scores.T]
        return np.where(np.isneginf(target_scores), np.nan, np.stack(ranks, axis=1))

    return np.concatenate(list(of_blocks(ranks_of, P, Q, data)))[np.unique(data.test_users)]


def _hits(recommended: Recommendations) -> np.ndarray:
    """Return `target_hits` of the lists."""
    return target_hits(recommended.lists, recommended.data, recommended.targets)


def mean_target_rank(recommended: Recommendations) -> float:
    """Return the mean of `target_ranks`; a user who knows a target does not count for it."""
    P, Q = recommended.factors
    return float(np.nanmean(target_ranks(P, Q, recommended.data, recommended.targets)))


def mean_target_score(recommended: Recommendations) -> float:
    """Return the mean of p_u . q_target over all real users and targets."""
    P, Q = recommended.factors
    return float(np.mean(P @ Q[list(recommended.targets)].T, dtype=np.float64))


# METRICS under the names of the low-rank paper, and how well an attack's targets do.
TARGET_METRICS = {
    metric.name: metric
    for metric in (
        replace(METRICS[RE], name="Recall"),
        replace(METRICS[PR], name="Precision"),
        Metric(HR, "share of users with a hit", lambda r: r.hits > 0),
        *(metric for name, metric in METRICS.items() if name not in (RE, PR)),
        Metric(
            "target_Recall",
            "mean share of the targets that a user is shown",
            lambda r: float(_hits(r).mean()),
            better="lower",
            per_user=False,
        ),
        Metric(
            "target_HR",
            "share of users who are shown a target",
            lambda r: _hits(r).any(axis=1),
            better="lower",
        ),
        Metric(
            "target_rank",
            "mean rank of a target among the items a user does not know",
            mean_target_rank,
            per_user=False,
        ),
        Metric(
            "target_score",
            "mean score of a target",
            mean_target_score,
            better="lower",
            per_user=False,
        ),
    )
}
TARGET_NAMES = tuple(TARGET_METRICS)


def poisoning_metrics(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    targets: tuple[int, ...],
    k: int,
    lists: np.ndarray | None = None,
) -> dict[str, float]:
    """Return TARGET_METRICS over the real users who have test items: {name: value}.

    P: [U + fakes, D]; data: the clean data of the U real users; lists: those of `top_k`, if known
    """
    P = P[: data.n_users]
    lists = top_k(P, Q, data, k) if lists is None else lists
    recommended = Recommendations.of(lists, data, targets=targets, factors=(P, Q))
    return evaluate(recommended, TARGET_METRICS)


def per_user_poisoning_metrics(
    lists: np.ndarray, data: Interactions, targets: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Return the per-user TARGET_METRICS: {name: float64 [T]}, for intervals and paired tests."""
    return evaluate_users(Recommendations.of(lists, data, targets=targets), TARGET_METRICS)
