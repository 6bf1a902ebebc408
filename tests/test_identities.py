"""What the identities of weights, profiles and reconstructions depend on."""

from dataclasses import fields, replace

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation, recommenders
from advrec_tf.defenses import LowRank, Transformation, low_rank, measuring
from advrec_tf.errors import UserError
from advrec_tf.poisoning import Profiles, folder_of, heuristic
from advrec_tf.poisoning.settings import LEARNED, GanConfig
from advrec_tf.poisoning.trajectory import attack_folder
from advrec_tf.recommenders import AMFConfig, BPRMFConfig, PMFConfig, WRMFConfig

from specs import poisoned_spec, shop


def with_other_ratings(interactions):
    return replace(interactions, train_ratings=interactions.train_ratings[::-1].copy())


def test_weights_are_stored_by_all_that_they_depend_on(monkeypatch):
    interactions = shop()
    other = with_other_ratings(interactions)

    def folder(settings, seed=0, of=interactions):
        return recommenders.model_folder("models", of, settings, seed)

    wrmf, pmf = WRMFConfig(), PMFConfig()
    valued = replace(wrmf, feedback="values")
    assert folder(wrmf) == folder(wrmf, of=other) and folder(pmf) != folder(pmf, of=other)
    assert folder(valued) != folder(valued, of=other)
    assert folder(wrmf) != folder(wrmf, 1) and folder(wrmf) != folder(wrmf, of=shop(split="random"))
    before = folder(BPRMFConfig()), folder(AMFConfig()), folder(wrmf)
    monkeypatch.setattr(AMFConfig, "version", 1)  # its own: only what it starts from has changed
    monkeypatch.setattr(BPRMFConfig, "version", 2)
    assert folder(BPRMFConfig()) != before[0] and folder(AMFConfig()) != before[1]
    assert folder(wrmf) == before[2]


def test_recommenders_of_other_data_ratings_epochs_and_seeds_are_others(tmp_path):
    interactions = shop(split="80:20")
    other = with_other_ratings(interactions)
    tiny = PMFConfig(embedding_dim=2, batch_size=100)
    trainings = [
        (interactions, tiny, 1, 0),
        (other, tiny, 1, 0),
        (interactions, tiny, 2, 0),
        (interactions, tiny, 1, 1),
    ]
    factors = {
        measuring.train_or_load(*each, tmp_path, progress=False)["P"].tobytes()
        for each in trainings
    }
    assert len(factors) == 4 and len(list(tmp_path.glob("*.npz"))) == 4
    clicks = WRMFConfig(embedding_dim=2, batch_size=100)
    for each in (interactions, other):
        measuring.train_or_load(each, clicks, 1, 0, tmp_path, progress=False)
    assert len(list(tmp_path.glob("*.npz"))) == 5  # clicks alone are read
    pmf = measuring.train_or_load(interactions, tiny, 1, 0, tmp_path)
    assert pmf["mean"] == pytest.approx(interactions.train_ratings.mean())


def with_learned(plan, attack, **changes):
    """Return a plan with other fields of one attack."""
    return replace(plan, learned={**plan.learned, attack: {**plan.learned[attack], **changes}})


def test_profiles_are_stored_by_all_that_they_depend_on():
    spec = poisoned_spec("poison", attack=["recsys20"], fakes="6")
    plan, interactions = spec.plans["tail"], spec.data
    plans = [
        plan,
        replace(plan, seed=1),
        replace(plan, targets=(1, 2)),
        replace(plan, fakes=7),
        replace(plan, outer_epochs=9),
        with_learned(plan, "recsys20", click_limit=9),
    ]
    folders = [folder_of(interactions, "recsys20", each, 10, "p") for each in plans]
    folders += [
        folder_of(interactions, "recsys20", plan, 5, "p"),
        folder_of(with_other_ratings(interactions), "recsys20", plan, 10, "p"),
        folder_of(interactions, "recsys19", plan, 10, "p"),
    ]
    assert len(set(folders)) == len(folders)
    unread = with_learned(plan, "recsys19", gan_epochs=3)
    assert folder_of(interactions, "recsys20", unread, 10, "p") == folders[0]


def another(name, value):
    """Return another value of a field of an attack's configuration."""
    named = {"goal": "score", "defense": LowRank(20, 3), "targets": (1, 2)}
    if name in named:
        return named[name] if named[name] != value else "hit"
    if isinstance(value, WRMFConfig):
        return replace(value, embedding_dim=value.embedding_dim + 1)
    return not value if isinstance(value, bool) else (value or 0) + 1


@pytest.mark.parametrize("kind", LEARNED.values(), ids=lambda kind: kind.name)
def test_an_attack_is_stored_by_each_of_its_fields(kind):
    interactions = shop()
    names = [field.name for field in fields(kind)]
    config = kind(fakes=6, **({"targets": (1,)} if "targets" in names else {}))
    if "defense" in names:
        config = replace(config, defense=LowRank(20, 4))
    changes = [{}] + [{name: another(name, getattr(config, name))} for name in names]
    folders = {
        attack_folder(interactions, replace(config, **change), 2, 0, "p") for change in changes
    }
    folders |= {attack_folder(interactions, config, 3, 0, "p")}
    folders |= {attack_folder(interactions, config, 2, 1, "p")}
    assert len(folders) == len(names) + 3


def test_an_attack_is_stored_by_the_versions_of_what_it_uses(monkeypatch):
    interactions, defense = shop(), LowRank(20, 3)
    configs = {name: LEARNED[name](6, (1,)) for name in ("recsys20", "recsys19", "bootstrap_blind")}
    configs["recsys20_aware"] = LEARNED["recsys20_aware"](6, (1,), defense=defense)

    def folders():
        return {
            name: attack_folder(interactions, config, 2, 0, "p") for name, config in configs.items()
        }

    def moved(before):
        return {name for name, folder in folders().items() if folder != before[name]}

    before = folders()
    monkeypatch.setattr(low_rank, "VERSION", low_rank.VERSION + 1)
    assert moved(before) == {"recsys20_aware"}
    before = folders()
    monkeypatch.setattr(GanConfig, "version", GanConfig.version + 1)
    assert moved(before) == {"recsys19"}


def test_reconstructions_are_stored_by_all_that_they_depend_on():
    interactions = shop(split="80:20")
    changes = [{}, {"patch": 15}, {"rank": 4}, {"shuffle_seed": 1}, {"enter": "ratings"}]
    identities = {
        str(replace(LowRank(20, 3), **change).identity(interactions)) for change in changes
    }
    other = replace(interactions, train_items=np.roll(interactions.train_items, 1))
    identities |= {str(LowRank(20, 3).identity(other)), str(LowRank(None, 3).identity(other))}
    assert len(identities) == 7
    with pytest.raises(UserError, match="threshold must be a number from 0.1 up"):
        LowRank(20, 3, threshold=0.05)
    with pytest.raises(UserError, match="values enter by"):
        LowRank(20, 3, enter="softly")


def test_a_projection_is_of_clicks_or_of_ratings(tmp_path):
    interactions = shop(split="80:20")
    clicks, ratings = (
        Transformation(3, clicks=each).served(interactions, tmp_path).U for each in (True, False)
    )
    assert clicks.shape == (60, 3) and not np.allclose(np.abs(clicks), np.abs(ratings), atol=1e-3)


def test_a_wider_projection_is_not_taken_from_a_narrow_ones_cache(tmp_path):
    interactions = shop(split="80:20")
    narrow, wide = Transformation(2, widest=2), Transformation(5)
    assert narrow.served(interactions, tmp_path).U.shape == (60, 2)
    assert wide.served(interactions, tmp_path).U.shape == (60, 5)
    other = replace(interactions, train_items=interactions.train_items[::-1].copy())
    before, after = (wide.served(each, tmp_path).V for each in (interactions, other))
    assert not np.allclose(np.abs(before), np.abs(after), atol=1e-3)


def test_a_projection_on_fewer_vectors_says_so(tmp_path, capsys):
    pairs = [(user, item) for user in range(9) for item in (0, 1, 2)]
    pairs += [(user, 3 + user % 2) for user in range(9)]
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    interactions = data.Interactions.from_frames(frame, split="random")
    U, _ = Transformation(5).served(interactions, tmp_path)
    assert U.shape[1] < 5 and f"has {U.shape[1]} singular values above 0" in capsys.readouterr().err


def test_clicks_count_as_the_highest_rating_of_their_own_data():
    interactions = shop(split="80:20")
    tens = replace(interactions, train_ratings=interactions.train_ratings * 2)
    clicks = Profiles.from_matrix("x", np.eye(2, 40), tens, (0,))
    assert clicks.stacked_on(tens).train_ratings[-2:].tolist() == [10, 10]
    assert Profiles.from_arrays(clicks.arrays()).highest == 10
    made = heuristic("average", tens, 4, (1, 2), clicks=9)
    assert made.ratings.max() == 10 and made.ratings.min() >= 2


def test_lists_of_text_ids_come_back(tmp_path):
    pairs = [(user, item) for user in ("NA", "b", "c") for item in ("null", "x", "y")]
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    interactions = data.Interactions.from_frames(frame, split="random")
    lists = np.array([[0, 1, -1], [2, -1, -1], [1, 0, -1]], np.int32)
    path = tmp_path / "lists.tsv"
    evaluation.save_lists(path, lists, interactions)
    np.testing.assert_array_equal(evaluation.read_lists(path, interactions, 3), lists)
    np.testing.assert_array_equal(evaluation.read_lists(path, interactions), lists[:, :2])
    path.write_text("user\titem\trank\tscore\nNA\tx\t0\t\n")
    with pytest.raises(UserError, match="not lists of"):
        evaluation.read_lists(path, interactions)


def test_ratios_without_a_denominator_are_left_out():
    low, high = evaluation.bootstrap_interval(np.array([1.0, 0]), beside=np.array([0.0, 1]))
    assert 0 <= low <= high < np.inf
