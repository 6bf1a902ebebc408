"""The ensemble and what is measured with it: between the certificate and the factors as they are, whatever their scale."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse.linalg import svds

from advrec_tf import data, evaluation, leaderboard, perturbations
from advrec_tf.execution import jobs
from advrec_tf.leaderboard import measuring, summary
from advrec_tf.perturbations import ensemble, single_user

SHOP = data.synthetic(n_users=120, n_items=80, per_user=10, rank=4)
U, s, Vt = svds(SHOP.matrix(), k=6, random_state=0)
P, Q = (U * s).astype(np.float32), Vt.T.astype(np.float32)
NUMBERS = ["nDCG", "HR", "certified_nDCG", "certified_HR", "ICov", "EFD", "SE"]


def measured(P, Q, interactions=SHOP, budget="relative") -> tuple[pd.DataFrame, list]:
    rows, kept = [], []
    for job in leaderboard.jobs("svd", P, Q, interactions, 0, 10, budget):
        own, users = jobs.named(job.function)(points=job.points, **job.arguments)
        np.testing.assert_allclose(
            users["nDCG"].mean(axis=1), [row["nDCG"] for row in own], rtol=1e-5
        )
        rows += own
        kept += [
            (row, {name: values[place] for name, values in users.items()})
            for place, row in enumerate(own)
        ]
    return pd.DataFrame(rows, columns=leaderboard.LAYOUT.columns), kept


@pytest.fixture
def few_sizes(monkeypatch):
    monkeypatch.setattr(measuring, "SIZES", {"l2": (0.02, 0.1), "linf": (0.05,)})


def test_the_truth_lies_between_certificate_and_ensemble(few_sizes):
    found = summary.tidy(*measured(P, Q))
    still = found[found["rho"] == 0]
    assert len(found) == 1 + 4 * 3 and still["nDCG"].item() == pytest.approx(
        evaluation.metrics(evaluation.top_k(P, Q, SHOP), SHOP)["nDCG"]
    )
    attacked = found[found["rho"] > 0]
    assert (attacked["certified_nDCG"] <= attacked["nDCG"] + 1e-9).all() and (
        attacked["certified_HR"] <= attacked["HR"] + 1e-9
    ).all()
    at = attacked.set_index(["threat", "ball", "rho"])["nDCG"]
    assert at["alone", "l2", 0.1] < at["test", "l2", 0.1] < at["train", "l2", 0.1]
    assert at["test", "l2", 0.1] < at["test", "l2", 0.02] < still["nDCG"].item()
    assert not set(attacked["member"]) & {"noise"}


RNG = np.random.default_rng(0)
A = np.linalg.qr(RNG.standard_normal((6, 6)))[0] @ np.diag([1, 2, 0.5, 3, 1, 0.3])
TWINS = {
    "1e-3 in single precision": (np.float32(1e-3) * P, Q),
    "1e3 in single precision": (np.float32(1e3) * P, np.float32(1e3) * Q),
    "times 2": (2 * P, Q),
    "times 10": (P, 10 * Q),
    "another basis": (np.float64(P) @ A, Q @ np.linalg.inv(A).T),
    "shifted": (P, Q + RNG.standard_normal(6)),
}


@pytest.mark.parametrize("name", TWINS)
def test_a_twin_has_the_same_row(name, few_sizes):
    own, other = (summary.tidy(*measured(*factors)) for factors in ((P, Q), TWINS[name]))
    np.testing.assert_array_equal(own["member"], other["member"])
    np.testing.assert_allclose(own[NUMBERS].astype(float), other[NUMBERS].astype(float), rtol=1e-4)


def test_a_factor_on_one_user_changes_nothing_of_the_row_budget(few_sizes):
    lengths = np.exp(RNG.standard_normal((len(P), 1))).astype(np.float32)
    own, other = (
        summary.tidy(*measured(*factors, budget="row")) for factors in ((P, Q), (lengths * P, Q))
    )
    np.testing.assert_allclose(own[NUMBERS].astype(float), other[NUMBERS].astype(float), rtol=1e-4)


def test_the_absolute_budget_is_a_share_of_the_norm_and_of_the_factors_as_they_are(few_sizes):
    rows, _ = measured(P, Q, budget="absolute")
    norm = np.sqrt(np.mean(np.concatenate([np.sum(P**2, axis=1), np.sum(Q**2, axis=1)])))
    np.testing.assert_allclose(
        sorted(rows.loc[rows["ball"] == "l2", "rho"].unique()), [0.02 * norm, 0.1 * norm]
    )
    row = rows[(rows["member"] == "bim") & (rows["ball"] == "linf")].iloc[0]
    delta = perturbations.bim(P, Q, data.sample_triples(SHOP, 0), row["rho"])
    assert (
        row["nDCG"]
        == evaluation.metrics(evaluation.top_k(P + delta.user, Q + delta.item, SHOP), SHOP)["nDCG"]
    )


def test_the_ensemble_is_never_weaker_than_bim_alone():
    triples = data.sample_triples(SHOP, 0)
    for rho, ball in ((0.05, "l2"), (0.3, "l2"), (0.1, "linf")):
        harm = {}
        for name, delta in ensemble.ensemble(ensemble.Problem(P, Q, SHOP), "train", rho, ball):
            harm[name] = evaluation.metrics(
                evaluation.top_k(P + delta.user, Q + delta.item, SHOP), SHOP
            )["nDCG"]
        delta = perturbations.bim(P, Q, triples, rho, ball=ball, unit="relative")
        bim = evaluation.metrics(evaluation.top_k(P + delta.user, Q + delta.item, SHOP), SHOP)[
            "nDCG"
        ]
        assert min(value for name, value in harm.items() if name != "noise") <= bim + 1e-9 and harm[
            "bim"
        ] == pytest.approx(bim)


def test_items_that_are_to_sink():
    split = data.synthetic(n_users=20, n_items=30, per_user=10, split="80:20")
    found = ensemble.items_of_test(split)
    for user in range(20):
        assert sorted(found[user][found[user] >= 0]) == sorted(
            split.test_items[split.test_users == user]
        )


def test_several_test_items_a_user_have_no_certificate(few_sizes):
    split = data.synthetic(n_users=20, n_items=30, per_user=10, split="80:20")
    rng = np.random.default_rng(0)
    found = summary.tidy(
        *measured(rng.standard_normal((20, 4)), rng.standard_normal((30, 4)), split)
    )
    assert (
        set(found["threat"]) == {"", "train", "lists", "test"}
        and found["certified_nDCG"].isna().all()
    )
    assert "certified" not in summary.report(found, "split").lower().split("##", 1)[1]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from(["l2", "linf"]), st.floats(0.01, 0.6))
def test_no_perturbation_at_random_breaks_a_certificate(seed, ball, rho):
    """Brute force over small factors: corners of the box, ends of the ball, and the worst answer of the items to each."""
    rng = np.random.default_rng(seed)
    p, q = rng.standard_normal((5, 2)), rng.standard_normal((7, 2))
    frame = pd.DataFrame(
        {"user": np.repeat(np.arange(5), 2), "item": [0, 1, 1, 2, 2, 3, 3, 4, 5, 6]}
    )
    small = data.Interactions.from_frames(
        frame, pd.DataFrame({"user": np.arange(5), "item": [4, 5, 6, 0, 1]})
    )
    form = perturbations.normalized_factors(p, q, "relative")
    reach_user, reach_item = (float(size[0, 0]) for size in form.sizes(rho))
    bounds = 1 + np.sum(
        evaluation.certified_radii(form.user, form.item, small, ball, 7, form.units)
        <= rho * (1 + 1e-6),
        axis=1,
    )
    found = single_user.worst_ranks(
        form, small, form.sizes(rho), ball, 7, ensemble.SCHEDULES["alone"]
    )
    directions = rng.standard_normal((300, 2))
    for row, (user, item) in enumerate(zip(small.test_users, small.test_items)):
        known = small.train_items[small.indptr[user] : small.indptr[user + 1]]
        rivals = [j for j in range(7) if j != item and j not in known]
        worst = 0
        for each in directions:
            step = (
                reach_user
                * (np.sign(each) if ball == "linf" else each / np.linalg.norm(each))
                * rng.choice([1, 0.5])
            )
            moved = form.user[user] + step
            away = reach_item * (
                np.sign(moved) if ball == "linf" else moved / np.linalg.norm(moved)
            )
            worst = max(
                worst,
                1
                + sum(
                    (form.item[j] + away) @ moved >= (form.item[item] - away) @ moved
                    for j in rivals
                ),
            )
        assert worst <= bounds[row] and found[row] <= bounds[row]


def points(*values, threat="train"):
    """Rows of two members at rising budgets, each nDCG a list of users', and what was kept."""
    kept = [
        (
            {
                "entry": "x",
                "factors": "f",
                "seed": 0,
                "budget": "relative",
                "threat": "",
                "ball": "",
                "rho": 0.0,
                "member": "",
                "k": 10,
            },
            {
                "nDCG": np.full(40, 0.5),
                "user activity": np.arange(40),
                "item popularity": np.arange(40)[::-1],
            },
        )
    ]
    for rho, own in enumerate(values, 1):
        for member, users in own.items():
            row = {
                **kept[0][0],
                "threat": threat,
                "ball": "l2",
                "rho": float(rho),
                "member": member,
            }
            kept.append((row, {"nDCG": users}))
    rows = [
        row
        | {"nDCG": users["nDCG"].mean(), "HR": 0.5, "ICov": 3, "EFD": 0.1, "SE": 1.0, "idle": 0.0}
        for row, users in kept
    ]
    return pd.DataFrame(rows), kept


UP, DOWN = 0.45 + 0.1 * np.sin(np.arange(40)), 0.3 + 0.1 * np.sin(np.arange(40))


def test_where_noise_does_more_harm_than_every_attack_it_is_told():
    for noise, told in ((DOWN, "noise does more harm"), (UP, "")):
        found = summary.tidy(*points({"noise": noise, "bim": UP}))
        assert found["masked"].tolist() == ["", told] and found["member"].tolist() == ["", "bim"]
        assert summary.doubts(found) == ([f"x: {told} (train, l2 1)"] if told else [])


def test_who_knows_the_training_pairs_has_the_attacks_on_lists_too():
    rows, kept = points({"bim": UP}, {"bim": DOWN})
    lists, also = points({"smooth DCG": DOWN}, {"smooth DCG": UP}, threat="lists")
    found = summary.tidy(pd.concat([rows, lists[1:]]), kept + also[1:]).set_index(["threat", "rho"])
    assert found["member"].to_dict() == {
        ("", 0): "",
        ("lists", 1): "smooth DCG",
        ("lists", 2): "smooth DCG",
        ("train", 1): "smooth DCG",
        ("train", 2): "bim",
    }
    assert found.loc["train", "nDCG"].tolist() == pytest.approx([DOWN.mean()] * 2)
    np.testing.assert_array_equal(
        found.loc[("train", 1), "users"], DOWN
    )  # those that the attack on lists has left
    np.testing.assert_array_equal(found.loc[("train", 2), "users"], DOWN)


def test_a_larger_budget_keeps_what_a_smaller_one_has_done_and_tells_that_it_did_less():
    found = summary.tidy(*points({"bim": DOWN, "pgd": UP}, {"bim": UP, "pgd": UP}))
    assert found["nDCG"].tolist() == pytest.approx([0.5, DOWN.mean(), DOWN.mean()]) and found[
        "masked"
    ].tolist()[1:] == [
        "",
        "a larger budget does less harm",
    ]
    chance = UP.copy()
    chance[0] += 1e-3  # of one user is none
    assert not summary.tidy(*points({"bim": UP}, {"bim": chance}))["masked"].any()


def test_an_attacker_can_always_do_nothing():
    """At every budget, whatever attacks do: the metrics and every user's values are then the clean ones."""
    clean, better = np.full(40, 0.5), np.full(40, 0.6)
    rows, kept = points({"bim": better}, {"bim": UP}, {"bim": better})
    rows.loc[rows["rho"] == 0, ["HR", "ICov"]] = [0.8, 7]
    found = summary.tidy(rows, kept)
    assert found["member"].tolist() == ["", "none", "bim", "bim"] and found["rho"].tolist() == [
        0,
        1,
        2,
        3,
    ]
    assert found["nDCG"].tolist() == pytest.approx([0.5, 0.5, UP.mean(), UP.mean()])
    assert found[["HR", "ICov"]].values.tolist() == [[0.8, 7], [0.8, 7], [0.5, 3], [0.5, 3]]
    assert set(found["threat"]) == {"", "train"} and found.loc[1, "ball"] == "l2"
    np.testing.assert_array_equal(found.loc[1, "users"], clean)
    assert (
        found.loc[1, "user activity 1"] == 0.5
        and found.loc[1, "masked"] == "a larger budget does less harm"
    )
    assert summary.half(found).loc["x"].isna().all()


def test_a_loss_without_gradient_is_told():
    rows, kept = points({"bim": UP, "pgd": UP})
    assert not summary.tidy(rows, kept)["masked"].any()
    rows.loc[rows["member"] == "bim", "idle"] = 0.9
    assert not summary.tidy(rows, kept)["masked"].any()
    rows.loc[rows["member"] == "pgd", "idle"] = 0.8
    assert summary.tidy(rows, kept)["masked"].tolist() == ["", "most rows have no gradient"]


def test_absolute_budgets_of_large_factors_are_told_to_be_masked(monkeypatch):
    """The hole that a relative budget closes: where sigmoids saturate, nothing moves."""
    monkeypatch.setattr(measuring, "SIZES", {"l2": (0.01,)})
    rows, _ = measured(1e4 * P, 1e4 * Q, budget="absolute")
    assert (
        rows.loc[rows["member"] == "bim", "idle"].item() > 0.9
        and not rows.loc[rows["member"] == "smooth DCG", "idle"].any()
    )
    relative, _ = measured(1e4 * P, 1e4 * Q)
    assert not relative.loc[relative["member"] == "bim", "idle"].any()


def test_users_without_a_test_item_are_not_idle(monkeypatch):
    monkeypatch.setattr(measuring, "SIZES", {"l2": (0.1,)})
    few = dataclasses.replace(
        SHOP, test_users=SHOP.test_users[:30], test_items=SHOP.test_items[:30]
    )
    rows, _ = measured(P, Q, few)
    assert not rows.loc[rows["member"] == "smooth DCG", "idle"].any()


def test_what_an_interrupted_run_has_left_is_left_out():
    rows, kept = points({"bim": UP})
    more, also = rows[:1].assign(entry="y"), [({**kept[0][0], "entry": "y"}, kept[0][1])]
    found, left_out = summary.complete(pd.concat([rows, more]))
    assert left_out == ["y"] and set(summary.tidy(found, kept + also)["entry"]) == {"x"}


def test_half_is_not_the_mean_of_those_seeds_that_reach_it():
    rows, kept = points({"bim": np.full(40, 0.4)}, {"bim": np.full(40, 0.1)})
    other, also = points({"bim": np.full(40, 0.4)}, {"bim": np.full(40, 0.4)})
    second = [({**row, "seed": 1}, users) for row, users in also]
    assert np.isnan(
        summary.half(summary.tidy(pd.concat([rows, other.assign(seed=1)]), kept + second)).loc[
            "x", "train"
        ]
    )


def test_quartiles_are_equal_parts_of_the_users():
    rows, kept = points({"bim": np.repeat([0.1, 0.2, 0.3, 0.4], 10)})
    found = summary.quartiles(summary.tidy(rows, kept))
    own = found[found["rho"] == 1].set_index(["by", "quartile"])["nDCG"]
    assert own["user activity"].tolist() == pytest.approx([0.1, 0.2, 0.3, 0.4]) and own[
        "item popularity"
    ].tolist() == pytest.approx([0.4, 0.3, 0.2, 0.1])


def test_half_is_where_half_of_the_accuracy_is_left():
    found = summary.half(
        summary.tidy(*points({"bim": np.full(40, 0.4)}, {"bim": np.full(40, 0.1)}))
    )
    assert found.loc["x", "train"] == pytest.approx(
        np.sqrt(2)
    )  # of .4 to .1 in log rho from 1 to 2
    assert np.isnan(
        summary.half(summary.tidy(*points({"bim": np.full(40, 0.4)}))).loc["x", "train"]
    )


def test_another_threat_is_none():
    with pytest.raises(ValueError, match="threat model must be one of train, lists, test"):
        ensemble.ensemble(ensemble.Problem(P, Q, SHOP), "oracle", 0.1)
