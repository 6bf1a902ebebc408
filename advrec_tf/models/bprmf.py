"""BPR-MF: matrix factorisation under the Bayesian personalised ranking loss."""

from collections.abc import Iterator

import keras
import tensorflow as tf

from advrec_tf.data import Interactions, Triples, shuffled_batches
from advrec_tf.models.adagrad import RowAdagrad
from advrec_tf.perturbations import batch_gradient


@keras.saving.register_keras_serializable(package="advrec_tf")
class BPRMF(keras.Model):
    """Scores s(u, i) = p_u . q_i (section 3.1) trained to minimise the sum over triples of -ln sigmoid(s_ui - s_uj).

    Embeddings start truncated normal with deviation 0.01; there are no biases and no regularisation.
    `fit(data)` takes Interactions and runs every epoch in one compiled call; `train_on_batch((users, positives, negatives))` makes
    one mini-batch update.  The loss reported is the mean over mini-batches of a batch's summed loss.
    """

    def __init__(self, n_users: int, n_items: int, embedding_dim: int = 64, seed: int = 0, **kwargs):
        super().__init__(**kwargs)
        self.n_users, self.n_items, self.embedding_dim, self.seed = n_users, n_items, embedding_dim, seed

        def embedding(n_rows, name, seed):
            initializer = keras.initializers.TruncatedNormal(stddev=0.01, seed=seed)
            return self.add_weight(shape=(n_rows, embedding_dim), initializer=initializer, name=name)

        self.user_embedding = embedding(n_users, "user_embedding", 2 * seed)
        self.item_embedding = embedding(n_items, "item_embedding", 2 * seed + 1)
        # Scratch: the place in the mini-batch that stands for a user or item; only what was just written is read.
        self._user_slot = tf.Variable(tf.zeros([n_users], tf.int32), trainable=False)
        self._item_slot = tf.Variable(tf.zeros([n_items], tf.int32), trainable=False)
        self.built = True

    @property
    def metrics(self):
        """None: `train_step` returns the loss itself, which Keras then logs as it is."""
        return []

    def call(self, inputs):
        """(users, items), int [B] each -> scores [B]."""
        users, items = inputs
        return tf.reduce_sum(tf.gather(self.user_embedding.value, users) * tf.gather(self.item_embedding.value, items), axis=-1)

    def compile(self, optimizer=None, jit_compile=True, **kwargs):
        """Prepares training, by default with RowAdagrad(0.05); any other Keras optimiser gets the dense gradient."""
        super().compile(optimizer=RowAdagrad() if optimizer is None else optimizer, jit_compile=jit_compile, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        """Restores the optimiser of a saved model (Keras skips this for models with a compile() of their own)."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, batch_size: int = 512, initial_epoch: int = 0, **kwargs):
        """keras.Model.fit on Interactions, negatives redrawn every epoch; other inputs go to Keras as they are.

        The draws of an epoch follow from the model's seed and from how many epochs the optimiser has done.
        """
        if not isinstance(x, Interactions):
            return super().fit(x, batch_size=batch_size, initial_epoch=initial_epoch, **kwargs)
        if (x.n_users, x.n_items) != (self.n_users, self.n_items):
            raise ValueError(f"the model is for {self.n_users} users x {self.n_items} items, the data have {x.n_users} x {x.n_items}")
        return super().fit(self._epochs(x, batch_size), steps_per_epoch=1, initial_epoch=initial_epoch, shuffle=False, **kwargs)

    def _epochs(self, data: Interactions, batch_size: int) -> Iterator[Triples]:
        epoch = int(self.optimizer.iterations) // max(1, len(data.train_users) // batch_size)
        while True:
            yield shuffled_batches(data, batch_size, self.seed, epoch)
            epoch += 1

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Mini-batch updates, one after the other.  data: three int arrays [B], or [steps, B] for many mini-batches in one call."""
        triples = [tf.cast(ids, tf.int32) for ids in tf.nest.flatten(data) if ids is not None]
        # Keras may have traced this for several shapes at once: the rank is not known then.
        triples = [tf.reshape(ids, [-1, tf.shape(ids)[-1]]) for ids in triples]
        steps = tf.shape(triples[0])[0]

        def body(step, total):
            return step + 1, total + self._update(*(ids[step] for ids in triples))

        _, total = tf.while_loop(lambda step, _: step < steps, body, (0, 0.0))
        return {"loss": total / tf.cast(steps, tf.float32)}

    def _update(self, users: tf.Tensor, positives: tf.Tensor, negatives: tf.Tensor) -> tf.Tensor:
        """One mini-batch: the rows of the batch are gathered, every id is renamed to the place in the batch that stands for it
        (duplicates share one, so their gradients add up there), and the rows are updated.  ids: [B] -> loss"""
        items = tf.concat([positives, negatives], axis=0)  # [2B]
        user_place, item_place = self._places(self._user_slot, users), self._places(self._item_slot, items)
        p, q = tf.gather(self.user_embedding.value, users), tf.gather(self.item_embedding.value, items)  # [B, D], [2B, D]
        loss, dp, dq = self.loss_gradient(p, q, user_place, *tf.split(item_place, 2))
        embeddings = (self.user_embedding, self.item_embedding)
        if isinstance(self.optimizer, RowAdagrad):
            self.optimizer.update_rows(embeddings[0], users, p, tf.gather(dp, user_place))
            self.optimizer.update_rows(embeddings[1], items, q, tf.gather(dq, item_place))
            self.optimizer.iterations.assign_add(1)
        else:
            # Rows that stand for nothing have no gradient, so duplicates add nothing here.
            dense = [tf.math.unsorted_segment_sum(g, ids, e.shape[0]) for g, ids, e in zip((dp, dq), (users, items), embeddings)]
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

    def get_config(self):
        sizes = {"n_users": self.n_users, "n_items": self.n_items, "embedding_dim": self.embedding_dim, "seed": self.seed}
        return {**super().get_config(), **sizes}
