"""The base of all models: a row of factors for every user and every item."""

import itertools
from typing import ClassVar

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions
from advrec_tf.perturbations import in_xla
from advrec_tf.recommenders.config import RecommenderConfig


class FactorModel(keras.Model):
    """Scores s(u, i) = p_u . q_i, trained on Interactions.

    A subclass defines the mini-batches of an epoch (`steps`, `batches`) and the update that one
    of them makes (`_update`).  `options` names the fields of `config_class` that are arguments
    and attributes of the model; their defaults and ranges are the configuration's.
    Raises UserError, a ValueError, for an option outside its range.
    """

    config_class: ClassVar[type[RecommenderConfig]] = RecommenderConfig
    options: ClassVar[tuple[str, ...]] = ()
    initializer: ClassVar[type[keras.initializers.Initializer]] = keras.initializers.RandomNormal
    stddev: ClassVar[float] = 0.1  # of the initial factors

    def __init__(
        self,
        n_users: int,
        n_items: int,
        embedding_dim: int | None = None,
        seed: int = 0,
        **kwargs,
    ):
        options = {name: kwargs.pop(name) for name in self.options if name in kwargs}
        config = self.config_class(**options)
        super().__init__(**kwargs)
        self.n_users, self.n_items, self.seed = n_users, n_items, seed
        self.embedding_dim = config.embedding_dim if embedding_dim is None else embedding_dim
        for name in self.options:
            setattr(self, name, getattr(config, name))
        self._add_tables()
        self.built = True

    def _add_tables(self) -> None:
        """Add the parameter tables."""
        self.user_embedding = self._embedding(self.n_users, "user_embedding", 2 * self.seed)
        self.item_embedding = self._embedding(self.n_items, "item_embedding", 2 * self.seed + 1)

    def prepare(self, data: Interactions) -> None:
        """Take from the data what `served` needs of them; matrix factorisation needs nothing.

        `fit` does so. A model whose weights are restored is prepared by its configuration's
        `model`.
        """

    @property
    def tables(self) -> tuple[keras.Variable, keras.Variable]:
        """Return the two parameter tables that `served` makes factors of."""
        return self.user_embedding, self.item_embedding

    def _embedding(self, n_rows: int, name: str, seed: int) -> keras.Variable:
        """Add an embedding table [n_rows, columns] of normal random numbers."""
        return self.add_weight(
            shape=(n_rows, self.n_columns),
            initializer=self.initializer(stddev=self.stddev, seed=seed),
            name=name,
        )

    @property
    def n_columns(self) -> int:
        """Columns of the factors."""
        return self.embedding_dim

    @property
    def metrics(self):
        """No Keras metrics: `train_step` returns the loss itself, which Keras logs."""
        return []

    def served(self, user: tf.Tensor, item: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the factors P [U, D] and Q [I, D] that the parameter tables give: the tables.

        A model that ranks by other factors overrides this with a differentiable function. Attacks
        perturb the parameters and differentiate through it (`perturbations.trajectory`).
        """
        return user, item

    @property
    def factors(self) -> tuple[np.ndarray, np.ndarray]:
        """Return P [U, D] and Q [I, D], `served` from the parameters.

        Their inner products rank the items.
        """
        P, Q = self.served(*(table.value for table in self.tables))
        return P.numpy().copy(), Q.numpy().copy()

    def call(self, inputs):
        """Return scores [B].  inputs: users and items, int [B] each"""
        users, items = inputs
        P, Q = self.served(*(table.value for table in self.tables))
        return tf.reduce_sum(tf.gather(P, users) * tf.gather(Q, items), axis=-1)

    def steps(self, data: Interactions, batch_size: int) -> int:
        """Return the number of mini-batches in an epoch."""
        raise NotImplementedError

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> tuple[np.ndarray, ...]:
        """Return the arrays of an epoch's mini-batches, [steps, ...] each."""
        raise NotImplementedError

    def _update(self, *batch) -> tf.Tensor:
        """Make one mini-batch's update and return its loss."""
        raise NotImplementedError

    def train_step(self, data) -> dict[str, tf.Tensor]:
        """Make the updates of all mini-batches in order.  data: the arrays of `batches`"""
        return mini_batches(
            [part for part in tf.nest.flatten(data) if part is not None], self._update
        )

    def compile(self, optimizer=None, jit_compile=None, **kwargs):
        """Prepare training, by default with the configuration's optimiser.

        Any other Keras optimiser gets the dense gradient.
        """
        optimizer = self.config_class().optimizer() if optimizer is None else optimizer
        jit_compile = in_xla(self.served) if jit_compile is None else jit_compile
        super().compile(optimizer=optimizer, jit_compile=jit_compile, **kwargs)
        self.optimizer.build(self.trainable_variables)

    def compile_from_config(self, config):
        """Restore the optimiser of a saved model.

        Keras skips this for models with a compile() of their own.
        """
        self.compile(**keras.saving.deserialize_keras_object(config))

    def fit(self, x=None, batch_size: int | None = None, initial_epoch: int = 0, **kwargs):
        """Train as keras.Model.fit does, on Interactions; other inputs go to Keras as they are.

        Every epoch draws new mini-batches and runs in one compiled call.  Its draws follow from
        the model's seed and from the number of epochs that the optimiser has done.
        """
        batch_size = self.config_class.batch_size if batch_size is None else batch_size
        if not isinstance(x, Interactions):
            return super().fit(x, batch_size=batch_size, initial_epoch=initial_epoch, **kwargs)
        if (x.n_users, x.n_items) != (self.n_users, self.n_items):
            raise ValueError(
                f"the model is for {self.n_users} users x {self.n_items} items, "
                f"the data have {x.n_users} x {x.n_items}"
            )
        self.prepare(x)
        return super().fit(
            self._epochs(x, batch_size),
            steps_per_epoch=1,
            initial_epoch=initial_epoch,
            shuffle=False,
            **kwargs,
        )

    def fit_by(self, train_epoch, initial_epoch: int, epochs: int, callbacks=None, verbose=0):
        """Do the work of `fit` for a model without mini-batches.

        train_epoch(number) trains one epoch and returns its loss; callbacks run as in Keras.
        """
        listeners = keras.callbacks.CallbackList(
            callbacks, add_history=True, model=self, verbose=verbose, epochs=epochs, steps=1
        )
        listeners.on_train_begin()
        for epoch in range(initial_epoch, epochs):
            listeners.on_epoch_begin(epoch)
            listeners.on_epoch_end(epoch, {"loss": train_epoch(epoch)})
        listeners.on_train_end()
        return self.history

    def _epochs(self, data: Interactions, batch_size: int) -> tf.data.Dataset:
        """Yield the arrays of one epoch after another without end.

        The next epoch is drawn while one trains.  Keras would do the same with a Python
        generator, but its prefetch tunes itself: after the last epoch it sometimes waits for
        the tuning thread, for up to a minute.
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
        """Return the arguments that make this model again, as Keras asks."""
        names = ("n_users", "n_items", "embedding_dim", "seed", *self.options)
        return super().get_config() | {name: getattr(self, name) for name in names}


def mini_batches(data, update):
    """Call update(*batch) for each mini-batch in order and return the mean loss.

    data: arrays [steps, ...] with the same number of steps
    """
    steps = tf.shape(data[0])[0]

    def body(step, total):
        return step + 1, total + update(*(part[step] for part in data))

    _, total = tf.while_loop(lambda step, _: step < steps, body, (0, 0.0))
    return {"loss": total / tf.cast(steps, tf.float32)}
