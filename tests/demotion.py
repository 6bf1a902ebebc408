"""A small problem for the attacks of the ensemble, and the smooth DCG written out as loops in
double precision.
"""

import numpy as np
from scipy.special import expit

from advrec_tf import data, perturbations
from advrec_tf.perturbations import ensemble, losses

SHOP = data.synthetic(n_users=40, n_items=60, per_user=8, rank=4)
RNG = np.random.default_rng(0)
P, Q = (RNG.standard_normal((n, 5)).astype(np.float32) for n in (SHOP.n_users, SHOP.n_items))
TEST = ensemble.items_of_test(SHOP)
K = 3
FACTORS = perturbations.normalized_factors(P, Q, "relative")


def known(user):
    return SHOP.train_items[SHOP.indptr[user] : SHOP.indptr[user + 1]]


def strongest(p, q, items, count=losses.RIVALS):
    """Return the rivals of every user at p, q, best first."""
    rivals = []
    for user in range(len(p)):
        scores = np.float64(q) @ np.float64(p[user])
        excluded = {*known(user), *items[user]}
        free = [item for item in range(SHOP.n_items) if item not in excluded]
        rivals.append(sorted(free, key=lambda item, scores=scores: -scores[item])[:count])
    return rivals


def margins_of(p, q, items, rivals):
    """Return the margins of every user, [n, R] each."""
    margins = []
    for user, scores in enumerate(np.float64(p) @ np.float64(q).T):
        demoted = items[user][items[user] >= 0]
        margins.append(scores[demoted][:, None] - scores[rivals[user]][None, :])
    return margins


def spread_of(factors, items):
    p, q = factors.user, factors.item
    margins = margins_of(p, q, items, strongest(p, q, items))
    return np.concatenate([block.ravel() for block in margins]).std()


def slopes_of(p, q, items, weights, temperature, rivals):
    """Return the derivative of the loss in every score, [U, I], with weights that fade."""
    slopes = np.zeros((SHOP.n_users, SHOP.n_items))
    for user, margins in enumerate(margins_of(p, q, items, rivals)):
        for n, item in enumerate(items[user][items[user] >= 0]):
            sigmoid = expit(margins[n] / temperature)
            rank = 1 + np.sum(1 - sigmoid)
            fading = np.exp(-max(rank - K - losses.CUTOFF, 0) / losses.FADE)
            gain = weights[n] * fading / (np.log2(rank + 1) ** 2 * (rank + 1))
            slopes[user, rivals[user]] += gain * sigmoid * (1 - sigmoid)
            slopes[user, item] -= np.sum(gain * sigmoid * (1 - sigmoid))
    return slopes
