"""RecSys20: the outer epochs, with a scripted surrogate and with the real one."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation
from advrec_tf.defenses import LowRank
from advrec_tf.errors import UserError
from advrec_tf.poisoning import Profiles, RecSys20Config, bilevel
from advrec_tf.poisoning.bilevel import binarised, initial_profiles
from advrec_tf.recommenders import WRMF, WRMFConfig

from killing import Killed, contents, killed_after

TINY = WRMFConfig(embedding_dim=3, batch_size=9)
NO_GRADIENT = [[0, 0, 0, 0]] * 2


def config(**changes):
    defaults = {"surrogate": TINY, "epochs": 5, "unrolled_epochs": 3, "k": 5}
    return RecSys20Config(4, (1, 5), **defaults | changes)


class Scripted:
    """A surrogate with given gradients [F, I] that records the profiles and seeds it receives.

    shown: whether the target is on the lists of each outer epoch
    """

    def __init__(self, gradients, shown=None):
        self.gradients, self.shown = gradients, shown or [False] * len(gradients)
        self.received = []

    def __call__(self, interactions, config, seed):
        return self

    def defended(self, X):
        return X

    def train_and_differentiate(self, X, seed=None):
        number = len(self.received)
        self.received.append((X.copy(), seed))
        Q = np.array([[1.0], [1], [1], [2 * self.shown[number]]])
        return 0.5, np.ones((5, 1)), Q, np.array(self.gradients[number], np.float32)


def three_users():
    """Users 0 and 1, from whom both fakes start, click {0, 1} and {1, 2}.  Nobody clicks item 3."""
    train = pd.DataFrame({"user": [0, 0, 1, 1, 2, 2], "item": [0, 1, 1, 2, 0, 2]})
    test = pd.DataFrame({"user": [0, 1, 2, 2], "item": [2, 0, 1, 3]})
    return data.Interactions.from_frames(train, test)


def outer_epochs(monkeypatch, folder, scripted, seed=0, **changes):
    """Attack with target 3; return the fakes before each outer epoch, and the final profiles."""
    monkeypatch.setattr(bilevel, "Surrogate", scripted)
    options = RecSys20Config(2, (3,), TINY, **{"k": 1} | changes)
    profiles = bilevel.attack(
        three_users(), options, seed, folder, len(scripted.gradients), progress=False
    )
    return [X.tolist() for X, _ in scripted.received], profiles


def test_a_step_goes_against_the_gradient_at_the_same_length_in_every_row(monkeypatch, tmp_path):
    """Row 0 loses item 0 and gains 0.01 of item 3.

    Row 1 has a gradient ten thousand times as small and gains item 0.
    """
    gradients = [[[10, 0, 0, -0.1], [-0.001, 0, 0, 0]], NO_GRADIENT]
    fakes, _ = outer_epochs(monkeypatch, tmp_path, Scripted(gradients))
    assert fakes == [[[1, 1, 0, 0], [0, 1, 1, 0]], [[0, 1, 0, 0], [1, 1, 1, 0]]]


@pytest.mark.parametrize("momentum, third", [(0.9, [0, 1, 0, 0]), (0.0, [1, 1, 0, 0])])
def test_steps_gather_momentum(monkeypatch, tmp_path, momentum, third):
    """After two equal gradients 1 - 0.6 is a click and 1 - 0.6 (1 + 0.9) is none.

    Afterwards the momentum continues without a gradient of that item.
    """
    gradients = [[[1, 0, 0, 0], [0, 0, 0, 0]]] * 2 + [[[0, 0, 0, 0], [0, -1, 0, 0]]] * 2
    fakes, _ = outer_epochs(
        monkeypatch, tmp_path, Scripted(gradients), learning_rate=0.6, momentum=momentum
    )
    assert [rows[0] for rows in fakes] == [[1, 1, 0, 0]] * 2 + [third] * 2


@pytest.mark.parametrize(
    "threshold, expected", [(0.05, [1, 1, 0, 1]), (0.04, [1, 1, 1, 1]), (0.06, [1, 1, 0, 0])]
)
def test_a_click_is_what_is_above_the_threshold(monkeypatch, tmp_path, threshold, expected):
    """A step of 0.07 along (0.6, 0.8) is 0.042 and 0.056."""
    scripted = Scripted([[[0, 0, -3, -4], [0, 0, 0, 0]], NO_GRADIENT])
    fakes, _ = outer_epochs(
        monkeypatch, tmp_path, scripted, learning_rate=0.07, threshold=threshold
    )
    assert fakes[1][0] == expected


def test_the_first_of_the_best_profiles_are_kept(monkeypatch, tmp_path):
    gradients = [[np.eye(4)[n]] * 2 for n in range(4)]
    scripted = Scripted(gradients, [False, True, False, True])
    fakes, profiles = outer_epochs(monkeypatch, tmp_path, scripted, momentum=0.0)
    assert len({str(rows) for rows in fakes}) == 4
    assert profiles.matrix().tolist() == fakes[1]
    assert (profiles.targets, profiles.name) == ((3,), "recsys20")
    table = pd.read_csv(tmp_path / "trajectory.csv")
    assert table["target_HR"].tolist() == [0, 1, 0, 1]
    assert table["clicks"].tolist() == [np.sum(rows) / 2 for rows in fakes]


@pytest.mark.parametrize(
    "limits, expected",
    [
        ({"clicks": 1}, [[[1, 0, 0, 0], [0, 1, 0, 0]], [[0, 0, 1, 0], [0, 1, 0, 0]]]),
        (
            {"clicks": 2, "click_targets": True},
            [[[1, 0, 0, 1], [0, 1, 0, 1]], [[0, 0, 1, 1], [0, 1, 0, 1]]],
        ),
    ],
)
def test_limits_hold_from_the_start(monkeypatch, tmp_path, limits, expected):
    scripted = Scripted([[[0, 0, -1, 0], [0, 0, 0, 0]], NO_GRADIENT])
    fakes, _ = outer_epochs(monkeypatch, tmp_path, scripted, learning_rate=2.0, **limits)
    assert fakes == expected


def test_every_outer_epoch_has_its_own_seed_unless_asked_otherwise(monkeypatch, tmp_path):
    seeds = {}
    for seed, fresh in ((0, True), (1, True), (1, False)):
        scripted = Scripted([NO_GRADIENT] * 3)
        outer_epochs(monkeypatch, tmp_path / f"{seed}{fresh}", scripted, seed, fresh_seeds=fresh)
        seeds[seed, fresh] = [received for _, received in scripted.received]
    assert len({*seeds[0, True], *seeds[1, True]}) == 6 and seeds[1, False] == [1, 1, 1]


def test_the_defaults_are_the_published_ones():
    default = RecSys20Config(1, (0,))
    assert (default.epochs, default.unrolled_epochs, default.click_limit) == (50, 10, 100)
    assert (default.learning_rate, default.momentum, default.threshold) == (1.0, 0.95, 0.05)
    assert (default.clicks, default.click_targets, default.fresh_seeds) == (None, False, True)
    assert default.k == 50
    with pytest.raises(UserError, match=r"--unrolled_epochs \(9\) are more than"):
        RecSys20Config(1, (0,), epochs=8, unrolled_epochs=9)


def test_fakes_start_from_the_first_users_up_to_the_limit():
    """The users have 3, 2 and 1 clicks.  A user without clicks is not a start."""
    train = pd.DataFrame({"user": [0, 0, 0, 1, 1, 2], "item": [0, 1, 2, 1, 2, 0]})
    built = data.Interactions.from_frames(train, pd.DataFrame({"user": [1], "item": [3]}))
    assert initial_profiles(built, 2, 2).tolist() == [[0, 1, 1, 0], [1, 0, 0, 0]]
    assert initial_profiles(built, 2, 3).tolist() == [[1, 1, 1, 0], [0, 1, 1, 0]]
    emptied = replace(built, train_users=built.train_users[3:], train_items=built.train_items[3:])
    assert initial_profiles(emptied, 2, 3).tolist() == [[0, 1, 1, 0], [1, 0, 0, 0]]
    with pytest.raises(UserError, match="1 users of frame have at most 1 clicks, fewer than the 2"):
        initial_profiles(built, 2, 1)


@pytest.mark.parametrize(
    "limits, expected",
    [
        ({}, [0, 1, 1, 1, 1]),
        ({"clicks": 2}, [0, 0, 1, 1, 0]),
        ({"clicks": 2, "click_targets": True}, [1, 0, 1, 0, 0]),
        ({"click_targets": True}, [1, 1, 1, 1, 1]),
        # Five entries would change; the two furthest are 1 -> 0.04 and 0 -> 0.9.
        ({"most_changes": 2}, [0, 0, 1, 0, 0]),
    ],
)
def test_binarised_profiles_hold_the_limits(limits, expected):
    X, start = np.array([[0.04, 0.06, 0.9, 0.5, 0.2]]), np.array([[1.0, 0, 0, 0, 0]])
    options = replace(config(**limits), targets=(0,))
    np.testing.assert_array_equal(binarised(X, options, start), [expected])
    level = replace(config(), threshold=0.5)  # an entry at it is no click
    assert binarised(np.array([[0.5, 0.75]]), level, start[:, :2]).tolist() == [[0, 1]]


def test_an_aware_attack_ends_in_other_profiles(shop, tmp_path):
    plain, aware = (
        bilevel.attack(
            shop,
            config(epochs=3, unrolled_epochs=2, defense=defense),
            0,
            tmp_path / ("plain" if defense is None else "aware"),
            3,
            progress=False,
        )
        for defense in (None, LowRank(8, 2))
    )
    assert plain.digest() != aware.digest()


def test_a_killed_attack_ends_in_the_same_bytes(shop, tmp_path, monkeypatch):
    full, killed = tmp_path / "full", tmp_path / "killed"
    profiles = bilevel.attack(shop, config(), 0, full, 3, progress=False)
    with monkeypatch.context() as patch, pytest.raises(Killed):
        killed_after(patch, bilevel, 1)
        bilevel.attack(shop, config(), 0, killed, 3, progress=False)
    assert Profiles.load(killed / "profiles.npz").n_users == 4  # the best so far
    bilevel.attack(shop, config(), 0, killed, 3, progress=False)
    assert contents(killed) == contents(full) != {}
    assert pd.read_csv(full / "trajectory.csv")["outer_epoch"].tolist() == [0, 1, 2]
    assert profiles.digest() == Profiles.load(full / "profiles.npz").digest()


def test_a_surrogate_that_diverges_is_an_error(shop, tmp_path):
    wild = config(surrogate=replace(TINY, learning_rate=1e30))
    with pytest.raises(UserError, match="surrogate's loss is"):
        bilevel.attack(shop, wild, 0, tmp_path, 1, progress=False)


def test_the_synthetic_check_target_hit_ratio_rises_clearly(tmp_path):
    """900 users, 100 fakes and 300 items of rank 20, fully unrolled (Tang et al., section 4.2)."""
    interactions = data.synthetic(
        n_users=900, n_items=300, per_user=25, rank=20, seed=0, split="80:20"
    )
    targets = data.choose_targets(interactions, "upper_torso", 5)
    wrmf = WRMFConfig(embedding_dim=20, batch_size=500)
    options = RecSys20Config(100, targets, wrmf, epochs=40, unrolled_epochs=40, k=10)
    profiles = bilevel.attack(interactions, options, 0, tmp_path, 8, progress=False)
    hit_ratios = []
    for train in (interactions, profiles.stacked_on(interactions)):
        model = WRMF(train.n_users, train.n_items, 20, seed=1)
        model.compile()
        model.fit(train, epochs=40, batch_size=500, verbose=0)
        measured = evaluation.poisoning_metrics(*model.factors, interactions, targets, 10)
        hit_ratios.append(measured["target_HR"])
    assert hit_ratios[1] > 1.3 * hit_ratios[0]
