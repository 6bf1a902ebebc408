"""BPR-MF: matrix factorisation under the Bayesian personalised ranking loss."""

import keras
import tensorflow as tf

from advrec_tf.data import Interactions, Triples, shuffled_batches
from advrec_tf.perturbations import batch_gradient
from advrec_tf.recommenders.adagrad import RowAdagrad
from advrec_tf.recommenders.factors import FactorModel, mini_batches


@keras.saving.register_keras_serializable(package="advrec_tf")
class BPRMF(FactorModel):
    """Scores s(u, i) = p_u . q_i (section 3.1) trained to minimise the sum over triples of -ln sigmoid(s_ui - s_uj).

    Embeddings start truncated normal with deviation 0.01; there are no biases and no regularisation.
    `fit(data)` takes Interactions and runs every epoch in one compiled call; `train_on_batch((users, positives, negatives))` makes
    one mini-batch update.  The loss reported is the mean over mini-batches of a batch's summed loss.
    """

    default_batch_size = 512
    default_optimizer = RowAdagrad

    def __init__(
        self, n_users: int, n_items: int, embedding_dim: int = 64, seed: int = 0, **kwargs
    ):
        super().__init__(
            n_users,
            n_items,
            embedding_dim,
            seed,
            keras.initializers.TruncatedNormal,
            0.01,
            **kwargs,
        )
        # Scratch: the place in the mini-batch that stands for a user or item; only what was just written is read.
        self._user_slot = tf.Variable(tf.zeros([n_users], tf.int32), trainable=False)
        self._item_slot = tf.Variable(tf.zeros([n_items], tf.int32), trainable=False)

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        return max(1, len(data.train_users) // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> Triples:
        """Triples with fresh negatives, [steps, B]."""
        return shuffled_batches(data, batch_size, self.seed, epoch)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Mini-batch updates, one after the other.  data: three int arrays [B], or [steps, B] for many mini-batches in one call."""
        triples = [tf.cast(ids, tf.int32) for ids in tf.nest.flatten(data) if ids is not None]
        # Keras may have traced this for several shapes at once: the rank is not known then.
        triples = [tf.reshape(ids, [-1, tf.shape(ids)[-1]]) for ids in triples]
        return mini_batches(triples, self._update)

    def _update(self, users: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
        """One mini-batch: the rows of the batch are gathered, every id is renamed to the place in the batch that stands for it
        (duplicates share one, so their gradients add up there), and the rows are updated.  ids: [B] -> loss"""
        items = tf.concat([positives, negatives], axis=0)  # [2B]
        user_place, item_place = (
            self._places(self._user_slot, users),
            self._places(self._item_slot, items),
        )
        p, q = (
            tf.gather(self.user_embedding.value, users),
            tf.gather(self.item_embedding.value, items),
        )  # [B, D], [2B, D]
        loss, dp, dq = self.loss_gradient(p, q, user_place, *tf.split(item_place, 2))
        embeddings = (self.user_embedding, self.item_embedding)
        if isinstance(self.optimizer, RowAdagrad):
            self.optimizer.update_rows(embeddings[0], users, p, tf.gather(dp, user_place))
            self.optimizer.update_rows(embeddings[1], items, q, tf.gather(dq, item_place))
            self.optimizer.iterations.assign_add(1)
        else:
            # Rows that stand for nothing have no gradient, so duplicates add nothing here.
            dense = [
                tf.math.unsorted_segment_sum(g, ids, e.shape[0])
                for g, ids, e in zip((dp, dq), (users, items), embeddings)
            ]
            self.optimizer.apply(dense, embeddings)
        return loss

    @staticmethod
    def _places(slots: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
        # Sort-free: of several equal ids one wins the slot, and all of them read it.
        slots.scatter_update(tf.IndexedSlices(tf.range(tf.shape(ids)[0]), ids))
        return tf.gather(slots, ids)

    def loss_gradient(self, p, q, users, positives, negatives):
        """Loss of a mini-batch and its gradient in the batch's own rows.  p: [B, D], q: [2B, D], ids: [B] -> loss, [B, D], [2B, D]"""
        return batch_gradient(p, q, users, positives, negatives)
