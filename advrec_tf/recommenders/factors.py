"""What all models here are: a row of factors for every user and every item, trained on Interactions."""

import itertools

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions


class FactorModel(keras.Model):
    """Scores s(u, i) = p_u . q_i; a model says what its mini-batches are (`batches`) and what one does (`_update`).

    `fit(data)` takes Interactions and runs every epoch in one compiled call.
    """

    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_dim: int,
        seed: int,
        initializer: type[keras.initializers.Initializer],
        stddev: float,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.n_users, self.n_items, self.embedding_dim, self.seed = (
            n_users,
            n_items,
            embedding_dim,
            seed,
        )

        def embedding(n_rows, name, seed):
            return self.add_weight(
                shape=(n_rows, embedding_dim),
                initializer=initializer(stddev=stddev, seed=seed),
                name=name,
            )

        self.user_embedding = embedding(n_users, "user_embedding", 2 * seed)
        self.item_embedding = embedding(n_items, "item_embedding", 2 * seed + 1)
        self.built = True

    @property
    def metrics(self):
        """None: `train_step` returns the loss itself, which Keras then logs as it is."""
        return []

    def served(self, user: tf.Tensor, item: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the factors P [U, D] and Q [I, D] that the parameter tables give: the tables.

        A model that ranks by other factors overrides this with a differentiable function. Attacks
        perturb the parameters and differentiate through it (`perturbations.trajectory`).
        """
        return user, item

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """P [U, D] and Q [I, D], `served` from the parameters: their inner products rank the items."""
        P, Q = self.served(self.user_embedding.value, self.item_embedding.value)
        return P.numpy().copy(), Q.numpy().copy()

    def call(self, inputs):
        """(users, items), int [B] each -> scores [B]."""
        users, items = inputs
        P, Q = self.served(self.user_embedding.value, self.item_embedding.value)
        return tf.reduce_sum(tf.gather(P, users) * tf.gather(Q, items), axis=-1)

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Mini-batch updates, one after the other.  data: the arrays of `batches`"""
        return mini_batches(
            [part for part in tf.nest.flatten(data) if part is not None], self._update
        )

    def compile(self, optimizer=None, jit_compile=True, **kwargs):
        """Prepares training, by default with the model's own optimiser; any other Keras optimiser gets the dense gradient."""
        super().compile(
            optimizer=self.default_optimizer() if optimizer is None else optimizer,
            jit_compile=jit_compile,
            **kwargs,
        )
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        """Restores the optimiser of a saved model (Keras skips this for models with a compile() of their own)."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, batch_size: int | None = None, initial_epoch: int = 0, **kwargs):
        """keras.Model.fit on Interactions, whose mini-batches are drawn anew every epoch; other inputs go to Keras as they are.

        The draws of an epoch follow from the model's seed and from how many epochs the optimiser has done.
        """
        batch_size = self.default_batch_size if batch_size is None else batch_size
        if not isinstance(x, Interactions):
            return super().fit(x, batch_size=batch_size, initial_epoch=initial_epoch, **kwargs)
        if (x.n_users, x.n_items) != (self.n_users, self.n_items):
            raise ValueError(
                f"the model is for {self.n_users} users x {self.n_items} items, the data have {x.n_users} x {x.n_items}"
            )
        return super().fit(
            self._epochs(x, batch_size),
            steps_per_epoch=1,
            initial_epoch=initial_epoch,
            shuffle=False,
            **kwargs,
        )

    def fit_by(self, epoch_of, initial_epoch: int, epochs: int, callbacks=None, verbose=0):
        """`fit` of a model without mini-batches: epoch_of(number) trains one epoch and returns its loss, and callbacks are told as by Keras."""
        listeners = keras.callbacks.CallbackList(
            callbacks, add_history=True, model=self, verbose=verbose, epochs=epochs, steps=1
        )
        listeners.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            listeners.on_epoch_begin(epoch)
            listeners.on_epoch_end(epoch, {"loss": epoch_of(epoch)})
        listeners.on_train_end()
        return self.history

    def _epochs(self, data: Interactions, batch_size: int) -> tf.data.Dataset:
        """Epoch after epoch, without end; the next is drawn while one trains.

        Given a Python generator, Keras would do the same with a prefetch that tunes itself, and after the last epoch now and then wait for the
        thread that tunes until that looks up, which takes as long again as the training did, up to a minute.
        """
        numbers = itertools.count(int(self.optimizer.iterations) // self.steps(data, batch_size))
        epochs = (self.batches(data, batch_size, epoch) for epoch in numbers)
        first = next(epochs)
        signature = tf.nest.map_structure(
            lambda part: tf.TensorSpec([None, *part.shape[1:]], part.dtype), first
        )
        options = tf.data.Options()
        options.autotune.enabled = False
        dataset = tf.data.Dataset.from_generator(
            lambda: itertools.chain([first], epochs), output_signature=signature
        )
        return dataset.prefetch(1).with_options(options)

    def get_config(self):
        sizes = {
            "n_users": self.n_users,
            "n_items": self.n_items,
            "embedding_dim": self.embedding_dim,
            "seed": self.seed,
        }
        return {**super().get_config(), **sizes}


def mini_batches(data, update):
    """Runs `update(*batch)` on one mini-batch after the other and averages what it returns.  data: arrays [steps, ...] of the same steps"""
    steps = tf.shape(data[0])[0]

    def body(step, total):
        return step + 1, total + update(*(part[step] for part in data))

    _, total = tf.while_loop(lambda step, _: step < steps, body, (0, 0.0))
    return {"loss": total / tf.cast(steps, tf.float32)}
