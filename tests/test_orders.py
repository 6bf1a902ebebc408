"""A recommender that gets its users in another order is measured on the same users."""

import numpy as np
import pytest

from advrec_tf import data, evaluation
from advrec_tf.defenses import Defense, Transformation, measuring, project, projection, sanitize
from advrec_tf.defenses.measuring import VictimSpec
from advrec_tf.poisoning import heuristic
from advrec_tf.recommenders import WRMFConfig

SHOP = data.synthetic(n_users=24, n_items=17, per_user=6, seed=2, split="80:20")
POISONED = heuristic("average", SHOP, 4, (1, 2)).stacked_on(SHOP)
ROW_OF = {user: row for row, user in enumerate(POISONED.user_ids)}


class Emptying(Defense):
    """Takes the clicks of the first two real users and of the last fake."""

    def cleaned(self, data, n_real, cache_dir):
        rows = [ROW_OF[user] for user in data.user_ids]
        return sanitize(data, np.isin(rows, [0, 1, POISONED.n_users - 1]))[0]


@pytest.fixture
def fixed_factors(monkeypatch):
    """Let every training give each user the same factors, wherever the user stands."""
    rng = np.random.default_rng(0)
    P, Q = rng.normal(size=(POISONED.n_users, 3)), rng.normal(size=(SHOP.n_items, 3))

    def train_or_load(data, *_):
        return {"P": P[[ROW_OF[user] for user in data.user_ids]], "Q": Q, "mean": np.float64(0)}

    monkeypatch.setattr(measuring, "train_or_load", train_or_load)


def test_factors_are_projected_before_they_are_measured(fixed_factors, tmp_path):
    point = {"epoch": 1, "seed": 0, "k": 4}
    spec = VictimSpec(POISONED, Transformation(2), WRMFConfig(3))
    (row,), _ = measuring.measure([point], SHOP, spec, (1, 2), tmp_path)
    trained = measuring.train_or_load(POISONED)
    bases = projection(POISONED.matrix(ratings=True), 2)
    P, Q = project(trained["P"], trained["Q"], *bases)
    expected = evaluation.poisoning_metrics(P, Q, SHOP, (1, 2), 4)
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    plain = evaluation.poisoning_metrics(trained["P"], trained["Q"], SHOP, (1, 2), 4)
    assert row["target_score"] != pytest.approx(plain["target_score"])


def test_the_order_of_users_changes_no_row_where_it_changes_no_factor(fixed_factors, tmp_path):
    point = {"epoch": 1, "seed": 0, "k": 4}

    def measured(order):
        spec = VictimSpec(POISONED, Emptying(), WRMFConfig(3), order)
        return measuring.measure([point], SHOP, spec, (1, 2), tmp_path)

    (expected,), users = measured(None)
    assert (expected["emptied_users"], expected["emptied_fakes"]) == (2, 1)
    for name in measuring.ORDERS:
        order = measuring.order_of(name, SHOP.n_users, 4)
        (row,), of_users = measured(order)
        assert row == pytest.approx(expected), name
        for metric, values in users.items():
            np.testing.assert_array_equal(of_users[metric], values)
    assert not np.array_equal(order, np.argsort(order))  # it is not its own inverse
