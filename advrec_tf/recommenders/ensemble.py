"""An ensemble of recommenders that each learn from a few users, so that few fakes change little."""

import keras
import numpy as np
from scipy import sparse

from advrec_tf.evaluation import top_k
from advrec_tf.recommenders.ensemble_config import EnsembleConfig
from advrec_tf.recommenders.factors import FactorModel


@keras.saving.register_keras_serializable(package="advrec_tf")
class Ensemble(FactorModel):
    """Counts the votes of many base recommenders, as in PORE (2303.14601).

    A base is weighted matrix factorisation by ALS with factors of length `embedding_dim`.  It
    learns from the clicks of `users` random users.  The rows of all users are then solved in
    closed form, and the base votes for each user's best `votes` unknown items.  An epoch trains
    EnsembleConfig.BASES of them.  P [U, I] are the votes and Q is the identity, so that a list
    holds the items with most votes.
    """

    config_class = EnsembleConfig
    options = ("users", "votes", "weight", "regularization", "sweeps")
    stddev = 0.0

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.item_embedding.assign(np.eye(self.n_items, dtype=np.float32))

    @property
    def n_columns(self) -> int:
        """The length of a row of votes: one for each item."""
        return self.n_items

    def fit(self, x, batch_size=None, initial_epoch=0, epochs=1, callbacks=None, verbose=0, **_):
        """Train BASES models an epoch on sub-samples of the users of Interactions; count votes.

        A vote is an item in a user's list. The counts [users, items] are the user embedding. The
        draws of an epoch follow from the model's seed and the epoch's number.
        """
        matrix, users = x.matrix(), np.arange(x.n_users)[:, None]

        def vote(epoch: int) -> float:
            """Add the votes of one epoch's models to the counts."""
            counts = self.user_embedding.numpy()
            for base in range(EnsembleConfig.BASES):
                P, Q = self._base(matrix, np.random.default_rng([self.seed, epoch, base]))
                lists = top_k(P, Q, x, min(self.votes, x.n_items))
                listed = lists >= 0
                counts[np.broadcast_to(users, lists.shape)[listed], lists[listed]] += 1
            self.user_embedding.assign(counts)
            return 0.0  # no loss is minimised over all bases

        return self.fit_by(vote, initial_epoch, epochs, callbacks, verbose)

    def _base(
        self, matrix: sparse.csr_matrix, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return P and Q of one base.  matrix: ones at the clicks, [U, I]"""
        n_users = matrix.shape[0]
        sample = matrix[rng.choice(n_users, min(self.users, n_users), replace=False)]
        Q = rng.normal(0, 0.1, (matrix.shape[1], self.embedding_dim))
        for _ in range(self.sweeps):
            Q = self.solved(self.solved(Q, sample), sample.T.tocsr())
        return self.solved(Q, matrix), Q

    def solved(self, Y: np.ndarray, X: sparse.csr_matrix) -> np.ndarray:
        """Return the rows that fit X best with Y.

        They are (Y^T Y + sum over the clicks of (w - 1) y y^T + regularization I)^-1 sum of w y.
        Y: [N, D], X: [M, N] -> [M, D]
        """
        dim = Y.shape[1]
        outer = (Y[:, :, None] * Y[:, None, :]).reshape(len(Y), dim * dim)
        clicks = ((self.weight - 1) * (X @ outer)).reshape(-1, dim, dim)
        A = Y.T @ Y + self.regularization * np.eye(dim) + clicks
        return np.linalg.solve(A, self.weight * (X @ Y)[..., None])[..., 0]
