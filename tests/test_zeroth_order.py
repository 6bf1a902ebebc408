"""RecSys19's zeroth-order steps, by hand and with a trained recommender."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf.errors import UserError
from advrec_tf.poisoning import dcgan, gan, zeroth_order
from advrec_tf.poisoning.ratings import random_mask
from advrec_tf.poisoning.settings import (
    GOALS,
    BlindBootstrapConfig,
    RecSys19Config,
    RefinedBootstrapConfig,
)
from advrec_tf.recommenders import WRMFConfig

from killing import Killed, contents, killed_after
from running import NARROW

TINY = WRMFConfig(embedding_dim=3, batch_size=9)
ALS = replace(TINY, solver="als", decay=2.0)


def als_config(**changes):
    return RecSys19Config(3, (1, 5), **{"recommender": ALS, "k": 4} | changes)


# A step, with a recommender whose goal is known


class Quadratic:
    """A recommender with the goal -|F - aim|^2 that records what it receives."""

    scale = 1.0, 5.0

    def __init__(self, aim):
        self.aim, self.model, self.received = aim, None, []

    def goal_after(self, epochs, F):
        self.received.append((epochs, F))
        return -float(np.sum((F - self.aim) ** 2))


class Flat(Quadratic):
    """A recommender whose goal never moves."""

    def goal_after(self, epochs, F):
        return 0.5


@pytest.fixture
def stateless(monkeypatch):
    monkeypatch.setattr(zeroth_order.checkpoints, "capture", lambda model: None)
    monkeypatch.setattr(zeroth_order.checkpoints, "restore", lambda model, state: None)


@pytest.fixture
def stepped(stateless):
    """A step on random F towards 3: its inputs, its results, and the change by hand."""
    F = np.random.default_rng(0).uniform(0.5, 2, (3, 6)).astype(np.float32)
    recommender = Quadratic(np.full((3, 6), 3.0))
    options = RecSys19Config(3, (0,), directions=2, smoothing=0.5, step_size=0.05)
    results = zeroth_order.zeroth_order_step(F, recommender, options)
    U, _, Vt = np.linalg.svd(F)
    change = np.zeros_like(F)
    for number in range(2):
        Z = np.outer(U[:, number], Vt[number])
        probe = -np.sum((np.clip(F + 0.5 * Z, 0, 5) - 3) ** 2)
        assert results[2][number] == pytest.approx(probe, rel=1e-4)
        change += (probe - results[1]) * Z
    return F, recommender, options, results[0], change


def test_a_zeroth_order_step_by_hand(stepped):
    F, recommender, options, after, change = stepped
    np.testing.assert_allclose(after, np.clip(F + 0.05 * 0.5 * change, 0, 5), atol=1e-4)
    assert [epochs for epochs, _ in recommender.received] == [options.probe_epochs] * 3


def test_a_step_is_scaled_to_its_largest_move(stepped):
    F, recommender, options, _, change = stepped
    options = replace(options, largest_move=0.25)
    moved, _, _ = zeroth_order.zeroth_order_step(F, recommender, options)
    expected = np.clip(F + 0.25 * change / np.abs(change).max(), 0, 5)
    np.testing.assert_allclose(moved, expected, atol=1e-4)
    unmoved, _, _ = zeroth_order.zeroth_order_step(F, Flat(recommender.aim), options)
    np.testing.assert_array_equal(unmoved, F)


def test_a_blind_step_is_as_long_and_goes_elsewhere(stepped):
    F, recommender, options, _, change = stepped
    options, rng = replace(options, step_size=0.001), np.random.default_rng(0)
    blind, _, _ = zeroth_order.zeroth_order_step(F, recommender, options, rng)
    seeing = F + 0.001 * 0.5 * change
    assert np.linalg.norm(blind - F) == pytest.approx(np.linalg.norm(seeing - F), rel=1e-3)
    assert not np.allclose(blind, seeing, atol=1e-6)


def test_blind_steps_draw_anew_in_every_epoch_by_the_seed(stateless, shop, monkeypatch, tmp_path):
    drawn = []

    def step(F, recommender, config, blind=None):
        drawn.append(None if blind is None else tuple(blind.standard_normal(3)))
        return F, 0.0, [0.0]

    monkeypatch.setattr(zeroth_order, "zeroth_order_step", step)
    monkeypatch.setattr(zeroth_order.Oblivious, "goal_after", lambda *_: 0.0)
    config = BlindBootstrapConfig(3, (1, 5), recommender=ALS, k=4)
    for seed in (0, 1):
        zeroth_order.attack(shop, config, seed, tmp_path / str(seed), 2, progress=False)
    assert len(set(drawn)) == 4
    seeing = RefinedBootstrapConfig(3, (1, 5), recommender=ALS, k=4)
    zeroth_order.attack(shop, seeing, 0, tmp_path / "seeing", 1, progress=False)
    assert drawn[4:] == [None]


def test_a_probe_starts_where_the_base_ended_and_leaves_no_trace(monkeypatch):
    events, checkpoints = [], zeroth_order.checkpoints

    class Recorder(Quadratic):
        def goal_after(self, epochs, F):
            events.append("train")
            return super().goal_after(epochs, F)

    monkeypatch.setattr(checkpoints, "capture", lambda model: events.append("capture") or "state")
    monkeypatch.setattr(
        checkpoints, "restore", lambda model, state: events.append(f"restore {state}")
    )
    options = RecSys19Config(3, (0,), directions=2)
    F = np.eye(3, 6, dtype=np.float32)
    zeroth_order.zeroth_order_step(F, Recorder(np.zeros((3, 6))), options)
    assert events == ["capture", *["restore state", "train"] * 3, "restore state"]


def test_probes_and_the_step_stay_on_the_scale(stateless):
    F = np.array([[4.0, 1.0], [1.0, 2.0]], np.float32)
    recommender = Quadratic(np.array([[5.0, 0.0], [0.0, 5.0]]))
    options = RecSys19Config(2, (0,), directions=5, smoothing=50.0, step_size=100.0)
    after, base, probes = zeroth_order.zeroth_order_step(F, recommender, options)
    assert base == -(1 + 1 + 1 + 9) and len(probes) == 2  # no more directions than rows
    for values in (np.array([probe for _, probe in recommender.received[1:]]), after):
        assert values.min() == 0 and values.max() == 5


# The recommender that is probed


def test_the_goal_is_the_hit_ratio_or_the_mean_score_of_the_targets_over_real_users(shop):
    F = np.full((3, 17), 4.0)
    hits, smoothed, score = (
        zeroth_order.Oblivious(shop, als_config(goal=goal), seed=1) for goal in GOALS
    )
    hit_ratio, mean_score = hits.goal_after(2, F), score.goal_after(2, F)
    P, Q = hits.model.factors
    assert len(P) == 27
    scores = P[:24] @ Q.T
    scores[shop.train_users, shop.train_items] = -np.inf
    best = np.argsort(-scores, axis=1)[:, :4]
    tested = np.unique(shop.test_users)
    assert hit_ratio == pytest.approx(np.mean([bool({1, 5} & set(best[user])) for user in tested]))
    assert mean_score == pytest.approx(np.mean(P[:24] @ Q[[1, 5]].T), rel=1e-5)
    margins = scores[tested][:, [1, 5]].max(axis=1) - np.sort(scores[tested], axis=1)[:, -4]
    expected = np.mean(1 / (1 + np.exp(-margins / 0.1)))
    assert smoothed.goal_after(2, F) == pytest.approx(expected, rel=1e-4)


def test_an_unknown_goal_is_refused():
    with pytest.raises(UserError, match="one of hit, smoothed_hit, score, not 'fame'"):
        als_config(goal="fame")


def test_the_recommender_sees_ratings_and_continues_from_where_it_is(shop):
    blank, faint, clear, other = (
        zeroth_order.Oblivious(shop, als_config(goal="score"), seed) for seed in (1, 1, 1, 2)
    )
    zeros = np.zeros((3, 17))
    first = blank.goal_after(1, zeros)
    assert faint.goal_after(1, np.full((3, 17), 0.4)) == first  # no ratings either
    assert clear.goal_after(1, np.full((3, 17), 0.6)) != first
    assert other.goal_after(1, zeros) != first
    assert blank.goal_after(1, zeros) == faint.goal_after(1, zeros) != first


def test_targets_are_clicked_by_all_only_if_that_is_asked_for(shop):
    plain, forced = (
        zeroth_order.Oblivious(shop, als_config(click_targets=asked), 0)
        .profiles(np.zeros((3, 17)))
        .matrix()
        for asked in (False, True)
    )
    assert not plain.any() and np.all(forced[:, [1, 5]] > 0) and np.count_nonzero(forced) == 6


def test_a_mask_is_all_that_a_profile_can_have(shop):
    recommender = zeroth_order.Oblivious(shop, als_config(mask=4), 0)
    made = recommender.profiles(np.full((3, 17), 3.0)).matrix()
    np.testing.assert_array_equal(made > 0, random_mask((3, 17), 4, 0))


# The attack


def test_the_defaults_are_those_of_the_re_implementation():
    default = RecSys19Config(1, (0,))
    assert (default.directions, default.smoothing, default.step_size) == (5, 50, 100)
    assert (default.base_epochs, default.probe_epochs) == (50, 5)
    assert (default.goal, default.k, default.largest_move) == ("hit", 10, None)
    assert default.click_targets is False


def test_the_last_profiles_are_kept_and_every_change_is_counted(shop, tmp_path, monkeypatch):
    """Of three scripted steps on two users' profiles the second undoes the first."""
    options = RefinedBootstrapConfig(2, (1, 5), ALS)
    start = zeroth_order.starting_profiles(shop, options, 6, tmp_path, False)
    steps = iter(
        [(5 - start, 0.3, [0.9]), (start, 0.1, [0.2]), (np.where(start, 0, 2), 0.2, [0.0, 0.5])]
    )
    received = []

    class Recorder(zeroth_order.Oblivious):
        def goal_after(self, epochs, F):
            received.append((epochs, float(F.sum())))

    monkeypatch.setattr(zeroth_order, "Oblivious", Recorder)
    monkeypatch.setattr(zeroth_order, "zeroth_order_step", lambda *_: next(steps))
    profiles = zeroth_order.attack(shop, options, 6, tmp_path, 3, progress=False)
    np.testing.assert_array_equal(profiles.matrix() > 0, start == 0)
    first, second = start.sum(), (5 - start).sum()
    assert received == [(50, first), (50, second), (50, first)]
    table = pd.read_csv(tmp_path / "trajectory.csv")
    assert table["goal"].tolist() == [0.3, 0.1, 0.2]
    assert table["best_probe"].tolist() == [0.9, 0.2, 0.5]
    assert table["changed_entries"].tolist() == [start.size, 0, start.size]
    assert table["clicks"][1] == np.count_nonzero(start) / 2


def test_a_killed_attack_ends_in_the_same_bytes(shop, tmp_path, monkeypatch):
    """It is killed in the GAN, in the steps, and in them again."""
    options = RecSys19Config(
        5, (1, 5), TINY, gan_epochs=3, base_epochs=2, probe_epochs=1, directions=2, k=5
    )
    monkeypatch.setattr(gan, "SAVE_EVERY", 1)
    monkeypatch.setattr(dcgan, "FILTERS", NARROW)
    full, killed = (tmp_path / name / "synthetic" for name in ("full", "killed"))
    profiles = zeroth_order.attack(shop, options, 0, full / "a", 3, progress=False)
    assert profiles.n_users == 5 and profiles.matrix().max() <= 5
    folders = sorted(path.name for path in full.iterdir())
    assert len(folders) == 2  # one of them is the GAN's
    for epochs in (1, 3, 1):
        with monkeypatch.context() as patch, pytest.raises(Killed):
            killed_after(patch, gan, epochs)
            zeroth_order.attack(shop, options, 0, killed / "a", 3, progress=False)
    zeroth_order.attack(shop, options, 0, killed / "a", 3, progress=False)
    for name in folders:
        assert contents(killed / name) == contents(full / name)
