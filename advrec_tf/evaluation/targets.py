"""How well a recommender serves its users, and how often it shows them the targets of an attack."""

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.evaluation.metrics import metrics, per_user_metrics
from advrec_tf.evaluation.ranking import of_blocks, top_k

TARGET_NAMES = (
    "Recall",
    "Precision",
    "HR",
    "nDCG",
    "EFD",
    "SE",
    "ICov",
    "target_Recall",
    "target_HR",
    "target_rank",
    "target_score",
)


def poisoning_metrics(
    P: np.ndarray,
    Q: np.ndarray,
    data: Interactions,
    targets: tuple[int, ...],
    k: int,
    lists: np.ndarray | None = None,
) -> dict[str, float]:
    """Metrics over the real users who have test items; `data` are the clean ones, and the rows of P beyond their users (the fakes) are not asked.

    lists: those of `top_k`, where they are there already.
    Recall = hits / test items, Precision = hits / k, HR = share of users with a hit, nDCG, EFD, SE and ICov as in `metrics`;
    target_HR = share of users with a target among their k, target_Recall = mean share of the targets there, target_rank = mean rank
    of the targets among the items a user does not know (users who know a target count neither for nor against it: it is not shown),
    target_score = mean p_u . q_target over all real users.
    """
    P = P[: data.n_users]
    lists = top_k(P, Q, data, k) if lists is None else lists
    all_lists, shown = metrics(lists, data), target_hits(lists, data, targets)
    return {
        "Recall": all_lists["RE"],
        "Precision": all_lists["PR"],
        "HR": float((per_user_metrics(lists, data)["PR"] > 0).mean()),
        **{name: all_lists[name] for name in ("nDCG", "EFD", "SE", "ICov")},
        "target_Recall": float(shown.mean()),
        "target_HR": float(shown.any(axis=1).mean()),
        "target_rank": float(np.nanmean(target_ranks(P, Q, data, targets))),
        "target_score": float(np.mean(P @ Q[list(targets)].T, dtype=np.float64)),
    }


def per_user_poisoning_metrics(
    lists: np.ndarray, data: Interactions, targets: tuple[int, ...]
) -> dict[str, np.ndarray]:
    """Recall, Precision, HR, nDCG, EFD and target_HR of every tested user, float64 [tested users] each, for intervals and paired tests."""
    own = per_user_metrics(lists, data)
    return {
        "Recall": own["RE"],
        "Precision": own["PR"],
        "HR": (own["PR"] > 0).astype(float),
        "nDCG": own["nDCG"],
        "EFD": own["EFD"],
        "target_HR": target_hits(lists, data, targets).any(axis=1).astype(float),
    }


def target_hits(lists: np.ndarray, data: Interactions, targets: tuple[int, ...]) -> np.ndarray:
    """Whether each target is in each tested user's list.  lists: int [U, K] -> bool [tested users, targets]"""
    tested = np.unique(data.test_users)
    return np.stack([(lists[tested] == target).any(axis=1) for target in targets], axis=1)


def target_margins(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: tuple[int, ...], lists: np.ndarray
) -> np.ndarray:
    """How far the best target that a tested user does not know is above the last item of his list, -inf where he knows all or has no full list.

    lists: int [U, K], those of P and Q -> float64 [tested users]
    """
    tested = np.unique(data.test_users)
    scores = P[tested].astype(np.float64) @ Q[list(targets)].T.astype(
        np.float64
    )  # [tested users, targets]
    scores[
        np.isin(
            data.pairs(tested[:, None], np.array(targets)[None]),
            data.pairs(data.train_users, data.train_items),
        )
    ] = -np.inf
    last = lists[tested, -1]
    return np.where(
        last >= 0,
        scores.max(axis=1) - np.einsum("nd,nd->n", P[tested], Q[last], dtype=np.float64),
        -np.inf,
    )


def target_ranks(
    P: np.ndarray, Q: np.ndarray, data: Interactions, targets: tuple[int, ...]
) -> np.ndarray:
    """Rank of each target among the items a tested user does not know, NaN where he knows it.  -> float64 [tested users, targets]"""

    def ranks_of(start: int, scores: np.ndarray) -> np.ndarray:
        own = scores[:, list(targets)]
        ranks = np.stack(
            [np.count_nonzero(scores >= column[:, None], axis=1) for column in own.T], axis=1
        )
        return np.where(np.isneginf(own), np.nan, ranks)

    return np.concatenate(list(of_blocks(ranks_of, P, Q, data)))[np.unique(data.test_users)]
