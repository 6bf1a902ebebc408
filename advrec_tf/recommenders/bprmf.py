"""BPR-MF: matrix factorisation under the Bayesian personalised ranking loss."""

import keras
import tensorflow as tf

from advrec_tf.data import Interactions, Triples, shuffled_batches
from advrec_tf.perturbations import batch_gradient
from advrec_tf.recommenders.adagrad import RowAdagrad
from advrec_tf.recommenders.bprmf_config import BPRMFConfig
from advrec_tf.recommenders.factors import FactorModel, mini_batches


@keras.saving.register_keras_serializable(package="advrec_tf")
class BPRMF(FactorModel):
    """Minimises the sum over triples of -ln sigmoid(s_ui - s_uj), where s(u, i) = p_u . q_i.

    This is section 3.1 of the multi-step paper.  Embeddings start truncated normal with
    deviation 0.01.  There are no biases and no regularisation.  `fit(data)` takes Interactions;
    `train_on_batch((users, positives, negatives))` makes one mini-batch update.
    The reported loss is the mean over mini-batches of a mini-batch's summed loss.
    """

    config_class = BPRMFConfig
    initializer = keras.initializers.TruncatedNormal
    stddev = 0.01

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        # Scratch space: a mini-batch reads only those slots that it has just written.
        self._user_slots, self._item_slots = (
            tf.Variable(tf.zeros([n], tf.int32), trainable=False)
            for n in (self.n_users, self.n_items)
        )

    @staticmethod
    def steps(data: Interactions, batch_size: int) -> int:
        """Return the number of mini-batches of an epoch, which leave out what does not fill one."""
        return max(1, len(data.train_users) // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> Triples:
        """Return triples with new negatives, [steps, B] each."""
        return shuffled_batches(data, batch_size, self.seed, epoch)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Make mini-batch updates in order.

        data: three int arrays, [B] for one mini-batch or [steps, B] for several
        """
        triples = [tf.cast(ids, tf.int32) for ids in tf.nest.flatten(data) if ids is not None]
        # If Keras has traced this for several shapes at once, the rank is unknown.
        triples = [tf.reshape(ids, [-1, tf.shape(ids)[-1]]) for ids in triples]
        return mini_batches(triples, self._update)

    def _update(self, users: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
        """Update the rows of one mini-batch and return its loss.  ids: [B]

        Each id is replaced by a slot of the mini-batch.  Duplicates share a slot, where their
        gradients add up.
        """
        items = tf.concat([positives, negatives], axis=0)  # [2B]
        user_slots = _assigned(self._user_slots, users)
        item_slots = _assigned(self._item_slots, items)
        p = tf.gather(self.user_embedding.value, users)  # [B, D]
        q = tf.gather(self.item_embedding.value, items)  # [2B, D]
        loss, dp, dq = self.loss_gradient(p, q, user_slots, *tf.split(item_slots, 2))
        embeddings = (self.user_embedding, self.item_embedding)
        if isinstance(self.optimizer, RowAdagrad):
            self.optimizer.update_rows(embeddings[0], users, p, tf.gather(dp, user_slots))
            self.optimizer.update_rows(embeddings[1], items, q, tf.gather(dq, item_slots))
            self.optimizer.iterations.assign_add(1)
        else:
            # Slots without an id have no gradient, so duplicates add nothing here.
            dense = [
                tf.math.unsorted_segment_sum(gradient, ids, embedding.shape[0])
                for gradient, ids, embedding in zip((dp, dq), (users, items), embeddings)
            ]
            self.optimizer.apply(dense, embeddings)
        return loss

    def loss_gradient(self, p, q, users, positives, negatives):
        """Return the loss of a mini-batch and its gradient in the mini-batch's rows.

        p: [B, D], q: [2B, D]; users, positives, negatives: slots [B] -> loss, [B, D], [2B, D]
        """
        return batch_gradient(p, q, users, positives, negatives)


def _assigned(slots: tf.Variable, ids: tf.Tensor) -> tf.Tensor:
    """Return the slot [B] of each id.  Of several equal ids one writes the slot and all read it."""
    slots.scatter_update(tf.IndexedSlices(tf.range(tf.shape(ids)[0]), ids))
    return tf.gather(slots, ids)
