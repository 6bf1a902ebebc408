"""Promotion: certificates against brute force, and attacks that never cross them."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.evaluation import promotion
from advrec_tf.evaluation.certificate import l2_radii
from advrec_tf.leaderboard import promotion_page
from advrec_tf.leaderboard.promotion import LAYOUT, groups_of, poisoned, targets_of
from advrec_tf.perturbations.promotion import promote_all, promote_row

from running import advrec

SHOP = data.synthetic(n_users=40, n_items=30, per_user=8, seed=5)
RNG = np.random.default_rng(0)
P, Q = RNG.standard_normal((40, 4)), RNG.standard_normal((30, 4))
TARGETS = np.array([3, 11, 29])
UNITS = (5.0, 0.2)
K = 5


def shown(user, item, target):
    """Return which lists hold the target, by sorting all scores."""
    scores = user @ item.T
    scores[SHOP.train_users, SHOP.train_items] = -np.inf
    higher = np.sum(scores > scores[:, [target]], axis=1)
    return (higher < K) & np.isfinite(scores[:, target])


def test_the_certificate_of_the_own_row_is_exact_for_each_user():
    radii = promotion.own_row_radii(P, Q, SHOP, TARGETS, K, UNITS)
    for target, of_users in zip(TARGETS, radii):
        np.testing.assert_array_equal(of_users == 0, shown(P, Q, target))
        known = promotion.knows(SHOP, int(target))
        np.testing.assert_array_equal(np.isinf(of_users), known)
        for user in np.flatnonzero((of_users > 0) & ~known):
            toward = P[user] / np.linalg.norm(P[user])
            for factor, enters in ((0.999, False), (1.001, True)):
                moved = Q.copy()
                moved[target] += factor * of_users[user] * UNITS[1] * toward
                assert shown(P, moved, target)[user] == enters


def test_no_move_of_the_row_in_a_plane_beats_the_attack_by_much_or_the_bound():
    user, item = P[:, :2], Q[:, :2]
    angles = np.linspace(0, 2 * np.pi, 2000, endpoint=False)
    directions = np.column_stack([np.cos(angles), np.sin(angles)])
    for target in TARGETS:
        (rival,) = promotion.last_rivals(user, item, SHOP, np.array([target]), K)
        known = promotion.knows(SHOP, int(target))
        for epsilon in (0.2, 0.8, 2.0):
            length, best = epsilon * UNITS[1], 0.0
            for direction in directions:
                moved = item.copy()
                moved[target] += length * direction
                best = max(best, shown(user, moved, target).mean())
            move, share = promote_row(user, item[target], rival, known, length)
            assert np.linalg.norm(move) <= length * 1.000001
            moved = item.copy()
            moved[target] += move
            assert share == pytest.approx(shown(user, moved, target).mean())
            bound = promotion.own_row_radii(user, item, SHOP, np.array([target]), K, UNITS)
            assert best - 0.1 <= share and best <= np.mean(bound <= epsilon) + 1e-9


def test_no_move_of_all_rows_crosses_the_bound():
    radii = promotion.all_rows_radii(P, Q, SHOP, TARGETS, K, UNITS)
    own = promotion.own_row_radii(P, Q, SHOP, TARGETS, K, UNITS)
    assert (radii <= own + 1e-9).all()
    for number, target in enumerate(TARGETS):
        np.testing.assert_array_equal(radii[number] == 0, shown(P, Q, target))
        for epsilon in (0.05, 0.2, 0.5, 1.0):
            delta, share = promote_all(
                P, Q, SHOP, int(target), K, tuple(epsilon * unit for unit in UNITS)
            )
            moves = [delta.user, delta.item]
            for x, unit in zip(moves, UNITS):
                assert np.linalg.norm(x, axis=1).max() <= epsilon * unit * 1.00001
            entered = shown(P + delta.user, Q + delta.item, target)
            assert share == pytest.approx(entered.mean(), abs=1 / 40 + 1e-9)
            assert (radii[number][entered] <= epsilon).all()
            for _ in range(20):
                x, y = (RNG.standard_normal(each.shape) for each in (P, Q))
                x, y = (
                    epsilon * unit * each / np.linalg.norm(each, axis=1, keepdims=True)
                    for each, unit in zip((x, y), UNITS)
                )
                assert (radii[number][shown(P + x, Q + y, target)] <= epsilon).all()


def test_the_bound_of_all_rows_is_reached_where_one_item_must_be_passed():
    """The worst move of a pair turns the user's row in a plane; both items' rows follow it."""
    users, items = 12, 9
    rng = np.random.default_rng(1)
    user, item = rng.standard_normal((users, 3)), rng.standard_normal((items, 3))
    tiny = data.Interactions.from_frames(
        pd.DataFrame([(u, i) for u in range(users) for i in range(items)], columns=["user", "item"])
    )
    tiny = tiny.without(tiny.train_items < 7, "tiny")  # only items 7 and 8 are known
    norms = 0.4, 0.3
    radii = promotion.all_rows_radii(user, item, tiny, np.arange(items), 1, norms)
    angles = np.linspace(0, 2 * np.pi, 4001)
    for u in range(users):
        known = tiny.train_items[tiny.indptr[u] : tiny.indptr[u + 1]]
        scores = item @ user[u]
        scores[known] = -np.inf
        first, second = np.argsort(-scores)[:2]
        difference = item[second] - item[first]
        plane = np.linalg.qr(np.column_stack([user[u], difference]))[0]
        steps = np.column_stack([np.cos(angles), np.sin(angles)]) @ plane.T
        for factor, passes in ((0.999, False), (1.001, True)):
            size = factor * radii[second, u]
            moved = user[u] + size * norms[0] * steps
            gains = moved @ difference + 2 * size * norms[1] * np.linalg.norm(moved, axis=1)
            assert (gains.max() > 0) == passes


def test_as_many_items_must_be_passed_as_stand_in_the_way():
    radii = promotion.all_rows_radii(P, Q, SHOP, TARGETS, K, UNITS)
    for number, target in enumerate(TARGETS):
        scores = P @ Q.T
        scores[SHOP.train_users, SHOP.train_items] = -np.inf
        for user in np.flatnonzero(np.isfinite(scores[:, target])):
            above = np.flatnonzero(scores[user] > scores[user, target])
            pairs = [
                l2_radii(
                    P[[user]] / UNITS[0],
                    Q[[item]] - Q[[target]],
                    np.array([2 * UNITS[1]]),
                    (scores[user, [item]] - scores[user, target]) / UNITS[0],
                )[0]
                for item in above
            ]
            needed = len(above) - (K - 1)
            expected = np.sort(pairs)[needed - 1] if needed > 0 else 0
            assert radii[number, user] == pytest.approx(expected)


def test_attacks_by_all_rows_do_more_than_by_one():
    gains = []
    for target in TARGETS:
        (rival,) = promotion.last_rivals(P, Q, SHOP, np.array([target]), K)
        known = promotion.knows(SHOP, int(target))
        _, own = promote_row(P, Q[target], rival, known, 0.3 * UNITS[1])
        _, both = promote_all(P, Q, SHOP, int(target), K, tuple(0.3 * unit for unit in UNITS))
        assert own >= shown(P, Q, target).mean() - 1e-9
        gains.append(both - own)
    assert min(gains) >= 0 and sum(gains) > 0.05


def test_last_rivals_by_hand():
    rivals = promotion.last_rivals(P, Q, SHOP, TARGETS, K)
    scores = P @ Q.T
    scores[SHOP.train_users, SHOP.train_items] = -np.inf
    for target, rival in zip(TARGETS, rivals):
        without = scores.copy()
        without[:, target] = -np.inf
        np.testing.assert_allclose(rival.scores, np.sort(without, axis=1)[:, -K])
        np.testing.assert_array_equal(rival.items, np.argsort(-without, axis=1)[:, K - 1])


def test_users_with_short_lists_have_every_item():
    tiny = data.Interactions.from_frames(
        pd.DataFrame([(u, i) for u in range(3) for i in range(u, 5)], columns=["user", "item"])
    )
    user, item = RNG.standard_normal((3, 2)), RNG.standard_normal((5, 2))
    radii = promotion.own_row_radii(user, item, tiny, np.arange(5), 4, (1, 1))
    assert set(np.unique(radii)) <= {0.0, np.inf}


def test_fake_users_restated():
    """What fakes reach is read from the lists, and how far targets move from aligned rows."""
    point = {"group": "tail", "seed": 0, "k": K}
    other = P + 0.1 * RNG.standard_normal(P.shape), Q + 0.1 * RNG.standard_normal(Q.shape)
    ((row,), _) = poisoned([point], P, Q, other, SHOP)
    targets = targets_of(SHOP, "tail", 0)
    expected = np.mean([shown(*other, target).mean() for target in targets])
    assert row["target_HR"] == pytest.approx(expected, abs=1e-6)
    assert 0.02 < row["moved"] < 0.2
    ((same,), _) = poisoned([point], P, Q, (2 * P, Q), SHOP)
    assert same["moved"] < 1e-5


def page_rows():
    """Return rows of four entries, each also user-normalised, whose HR rises with epsilon."""
    rows = []
    for n, normalized in ((n, normalized) for n in range(4) for normalized in (False, True)):
        for epsilon, hr in ((0.0, 0.0), (0.1, 0.05 * (1 + normalized)), (0.2, 0.25 - 0.02 * n)):
            base = {"entry": f"e{n}{normalized}", "model": f"m{n}", "model_rank": 4.0, "seed": 0}
            base |= {"user_normalized": normalized, "group": "tail", "rows": "target", "k": 10}
            rows.append(base | {"epsilon": epsilon, "target_HR": hr, "bound": 1.0})
    return pd.DataFrame(rows, columns=LAYOUT.columns)


def test_the_epsilon_that_a_share_needs_is_interpolated():
    table = promotion_page.reaching(page_rows()).set_index("entry")
    assert table.loc["e0False", 0.1] == pytest.approx(0.1 + 0.1 * 0.05 / 0.2)
    assert table.loc["e0False", 0.01] == pytest.approx(0.02)
    assert np.isnan(table.loc["e0False", 0.5])
    assert "makes promotion easier" in promotion_page.answer(page_rows())


def test_users_who_are_nearly_alike_are_reached():
    rng = np.random.default_rng(0)
    users, gaps = 1 + 0.01 * rng.standard_normal((1000, 1)), 1 + 0.02 * rng.standard_normal(1000)
    rival = promotion.Rivals(np.zeros(1000, int), gaps)
    _, share = promote_row(users, np.zeros(1), rival, np.zeros(1000, bool), 5.0)
    assert share == 1


def test_pairs_that_need_no_or_no_measured_epsilon_are_left_out_and_said():
    rows = page_rows()
    rows.loc[(rows["model"] == "m3") & rows["user_normalized"], "target_HR"] = 0.0
    assert "over 3 pairs of entries; 1 have none" in promotion_page.answer(rows)
    rows.loc[rows["epsilon"] == 0, "target_HR"] = 0.02
    assert "User-normalising" not in promotion_page.answer(rows)


def test_groups_without_items_are_left_out():
    equal = pd.DataFrame([(u, i) for u in range(5) for i in range(8)], columns=["user", "item"])
    test = pd.DataFrame([(u, 8) for u in range(5)], columns=["user", "item"])
    built = data.Interactions.from_frames(equal, test)
    assert set(groups_of(built)) < {"head", "upper_torso", "lower_torso", "tail"}


def test_the_command(tmp_path):
    result = advrec(
        "--experiment=promotion",
        "--preset=quick",
        "--seed=0",
        "--entries=SVD-4,MostPopular",
        f"--output_dir={tmp_path}",
    )
    assert result.status == 0, result.err
    assert "An unpopular item enters 1% of all lists when its row alone moves by" in result.out
    rows = pd.read_csv(tmp_path / "promotion" / "synthetic" / "results.csv")
    assert set(rows["rows"]) == {"target", "all", "bandwagon 1%"}
    attacked, fakes = rows[rows["bound"].notna()], rows[rows["moved"].notna()]
    assert (attacked["target_HR"] <= attacked["bound"] + 1e-9).all() and len(attacked) == 128
    assert set(fakes["group"]) == {"head", "upper_torso", "lower_torso", "tail"}
    assert (fakes["moved"] > 0).all() and "| SVD-4 | tail |" in result.report.split("Fake users")[1]
    assert "| SVD-4 | tail |" in result.report
