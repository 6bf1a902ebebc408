"""LightGCN: matrix factorisation whose factors are propagated over the graph of interactions."""

from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf
from scipy import sparse

from advrec_tf.data import Interactions, Triples, shuffled_batches
from advrec_tf.perturbations import outside_xla
from advrec_tf.recommenders.adversarial import AdversarialModel
from advrec_tf.recommenders.lightgcn_config import LightGCNConfig


class Propagation(NamedTuple):
    """The mean of the tables and of their `layers` propagations over the graph.

    E_0 stacks both tables, E_{l+1} = A E_l, and A is the symmetric matrix of the interactions with
    the elements 1 / sqrt(degree of the user x degree of the item).
    """

    indices: tf.Tensor  # int64 [E, 2], of the elements of A, in order
    elements: tf.Tensor  # float32 [E]
    layers: int

    def __call__(self, user: tf.Tensor, item: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return P and Q.  user: [U, D], item: [I, D] -> the same shapes"""
        n_users, nodes = user.shape[0], user.shape[0] + item.shape[0]
        A = tf.raw_ops.SparseTensorToCSRSparseMatrix(
            indices=self.indices, values=self.elements, dense_shape=[nodes, nodes]
        )

        @tf.custom_gradient
        def mean(tables):
            """Return the mean over the layers, whose map is symmetric: it is its own gradient."""
            return self._mean(A, tables), lambda slope: self._mean(A, slope)

        factors = mean(tf.concat([user, item], axis=0))
        return factors[:n_users], factors[n_users:]

    def _mean(self, A, tables: tf.Tensor) -> tf.Tensor:
        """Return the mean of the tables [U + I, D] and their propagations."""
        total = propagated = tables
        for _ in range(self.layers):
            propagated = tf.raw_ops.SparseMatrixMatMul(a=A, b=propagated)
            total += propagated
        return total / (self.layers + 1)


def propagation(data: Interactions, layers: int) -> Propagation:
    """Return the propagation over the train interactions of the data."""
    counts = np.diff(data.indptr), data.item_counts
    by_user, by_item = (sparse.diags(1 / np.sqrt(np.maximum(count, 1))) for count in counts)
    scaled = by_user @ data.matrix() @ by_item
    A = sparse.coo_matrix(sparse.block_array([[None, scaled], [scaled.T, None]], format="csr"))
    indices = tf.constant(np.stack(A.coords, axis=1), tf.int64)
    return Propagation(indices, tf.constant(A.data, tf.float32), layers)


@keras.saving.register_keras_serializable(package="advrec_tf")
class LightGCN(AdversarialModel):
    """Minimises the mean over triples of -ln sigmoid(s_ui - s_uj) + regularization / 2 |rows|^2.

    s(u, i) = p_u . q_i, where P and Q are `served` from the tables by `Propagation` (He et al.
    2020).  |rows|^2 sums the squares of the triple's rows of the tables before the propagation.
    The factors are propagated once for a mini-batch.
    """

    config_class = LightGCNConfig
    options = ("propagation_layers", "regularization", *AdversarialModel.options)

    def prepare(self, data: Interactions) -> None:
        """Make the graph of the train interactions."""
        self.propagation = propagation(data, self.propagation_layers)

    @outside_xla
    def served(self, user: tf.Tensor, item: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the propagated tables.  Raises AttributeError before `fit` or `prepare`."""
        return self.propagation(user, item)

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        """Return the number of mini-batches of an epoch, which leave out what does not fill one."""
        return max(1, len(data.train_users) // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> Triples:
        """Return triples with new negatives, [steps, B] each."""
        return shuffled_batches(data, batch_size, self.seed, epoch)

    def batch_loss(self, values, users, positives, negatives):
        """Return the mean loss of a mini-batch of triples.  ids: [B]"""
        P, Q = self.served(*values)
        apart = tf.gather(Q, positives) - tf.gather(Q, negatives)
        margins = tf.reduce_sum(tf.gather(P, users) * apart, axis=1)
        ids = zip((values[0], values[1], values[1]), (users, positives, negatives))
        squares = tf.add_n([tf.nn.l2_loss(tf.gather(table, rows)) for table, rows in ids])
        size = tf.cast(tf.shape(users)[0], tf.float32)
        return tf.reduce_mean(tf.nn.softplus(-margins)) + self.regularization * squares / size
