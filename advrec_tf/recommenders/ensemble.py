"""An ensemble of recommenders that each learn from a few users, whose votes a few fake users can hardly change."""

import keras
import numpy as np
from scipy import sparse

from advrec_tf.evaluation import top_k
from advrec_tf.recommenders.factors import FactorModel


@keras.saving.register_keras_serializable(package="advrec_tf")
class Ensemble(FactorModel):
    """Votes of many base recommenders, each trained on `users` random users (as in PORE, 2303.14601).

    A base is weighted matrix factorisation by alternating least squares (`models.WRMF`, of length `dim`), learnt from its own users' clicks; the
    rows of all users are then solved for in closed form, and each user's `votes` best unknown items get a vote of him.  One epoch is
    `bases` of them.  P [users, items] are the votes and Q is the identity, so that lists are those of most votes.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        seed: int = 0,
        *,
        bases: int = 10,
        users: int = 50,
        votes: int = 10,
        dim: int = 16,
        weight: float = 20.0,
        regularization: float = 10.0,
        sweeps: int = 5,
        **kwargs,
    ):
        super().__init__(
            n_users, n_items, n_items, seed, keras.initializers.RandomNormal, 0.0, **kwargs
        )
        self.item_embedding.assign(np.eye(n_items, dtype=np.float32))
        self.bases, self.users, self.votes, self.dim = bases, users, votes, dim
        self.weight, self.regularization, self.sweeps = weight, regularization, sweeps

    @staticmethod
    def default_optimizer():
        return keras.optimizers.SGD()  # of no use

    def fit(
        self,
        x=None,
        batch_size: int | None = None,
        initial_epoch: int = 0,
        *,
        epochs: int = 1,
        callbacks=None,
        verbose=0,
        **kwargs,
    ):
        """More bases, trained on Interactions; what an epoch draws follows from the model's seed and the epoch's number."""
        matrix, everybody = x.matrix(), np.arange(x.n_users)[:, None]

        def vote(epoch: int) -> float:
            counts = self.user_embedding.numpy()
            for base in range(self.bases):
                lists = top_k(
                    *self._base(matrix, np.random.default_rng([self.seed, epoch, base])),
                    x,
                    min(self.votes, x.n_items),
                )
                counts[np.broadcast_to(everybody, lists.shape)[lists >= 0], lists[lists >= 0]] += 1
            self.user_embedding.assign(counts)
            return 0.0  # nothing is minimised over all bases

        return self.fit_by(vote, initial_epoch, epochs, callbacks, verbose)

    def _base(
        self, matrix: sparse.csr_matrix, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """P and Q of one base recommender.  matrix: ones, [users, items]"""
        own = matrix[rng.choice(matrix.shape[0], min(self.users, matrix.shape[0]), replace=False)]
        Q = rng.normal(0, 0.1, (matrix.shape[1], self.dim))
        for _ in range(self.sweeps):
            Q = self._solved(self._solved(Q, own), own.T.tocsr())
        return self._solved(Q, matrix), Q

    def _solved(self, Y: np.ndarray, X: sparse.csr_matrix) -> np.ndarray:
        """The rows that fit X best beside Y: (Y^T Y + sum over the clicks of (w - 1) y y^T + regularization I)^-1 sum of w y.  Y: [n, d] -> [m, d]"""
        d = Y.shape[1]
        outer = (Y[:, :, None] * Y[:, None, :]).reshape(len(Y), d * d)
        A = (
            Y.T @ Y
            + self.regularization * np.eye(d)
            + ((self.weight - 1) * (X @ outer)).reshape(-1, d, d)
        )
        return np.linalg.solve(A, self.weight * (X @ Y)[..., None])[..., 0]

    def get_config(self):
        names = ("bases", "users", "votes", "dim", "weight", "regularization", "sweeps")
        config = super().get_config() | {name: getattr(self, name) for name in names}
        del config["embedding_dim"]
        return config
