"""The eager baseline: dense gradients of entire embedding tables, and a loop over users.

It differentiates with a GradientTape and updates with Keras' Adagrad.
"""

import keras
import numpy as np
import tensorflow as tf


class Eager:
    """One step at a time, as the models are written down in the papers."""

    def __init__(self, P, Q, epsilon=None):
        self.P, self.Q, self.epsilon = tf.Variable(P), tf.Variable(Q), epsilon
        self.variables = [keras.Variable(P), keras.Variable(Q)]
        self.optimizer = keras.optimizers.Adagrad(0.05, 0.1, 1e-7)
        self.optimizer.build(self.variables)

    def gradient(self, P, Q, triples):
        users, positives, negatives = triples
        with tf.GradientTape() as tape:
            tape.watch([P, Q])
            difference = tf.gather(Q, positives) - tf.gather(Q, negatives)
            margins = tf.reduce_sum(tf.gather(P, users) * difference, axis=1)
            loss = tf.reduce_sum(tf.nn.softplus(-tf.clip_by_value(margins, -80.0, 1e8)))
        return [tf.convert_to_tensor(g) for g in tape.gradient(loss, [P, Q])]  # dense

    def batch(self, triples):
        P, Q = (tf.convert_to_tensor(v.value) for v in self.variables)
        gradients = self.gradient(P, Q, triples)
        if self.epsilon:
            moved = [x + self.epsilon * tf.nn.l2_normalize(g, 1) for x, g in zip((P, Q), gradients)]
            gradients = [g + a for g, a in zip(gradients, self.gradient(*moved, triples))]
        self.optimizer.apply(gradients, self.variables)

    def attack_iteration(self, delta, triples, epsilon=0.5):
        P, Q = self.P + delta[0], self.Q + delta[1]
        steps = [epsilon / 4 * tf.nn.l2_normalize(g, 1) for g in self.gradient(P, Q, triples)]
        return [tf.clip_by_value(d + s, -epsilon, epsilon) for d, s in zip(delta, steps)]

    def top_10(self, data):
        P, Q = self.P.numpy(), self.Q.numpy()
        lists = np.empty((len(P), 10), np.int32)
        for u in range(len(P)):
            scores = tf.linalg.matvec(Q, P[u]).numpy()
            scores[data.train_items[data.indptr[u] : data.indptr[u + 1]]] = -np.inf
            lists[u] = np.argsort(-scores)[:10]
        return lists
