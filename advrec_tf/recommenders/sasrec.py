"""SASRec: the next item from the items before it, by causal self-attention."""

from collections.abc import Callable
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from advrec_tf.data import Interactions
from advrec_tf.data.seeds import generator
from advrec_tf.data.sequences import Sequences, histories, training_sequences
from advrec_tf.recommenders.adversarial import AdversarialModel
from advrec_tf.recommenders.sasrec_config import SASRecConfig

SERVED_ROWS = 128  # rows of histories whose activations are held at a time
TINY = 1e-6


class Weights(NamedTuple):
    """The weights of N blocks between the tables and the states."""

    attention: tf.Tensor  # [N, 4, D, D]: queries, keys, values, output
    dense: tf.Tensor  # [N, 2, D, D]: two layers at every slot
    biases: tf.Tensor  # [N, 2, D]
    norms: tf.Tensor  # [2 N + 1, 2, D]: scale and shift of each layer normalisation


def layer_norm(x: tf.Tensor, norm: tf.Tensor) -> tf.Tensor:
    """Return x with elements of mean 0 and variance 1, then scaled and shifted.  norm: [2, D]"""
    mean, variance = tf.nn.moments(x, axes=-1, keepdims=True)
    return (x - mean) * tf.math.rsqrt(variance + TINY) * norm[0] + norm[1]


def self_attention(x: tf.Tensor, maps: tf.Tensor, visible: tf.Tensor) -> tf.Tensor:
    """Return softmax(x_q x_k^T / sqrt D) x_v over what each slot sees, mapped by the output.

    x: [B, L, D], maps: [4, D, D], visible: bool [B, L, L]
    """
    queries, keys, values = (x @ maps[n] for n in range(3))
    scores = tf.matmul(queries, keys, transpose_b=True) / np.sqrt(x.shape[-1])
    shares = tf.nn.softmax(tf.where(visible, scores, -1e9))
    return (shares @ values) @ maps[3]


def encode(
    tables: tuple[tf.Tensor, tf.Tensor],
    weights: Weights,
    items: tf.Tensor,
    positions: tf.Tensor,
    segments: tf.Tensor,
    drop: Callable[[tf.Tensor, int], tf.Tensor] = lambda x, _: x,
) -> tf.Tensor:
    """Return the state of every slot, [B, L, D] (Kang and McAuley 2018, section III).

    A slot attends to itself and to those before it of its own sequence.  Both layers of a block
    have layer normalisation before them and a residual connection around them.  Beyond the paper,
    attention has an output map, and every sequence begins with a slot without an item.

    tables: of positions [L, D] and of items [I, D]; items, positions, segments: [B, L], see
    `Sequences`; drop(x, n): the n-th dropout
    """
    position_table, item_table = tables
    known = tf.cast(items >= 0, tf.float32)[..., None]
    scale = np.sqrt(item_table.shape[1])
    x = scale * known * tf.gather(item_table, tf.maximum(items, 0)) + tf.gather(
        position_table, positions
    )
    x = drop(x, 0)
    slots = tf.range(tf.shape(items)[1])
    visible = (segments[:, :, None] == segments[:, None, :]) & (slots[:, None] >= slots)
    for n in range(weights.attention.shape[0]):
        inputs = layer_norm(x, weights.norms[2 * n])
        x += drop(self_attention(inputs, weights.attention[n], visible), 2 * n + 1)
        inputs = layer_norm(x, weights.norms[2 * n + 1])
        hidden = tf.nn.relu(inputs @ weights.dense[n, 0] + weights.biases[n, 0])
        x += drop(hidden @ weights.dense[n, 1] + weights.biases[n, 1], 2 * n + 2)
    return layer_norm(x, weights.norms[-1])


class Encoder(NamedTuple):
    """The map from the tables to the factors: P are states of histories, Q is the item table."""

    weights: Weights
    items: tf.Tensor  # int32 [R, L], as the next two: rows of histories, see `Sequences`
    positions: tf.Tensor
    segments: tf.Tensor
    last: tf.Tensor  # int32 [U], the slot of each user's state

    def __call__(self, positions: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return P [U, D] and Q [I, D].  positions: [L, D], items: [I, D]

        Activations of a block of rows are computed again for the gradient, not kept.
        """
        encode_block = tf.recompute_grad(
            lambda positions, items, *rows: encode((positions, items), self.weights, *rows)
        )
        states = []
        for start in range(0, self.items.shape[0], SERVED_ROWS):
            rows = slice(start, start + SERVED_ROWS)
            parts = (part[rows] for part in (self.items, self.positions, self.segments))
            states.append(encode_block(positions, items, *parts))
        flat = tf.reshape(tf.concat(states, axis=0), [-1, items.shape[1]])
        return tf.gather(flat, self.last), items


@keras.saving.register_keras_serializable(package="advrec_tf")
class SASRec(AdversarialModel):
    """Minimises -ln softmax(s)_i of the item i that comes next, over the whole catalogue.

    s_j = h . q_j, where h is the state of what came before (`encode`).  The paper samples one
    negative instead.  P holds the state of each user's last `length` - 1 items with known times;
    the tables are those of positions and of items.  `fit` needs Interactions with timestamps.
    """

    config_class = SASRecConfig
    options = ("length", "blocks", "dropout", *AdversarialModel.options)
    stddev = 0.02

    def _add_tables(self) -> None:
        """Add the tables of positions and items, and the weights between them and the states."""
        D, N, seed = self.embedding_dim, self.blocks, 4 * self.seed
        self.position_embedding = self._embedding(self.length, "position_embedding", seed)
        self.item_embedding = self._embedding(self.n_items, "item_embedding", seed + 1)
        maps = [keras.initializers.RandomNormal(0, D**-0.5, seed + n) for n in (2, 3)]
        self.block_weights = [
            self.add_weight(shape=shape, initializer=initializer, name=name)
            for name, shape, initializer in (
                ("attention", (N, 4, D, D), maps[0]),
                ("dense", (N, 2, D, D), maps[1]),
                ("biases", (N, 2, D), "zeros"),
                ("norms", (2 * N + 1, 2, D), _ones_and_zeros),
            )
        ]

    def prepare(self, data: Interactions) -> None:
        """Take the users' histories."""
        rows, last = histories(data, self.length, self.seed)
        parts = (rows.items, rows.positions, rows.segments, last)
        self.histories = tuple(map(tf.constant, parts))

    @property
    def tables(self):
        """Return the tables of positions and of items."""
        return self.position_embedding, self.item_embedding

    def served(self, positions: tf.Tensor, items: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the states of the users' histories, and the item table."""
        weights = Weights(*(weight.value for weight in self.block_weights))
        return Encoder(weights, *self.histories)(positions, items)

    def steps(self, data: Interactions, batch_size: int) -> int:
        """Return the number of mini-batches of an epoch, which leave out what does not fill one."""
        rows = training_sequences(data, self.length, self.seed, epoch=0)
        return max(1, len(rows.items) // batch_size)

    def batches(self, data: Interactions, batch_size: int, epoch: int) -> Sequences:
        """Return the rows of sequences in an order of the epoch, [steps, B, L] each."""
        rows = training_sequences(data, self.length, self.seed, epoch)
        batch_size = min(batch_size, len(rows.items))
        steps = len(rows.items) // batch_size
        order = generator([self.seed, epoch, 1]).permutation(len(rows.items))[: steps * batch_size]
        return Sequences(*(part[order].reshape(steps, batch_size, -1) for part in rows))

    def batch_loss(self, values, items, targets, positions, segments):
        """Return the mean loss of a mini-batch of rows [B, L]."""
        tables, weights = values[:2], Weights(*values[2:])
        states = encode(tables, weights, items, positions, segments, self._drop)
        scores = tf.matmul(
            tf.reshape(states, [-1, self.embedding_dim]), tables[1], transpose_b=True
        )
        wanted = tf.reshape(targets, [-1])
        present = tf.cast(wanted >= 0, tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(wanted, 0), scores)
        return tf.reduce_sum(present * losses) / tf.reduce_sum(present)

    def _drop(self, x: tf.Tensor, number: int) -> tf.Tensor:
        """Return x with random elements at 0, which follow from the seed and the step."""
        if not self.dropout:
            return x
        step = tf.cast(self.optimizer.iterations.value, tf.int32)
        seed = [(2 * self.blocks + 1) * self.seed + number, step]
        bits = tf.random.stateless_uniform(tf.shape(x), seed, None, None, tf.uint32, alg="philox")
        kept = bits >= np.uint32(self.dropout * 2**32)
        return tf.where(kept, x / (1 - self.dropout), 0.0)


def _ones_and_zeros(shape, dtype=None):
    """Return scales of 1 and shifts of 0.  shape: [..., 2, D]"""
    scale, shift = tf.ones([shape[0], 1, shape[2]], dtype), tf.zeros([shape[0], 1, shape[2]], dtype)
    return tf.concat([scale, shift], axis=1)
