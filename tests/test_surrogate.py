"""RecSys20's surrogate: its training, and the gradient through it by independent programs."""

from dataclasses import replace

import numpy as np
import pytest
import tensorflow as tf

from advrec_tf import data
from advrec_tf.defenses import Defense
from advrec_tf.poisoning import Profiles, RecSys20Config
from advrec_tf.poisoning.bilevel import Surrogate, initial_profiles
from advrec_tf.recommenders import WRMF, WRMFConfig

TINY = WRMFConfig(embedding_dim=3, batch_size=9)
ALS = replace(TINY, solver="als", regularization=2.0)


def config(**changes):
    defaults = {"surrogate": TINY, "epochs": 5, "unrolled_epochs": 3, "k": 5}
    return RecSys20Config(4, (1, 5), **defaults | changes)


def trained(shop, X, epochs, **options):
    """Return the factors of a WRMF on real and fake users."""
    model = WRMF(28, 17, 3, seed=3, **options)
    model.compile()
    stacked = Profiles.from_matrix("x", X, shop, ()).stacked_on(shop)
    model.fit(stacked, epochs=epochs, batch_size=9, verbose=0)
    return model.factors


def clicks(shop):
    dense = np.zeros((shop.n_users, shop.n_items))
    dense[shop.train_users, shop.train_items] = 1
    return dense


def negative_log_softmax(P, Q, shop, targets):
    scores = tf.nn.log_softmax(tf.matmul(P[: shop.n_users], Q, transpose_b=True))
    return -tf.reduce_sum(tf.reduce_mean(tf.gather(scores, targets, axis=1), axis=1))


def adam_step(value, gradient, moments, step):
    """Return the value and both moments after a step with coupled weight decay."""
    gradient = gradient + 1e-5 * value
    m, v = 0.9 * moments[0] + 0.1 * gradient, 0.999 * moments[1] + 0.001 * gradient**2
    change = 0.01 * (m / (1 - 0.9**step)) / (tf.sqrt(v / (1 - 0.999**step)) + 1e-8)
    return value - change, (m, v)


def sgd_loss_by_tape(shop, options, X, W, seed=3):
    """Return the loss after training by SGD, as a differentiable program on the dense matrix."""
    model = WRMF(shop.n_users + len(X), shop.n_items, 3, seed=seed)
    P, Q = (tf.constant(x, tf.float64) for x in model.factors)
    real = clicks(shop)
    stacked = tf.concat([tf.constant(real), X], axis=0)
    weights = np.vstack([np.where(real > 0, 20.0, 1), W])
    empty = replace(shop, n_users=shop.n_users + len(W))
    ones = np.ones(len(shop.train_users), np.float32)
    moments_P, moments_Q, step = (tf.zeros_like(P),) * 2, (tf.zeros_like(Q),) * 2, 0
    for epoch in range(options.epochs):
        for users in data.user_batches(empty, ones, ones, 9, seed, epoch).users:
            users, step = users[users >= 0], step + 1
            p = tf.gather(P, users)
            errors = tf.matmul(p, Q, transpose_b=True) - tf.gather(stacked, users)
            slope = 2 * weights[users] * errors
            dP = tf.tensor_scatter_nd_update(tf.zeros_like(P), users[:, None], slope @ Q)
            dQ = tf.matmul(slope, p, transpose_a=True)
            P, moments_P = adam_step(P, dP, moments_P, step)
            Q, moments_Q = adam_step(Q, dQ, moments_Q, step)
    return negative_log_softmax(P, Q, shop, options.targets)


def als_loss_by_tape(shop, options, X, W, seed=3):
    """Return the loss after sweeps of ALS, as a differentiable program on the dense matrix."""
    real = clicks(shop)
    weights = tf.constant(np.vstack([np.where(real > 0, 20.0, 1), W]))
    stacked = tf.concat([tf.constant(real), X], axis=0)
    model = WRMF(shop.n_users + len(W), shop.n_items, 3, seed=seed)
    Q, ridge = tf.constant(model.factors[1], tf.float64), 2 * tf.eye(3, dtype=tf.float64)

    def solved(Y, w, x):
        A = tf.einsum("ri,id,ie->rde", w, Y, Y) + ridge
        return tf.linalg.solve(A, tf.matmul(w * x, Y)[..., None])[..., 0]

    for _ in range(options.epochs):
        P = solved(Q, weights, stacked)
        Q = solved(P, tf.transpose(weights), tf.transpose(stacked))
    return negative_log_softmax(P, Q, shop, options.targets)


def loss_and_gradient(loss_by_tape, shop, options, X):
    with tf.GradientTape() as tape:
        x = tf.constant(X, tf.float64)
        tape.watch(x)
        loss = loss_by_tape(shop, options, x, np.where(X > 0, 20.0, 1.0))
    return float(loss), tf.convert_to_tensor(tape.gradient(loss, x)).numpy()


def test_the_surrogate_is_a_wrmf_trained_on_real_and_fake_users(shop):
    X = initial_profiles(shop, 4, 100)
    _, P, Q, _ = Surrogate(shop, config(), seed=3).train_and_differentiate(X)
    for mine, expected in zip((P, Q), trained(shop, X, 5)):
        np.testing.assert_allclose(mine, expected, atol=1e-4)


def test_the_gradient_is_that_of_full_unrolling_and_of_finite_differences(shop):
    """The loss weights are constant for the differences as well."""
    options, X = config(epochs=3, unrolled_epochs=3), initial_profiles(shop, 4, 100)
    loss, _, _, gradient = Surrogate(shop, options, seed=3).train_and_differentiate(X)
    expected_loss, expected = loss_and_gradient(sgd_loss_by_tape, shop, options, X)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, atol=2e-3 * np.abs(expected).max())
    W = np.where(X > 0, 20.0, 1.0)
    for fake, item in ((0, 1), (1, 5), (3, 16)):
        step = np.zeros_like(X, np.float64)
        step[fake, item] = 1e-4
        up, down = (
            float(sgd_loss_by_tape(shop, options, tf.constant(X + sign * step), W))
            for sign in (1, -1)
        )
        assert expected[fake, item] == pytest.approx((up - down) / 2e-4, rel=1e-3, abs=1e-6)


def test_the_gradient_through_sweeps_of_als_is_exact(shop):
    options = config(epochs=3, unrolled_epochs=3, surrogate=ALS)
    X = initial_profiles(shop, 4, 100)
    loss, P, Q, gradient = Surrogate(shop, options, seed=3).train_and_differentiate(X)
    expected_loss, expected = loss_and_gradient(als_loss_by_tape, shop, options, X)
    assert loss == pytest.approx(expected_loss, rel=1e-5)
    np.testing.assert_allclose(gradient, expected, atol=2e-3 * np.abs(expected).max())
    for mine, model in zip((P, Q), trained(shop, X, 3, solver="als", regularization=2.0)):
        np.testing.assert_allclose(mine, model, atol=1e-4)
    shorter = Surrogate(shop, replace(options, unrolled_epochs=1), seed=3)
    np.testing.assert_allclose(shorter.train_and_differentiate(X)[2], Q, atol=1e-4)


def test_truncated_unrolling_leaves_the_first_epochs_constant(shop):
    """The training is the same; the gradient through its last epoch alone is another."""
    X = initial_profiles(shop, 4, 100)
    full, last = (
        Surrogate(shop, config(epochs=4, unrolled_epochs=n), 0).train_and_differentiate(X)
        for n in (4, 1)
    )
    np.testing.assert_allclose(full[1], last[1], atol=1e-4)
    assert not np.allclose(full[3], last[3], rtol=0.05)


def test_the_surrogate_follows_the_seed_it_is_given(shop):
    options = config(epochs=2, unrolled_epochs=1, surrogate=ALS)
    X, surrogate = initial_profiles(shop, 4, 100), Surrogate(shop, options, seed=3)
    default, other, third = (
        surrogate.train_and_differentiate(X, seed=seed)[1] for seed in (None, 4, 3)
    )
    np.testing.assert_array_equal(default, third)
    assert not np.allclose(default, other, atol=1e-3)


def test_an_aware_attacker_trains_on_what_the_defence_leaves(shop):
    """The defence drops item 1 and every click of user 0."""

    class Fewer(Defense):
        def cleaned(self, data, n_real, cache_dir):
            kept = (data.train_items != 1) & (data.train_users > 0)
            return replace(
                data,
                train_users=data.train_users[kept],
                train_items=data.train_items[kept],
                train_ratings=None,
                train_timestamps=None,
            )

    surrogate = Surrogate(shop, config(defense=Fewer()), 0)
    rows = surrogate.defended(np.ones((4, 17), np.float32))
    assert rows[:, 1].sum() == 0 and rows.sum() == 4 * 16
    assert 0 not in surrogate.data.train_users and 1 not in surrogate.data.train_items
    assert (surrogate.data.n_users, surrogate.empty.n_users) == (24, 28)
    np.testing.assert_array_equal(Surrogate(shop, config(), 0).defended(rows), rows)
