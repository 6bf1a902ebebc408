"""RowAdagrad and CoupledAdam by hand and against NumPy."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from advrec_tf.recommenders import CoupledAdam, RowAdagrad

import oracles


def built(optimizer, values):
    variable = keras.Variable(np.array(values, np.float32))
    optimizer.build([variable])
    return variable


def test_row_adagrad_by_hand():
    optimizer = RowAdagrad()
    variable = built(optimizer, np.ones((3, 2)))
    for _ in range(2):
        row = tf.gather(variable.value, [1])
        optimizer.update_rows(variable, tf.constant([1]), row, tf.constant([[3.0, 0.0]]))
    moved = 1 - 0.05 * 3 / np.sqrt(0.1 + 9) - 0.05 * 3 / np.sqrt(0.1 + 18)
    np.testing.assert_allclose(variable.numpy(), [[1, 1], [moved, 1], [1, 1]], rtol=1e-6)


def test_the_epsilon_of_row_adagrad_is_under_the_root():
    optimizer = RowAdagrad(1.0, initial_accumulator_value=0.0)
    variable = built(optimizer, [[0.0]])
    optimizer.update_rows(variable, tf.constant([0]), variable.value, tf.constant([[1e-4]]))
    assert variable.numpy().item() == pytest.approx(-1e-4 / np.sqrt(1e-8 + 1e-7), rel=1e-5)


def test_coupled_adam_moves_rows_without_a_gradient():
    """The decay goes through the moments, so that the first step is the learning rate."""
    optimizer = CoupledAdam(0.1, decay=0.5)
    variable = built(optimizer, np.ones((3, 2)))
    optimizer.apply([tf.zeros((3, 2))], [variable])
    np.testing.assert_allclose(variable.numpy(), 0.9, atol=1e-6)


def test_coupled_adam_agrees_with_the_oracle_when_the_decay_matters():
    optimizer, oracle = CoupledAdam(0.05, decay=0.3), oracles.Adam(0.3, 0.05)
    values = (np.array([[1.0, -2.0], [3.0, 0.0]]),)
    variable = built(optimizer, values[0])
    gradients = (
        [[0.5, 0.0], [-1.0, 0.0]],
        [[0.0, 2.0], [0.0, 0.0]],
        [[-3.0, 0.1], [0.2, 0.0]],
    )
    for gradient in gradients:
        optimizer.apply([tf.constant(gradient)], [variable])
        values = oracle(values, (np.array(gradient),))
    np.testing.assert_allclose(variable.numpy(), values[0], rtol=1e-5)


def test_the_epsilon_of_adam_is_beside_the_root():
    optimizer = CoupledAdam(1.0, decay=0.0)
    variable = built(optimizer, [0.0])
    optimizer.apply([tf.constant([1e-8])], [variable])
    assert variable.numpy().item() == pytest.approx(-0.5, rel=1e-3)


def test_defaults_of_coupled_adam():
    config = CoupledAdam().get_config()
    names = ("learning_rate", "decay", "beta_1", "beta_2", "epsilon")
    assert [config[name] for name in names] == pytest.approx([0.01, 1e-5, 0.9, 0.999, 1e-8])
