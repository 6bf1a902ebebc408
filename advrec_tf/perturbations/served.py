"""The map from a recommender's parameter tables to its factors, as attacks see it."""

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

from advrec_tf.perturbations.arguments import Tables

Served = Callable[[tf.Tensor, tf.Tensor], Sequence[tf.Tensor]]


def outside_xla(served: Callable) -> Callable:
    """Mark a `served` with operations that XLA does not have, such as sparse products."""
    served.in_xla = False  # type: ignore[attr-defined]
    return served


def in_xla(served: Callable | None) -> bool:
    """Return whether XLA can compile `served`."""
    return getattr(served, "in_xla", True)


def pulled_back(
    served: Served, tables: Sequence[tf.Tensor], of_factors: Callable
) -> list[tf.Tensor]:
    """Return the gradient in parameter tables, the vector-Jacobian product of `served`.

    of_factors: returns the gradient in the factors P and Q that it is given
    """
    with tf.GradientTape() as tape:
        tape.watch(tables)
        factors = served(*tables)
    pulled = tape.gradient(
        factors,
        tables,
        output_gradients=of_factors(*factors),
        unconnected_gradients=tf.UnconnectedGradients.ZERO,
    )
    return [tf.convert_to_tensor(table) for table in pulled]


class ServedMap:
    """Factors of tables, and the slopes of a loss of factors in the tables, all NumPy arrays."""

    def __init__(self, served: Served):
        self._served = tf.function(served)
        self._pulled_back = tf.function(
            lambda tables, slopes: pulled_back(served, tables, lambda *_: slopes)
        )

    def __call__(self, user: np.ndarray, item: np.ndarray) -> Tables:
        """Return P and Q of the tables."""
        P, Q = self._served(tf.constant(user), tf.constant(item))
        return P.numpy(), Q.numpy()

    def slopes(
        self, gradient: Callable, user: np.ndarray, item: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient of a loss in both tables, by the chain rule.

        gradient(side, P, Q): that in the factors of users (side 0), then of items (side 1)
        """
        factors = self(user, item)
        of_factors = [np.float32(gradient(side, *factors)) for side in (0, 1)]
        users, items = self._pulled_back((user, item), of_factors)
        return users.numpy(), items.numpy()
