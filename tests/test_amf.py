"""AMF's adversary: its loss, its perturbations and PGD's start, by hand and by the oracle."""

import keras
import numpy as np
import pytest

from advrec_tf import AMF, perturbations
from advrec_tf.recommenders import RowAdagrad

import oracles


def eager_amf(factors=(), **options):
    """A small AMF that does not learn, so that each call is the loss at the same factors.

    It is not compiled, so that one mini-batch is cheap.
    """
    model = AMF(23, 31, 7, **options)
    model.compile(RowAdagrad(0.0), jit_compile=False, run_eagerly=True)
    for variable, value in zip((model.user_embedding, model.item_embedding), factors):
        variable.assign(value)
    return model


ATTACKS = {
    "fgsm": (lambda *a: perturbations.fgsm(*a, 0.4), {"adversary": "fgsm"}),
    "bim": (lambda *a: perturbations.bim(*a, 0.4, 3), {"adversary": "bim", "iterations": 3}),
    "bim, l2, with a step": (
        lambda *a: perturbations.bim(*a, 0.4, 2, step_size=0.3, ball="l2"),
        {"adversary": "bim", "iterations": 2, "step_size": 0.3, "ball": "l2"},
    ),
    "bim, linf, with a step": (
        lambda *a: perturbations.bim(*a, 0.4, 2, step_size=0.5),
        {"adversary": "bim", "iterations": 2, "step_size": 0.5},
    ),
}


@pytest.mark.parametrize("name", ATTACKS)
def test_amf_adds_the_weighted_loss_under_the_attack_of_that_name(problem, name):
    P, Q, triples = problem(n=16)
    attack, options = ATTACKS[name]
    model = eager_amf((P, Q), epsilon=0.4, adversarial_weight=0.25, **options)
    delta = attack(P, Q, triples)
    clean = oracles.dense_gradient(P, Q, *triples)[0]
    attacked = oracles.dense_gradient(P + delta.user, Q + delta.item, *triples)[0]
    assert float(model.train_on_batch(triples)) == pytest.approx(clean + 0.25 * attacked, rel=1e-5)


@pytest.mark.parametrize("adversary", ["fgsm", "bim", "pgd"])
def test_amf_saves_its_adversary_and_repeats_itself(small, tmp_path, adversary):
    options = {"adversary": adversary, "iterations": 3, "epsilon": 0.1, "ball": "l2"}
    factors = []
    for _ in range(2):
        model = AMF(small.n_users, small.n_items, 4, seed=2, **options)
        model.compile()
        model.fit(small, epochs=2, batch_size=64, verbose=0)
        factors.append(model.factors[0])
    np.testing.assert_array_equal(*factors)
    model.save(tmp_path / "amf.keras")
    loaded = keras.models.load_model(tmp_path / "amf.keras")
    assert {name: getattr(loaded, name) for name in options} == options


@pytest.mark.parametrize(
    "arguments",
    [
        {"adversary": "cw"},
        {"ball": "l1"},
        {"epsilon": -1},
        {"epsilon": float("nan")},
        {"step_size": -1},
        {"adversary": "bim", "iterations": 0},
    ],
    ids=str,
)
def test_bad_adversaries_are_refused(arguments):
    with pytest.raises(ValueError, match="must be"):
        AMF(3, 3, **arguments)


def test_defaults_of_amf():
    names = ("adversary", "epsilon", "adversarial_weight", "iterations", "step_size", "ball")
    model = AMF(3, 3)
    assert [getattr(model, name) for name in names] == ["fgsm", 0.5, 1.0, 5, None, "linf"]


def test_pgd_starts_anew_for_every_mini_batch_and_follows_the_seed(problem):
    P, Q, triples = problem(n=16)
    models = {
        "none": {"adversary": "bim"},
        "first": {"adversary": "pgd", "seed": 0},
        "again": {"adversary": "pgd", "seed": 0},
        "other": {"adversary": "pgd", "seed": 1},
    }
    losses = {}
    for name, options in models.items():
        model = eager_amf((P, Q), iterations=1, step_size=0.0, epsilon=0.5, **options)
        losses[name] = [float(model.train_on_batch(triples)) for _ in range(2)]
    assert losses["none"][0] == losses["none"][1] and losses["first"] == losses["again"]
    assert len({losses["none"][0], *losses["first"], *losses["other"]}) == 5


def starts_of_pgd(P, Q, **options):
    """What the margin moves by in 40 mini-batches of one triple, per 100.

    The clean margin is 0, so that the loss is ln 2 + ln(1 + exp(-margin)).
    """
    model = eager_amf((P, Q), adversary="pgd", iterations=1, step_size=0.0, **options)
    triple = np.array([0]), np.array([0]), np.array([20])
    losses = np.array([float(model.train_on_batch(triple)) for _ in range(40)])
    return -np.log(np.exp(losses - np.log(2)) - 1) / 100


def starts_of_the_user(**options):
    """p = 0 and q_i - q_j = 100 on the first axis: the margin is 100 times the user's start.

    The items' starts add little.
    """
    return starts_of_pgd(np.zeros((23, 7)), 100 * np.eye(31, 7), **options)


def starts_of_the_items(**options):
    """p = 100 on the first axis and q = 0: 100 times the difference of two items' starts."""
    return starts_of_pgd(100 * np.eye(23, 7), np.zeros((31, 7)), **options)


def test_pgd_starts_uniformly_on_both_sides_of_zero():
    starts = starts_of_the_user()
    assert -0.051 < starts.min() < -0.04 and 0.04 < starts.max() < 0.051
    assert abs(starts.mean()) < 0.015


def test_pgd_starts_users_and_items_apart_and_both_by_the_seed():
    users, items = starts_of_the_user(), starts_of_the_items()
    assert abs(np.corrcoef(users, items)[0, 1]) < 0.4  # the same draws would give .7
    assert not np.allclose(users, starts_of_the_user(seed=1), atol=0.01)
    assert not np.allclose(items, starts_of_the_items(seed=1), atol=0.01)


def test_the_start_of_pgd_is_projected_on_the_ball():
    """At epsilon .02, linf cuts most elements to it; l2 cuts a row of seven, and hardly any is."""
    flat, round_ = (starts_of_the_user(epsilon=0.02, ball=ball) for ball in ("linf", "l2"))
    assert np.mean(np.abs(flat) > 0.0195) > 0.4 and np.abs(flat).max() < 0.0205
    assert np.mean(np.abs(round_) > 0.0195) < 0.1 and np.abs(round_).max() < 0.0205


def test_pgd_makes_as_many_iterations_from_its_start_as_asked(problem):
    P, Q, triples = problem(n=16)
    options = {"adversary": "pgd", "step_size": 0.1, "epsilon": 1.0, "ball": "l2"}
    models = [eager_amf((P, Q), iterations=iterations, **options) for iterations in (1, 2, 4)]
    losses = [float(model.train_on_batch(triples)) for model in models]
    assert losses[0] + 0.1 < losses[1] < losses[2] - 0.1
