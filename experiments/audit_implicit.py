"""Audit factors of the library `implicit`: python -m experiments.audit_implicit [data set]"""

import sys

from advrec_tf.execution.startup import one_thread_for_numpy

one_thread_for_numpy()

import numpy as np  # noqa: E402
from implicit.bpr import BayesianPersonalizedRanking  # noqa: E402
from scipy.sparse import csr_matrix  # noqa: E402

from advrec_tf import audit, data  # noqa: E402


def main(name: str = "synthetic") -> None:
    """Train implicit's BPR on a data set, audit its factors and save the page."""
    interactions = data.load(name)
    ones = np.ones(len(interactions.train_users), np.float32)
    pairs = (interactions.train_users, interactions.train_items)
    model = BayesianPersonalizedRanking(factors=63, iterations=100, num_threads=1, random_state=0)
    model.fit(csr_matrix((ones, pairs), shape=(interactions.n_users, interactions.n_items)))
    # implicit keeps item biases as one more column, beside a column of ones.
    result = audit(model.user_factors, model.item_factors, interactions)
    print(result.half, result.save(f"results/audit/implicit-{name}"), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
