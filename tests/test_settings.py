"""From flags to studies, and what identities depend on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation, perturbations, recommenders
from advrec_tf.cli import flags
from advrec_tf.defenses import LowRank, Transformation, measuring
from advrec_tf.errors import UserError
from advrec_tf.files import locked
from advrec_tf.perturbations import Perturbation
from advrec_tf.poisoning import Profiles, folder_of, heuristic
from advrec_tf.recommenders import AMFSettings, BPRMFSettings, PMFSettings, WRMFSettings
from experiments.lowrank import figure2, figure4, figure6, poisoned, table2, table3
from experiments.lowrank import table1 as lowrank_table1
from experiments.multistep import budget, characteristics, perturbed, table1


def shop(**more):
    return data.synthetic(n_users=60, n_items=40, per_user=9, seed=3, **more)


def values(experiment, **given):
    return {**flags.values(experiment, {"preset": "quick", **given}), "experiment": experiment}


def study(experiment, module=poisoned, interactions=None, folder="out", **given):
    interactions = interactions or shop(split="80:20" if module is poisoned else None)
    given = ({"target_group": ["tail"]} if module is poisoned else {}) | given
    found = module.studies(values(experiment, **given), [interactions], Path(folder))
    return found[0]


# Flags


def test_flags_not_given_are_those_of_preset_and_experiment():
    assert flags.values("table1", {})["dataset"] == ["ml-1m", "lastfm"] and flags.values(
        "poison", {}
    )["dataset"] == ["gowalla"]
    assert flags.values("lowrank_figure3", {})["victim"] == "pmf" and flags.values("poison", {})[
        "seed"
    ] == [0, 1, 2, 3, 4]
    assert flags.values("lowrank_figure3", {"preset": "quick"})["dataset"] == ["synthetic"]
    assert (
        flags.values("budget", {})["iterations"] == [25]
        and len(flags.values("budget", {})["epsilon"]) == 17
    )
    assert flags.values("lowrank_table3", {})["patches"] == ["200x50"]


@pytest.mark.parametrize(
    "text, fits",
    [("0", True), ("100", True), ("100.5", False), ("-1", False), ("inf", False), ("x", False)],
)
def test_bounds_of_numbers_are_allowed_themselves(text, fits):
    if fits:
        assert flags.values("lowrank_figure6", {"shares": [text]})["shares"] == [float(text)]
    else:
        with pytest.raises(UserError, match="--shares must be different numbers from 0 to 100"):
            flags.values("lowrank_figure6", {"shares": [text]})


def test_every_flag_is_read_by_an_experiment_that_exists():
    assert all(
        set(flag.read_by) <= set(flags.EXPERIMENTS) and flag.read_by
        for flag in flags.FLAGS.values()
    )
    for name in flags.EXPERIMENTS:
        assert set(values(name)) - {"experiment"} == {
            own for own, flag in flags.FLAGS.items() if name in flag.read_by
        }


def test_published_numbers_are_of_the_paper_s_settings():
    paper = {**flags.values("table1", {}), "experiment": "table1"}
    assert flags.as_published(paper, 1162)
    for change in (
        {"epochs": 1161},
        {"embedding_dim": 32},
        {"step_size": 0.1},
        {"eval_every": 5},
        {"iterations": [1, 10]},
        {"pgd_init": 0.1},
        {"epsilon": [0.4]},
    ):
        assert not flags.as_published({**paper, **change}, 1162)
    assert flags.as_published(
        {
            **paper,
            "seed": [4],
            "workers": 1,
            "job_threads": 4,
            "job_memory": 2,
            "model_selection": ["last"],
        },
        1162,
    )
    public = {**flags.values("poison", {}), "experiment": "poison"}
    for change in (
        {"victim_epochs": 5},
        {"fakes": 10},
        {"targets": [1]},
        {"solver": "als"},
        {"gan_epochs": 2},
        {"surrogate_dim": 8},
    ):
        assert flags.as_published(public) and not flags.as_published({**public, **change})


def test_published_numbers_are_of_registered_data():
    for registered in (True, False):
        interactions = replace(shop(), registered=registered, name="ml-1m")
        (found,) = perturbed.studies(
            {**flags.values("table1", {}), "experiment": "table1"}, [interactions], Path("out")
        )
        assert (
            found.published == registered
            and (("published", "epoch:377") in found.epochs_of(found.bprmf)) == registered
        )


# Studies of poisoned data


@pytest.fixture
def captured(monkeypatch):
    """What victims are trained on, in place of training them: their factors are known."""
    asked = []
    rng = np.random.default_rng(0)

    def victim(interactions, settings, epochs, seed, folder, progress=True, position=0):
        asked.append((interactions, settings, epochs, seed))
        return {
            "P": rng.normal(size=(interactions.n_users, 4)),
            "Q": rng.normal(size=(40, 4)),
            "mean": np.float64(0),
        }

    monkeypatch.setattr(measuring, "train_or_load", victim)
    return asked


def run_job(job):
    from advrec_tf.execution import jobs

    return jobs.named(job.function)(points=job.points, **job.arguments, position=0)


def test_a_victim_is_trained_on_what_the_defence_makes_of_the_poisoned_data(captured, tmp_path):
    found = study(
        "lowrank_table2",
        folder=tmp_path,
        attack=["random"],
        fakes="6",
        seed=["3"],
        enter="weights",
        patches=["20x5"],
    )
    jobs = poisoned.jobs(found, ["none", "random"], poisoned.reconstructions(found))
    rows = [run_job(job)[0][0] for job in jobs]
    assert [row["attack"] for row in rows] == ["none", "none", "random", "random"] and [
        row["seed"] for row in rows
    ] == [3] * 4
    assert [row["defense"] for row in rows] == ["none", "low_rank:weights"] * 2
    sizes, feedback = (
        [asked[0].n_users for asked in captured],
        [asked[1].feedback for asked in captured],
    )
    assert (
        sizes == [60, 60, 66, 66]
        and feedback == ["binary", "weights"] * 2
        and {asked[2:] for asked in captured} == {(50, 3)}
    )
    assert captured[3][0].train_ratings.max() <= 1  # reconstructed values


def test_a_victim_is_measured_on_the_real_users_of_the_clean_data(captured, tmp_path):
    found = study("poison", folder=tmp_path, attack=["random"], fakes="6", seed=["0"])
    (job,) = poisoned.jobs(found, ["random"], [poisoned.UNDEFENDED])
    rng = np.random.default_rng(0)
    (row,), users = run_job(job)
    P, Q = rng.normal(size=(66, 4)), rng.normal(size=(40, 4))
    expected = evaluation.poisoning_metrics(P[:60], Q, found.data, found.plans["tail"].targets, 10)
    assert {name: row[name] for name in expected} == expected and users["HR"].shape == (
        1,
        len(np.unique(found.data.test_users)),
    )


def test_victims_of_other_data_ratings_epochs_and_seeds_are_others(tmp_path):
    interactions = shop(split="80:20")
    other = replace(interactions, train_ratings=interactions.train_ratings[::-1].copy())
    tiny = PMFSettings(embedding_dim=2, batch_size=100)
    asked = [
        (interactions, tiny, 1, 0),
        (other, tiny, 1, 0),
        (interactions, tiny, 2, 0),
        (interactions, tiny, 1, 1),
    ]
    found = [
        measuring.train_or_load(*each, tmp_path, progress=False)["P"].tobytes() for each in asked
    ]
    assert len(set(found)) == 4 and len(list(tmp_path.glob("*.npz"))) == 4
    clicks = WRMFSettings(embedding_dim=2, batch_size=100)
    for each in (interactions, other):
        measuring.train_or_load(each, clicks, 1, 0, tmp_path, progress=False)
    assert len(list(tmp_path.glob("*.npz"))) == 5  # clicks alone are read
    pmf = measuring.train_or_load(interactions, tiny, 1, 0, tmp_path)
    assert pmf["mean"] == pytest.approx(interactions.train_ratings.mean())


def test_profiles_are_kept_by_all_that_they_depend_on():
    found = study("poison", attack=["recsys20"], fakes="6")
    plan, interactions = found.plans["tail"], found.data
    other = replace(interactions, train_ratings=interactions.train_ratings[::-1].copy())
    changes = [{}, {"seed": 1}, {"targets": (1, 2)}, {"fakes": 7}, {"outer_epochs": 9}]
    changes.append(
        {"learned": {**plan.learned, "recsys20": {**plan.learned["recsys20"], "click_limit": 9}}}
    )
    folders = [
        folder_of(interactions, "recsys20", replace(plan, **change), 10, "p") for change in changes
    ]
    folders += [
        folder_of(interactions, "recsys20", plan, 5, "p"),
        folder_of(other, "recsys20", plan, 10, "p"),
        folder_of(interactions, "recsys19", plan, 10, "p"),
    ]
    assert len(set(folders)) == len(folders)
    unread = replace(
        plan, learned={**plan.learned, "recsys19": {**plan.learned["recsys19"], "gan_epochs": 3}}
    )
    assert folder_of(interactions, "recsys20", unread, 10, "p") == folders[0]


def test_experiments_defend_as_their_tables_say(tmp_path):
    six = study("lowrank_figure6", folder=tmp_path, attack=["random"], fakes="6", seed=["0"])
    defenses = [
        job.arguments["spec"].defense for job in figure6.jobs(six)[: len(six.values["shares"]) * 2]
    ]
    assert all((d.before if isinstance(d, Transformation) else d).keep_originals for d in defenses)
    assert {d.columns["defense"] for d in defenses} == {
        "new ratings",
        "new ratings + transformation",
    }
    four = study("lowrank_figure4", folder=tmp_path, attack=["random"], fakes="6", seed=["0"])
    assert {job.points[0]["model"] for job in figure4.jobs(four)} == {"PMF(4)", "PMF(8)"}
    assert four.config["victims"]["PMF"]["embedding_dim"] is None
    (three,) = table3.studies(values("lowrank_table3", target_group=["tail"]), [six.data], tmp_path)
    assert three.all_attacks == ["recsys19", "recsys20", "recsys19+recsys20"]
    three = replace(three, attacks=("random",))
    attacks = [
        job.points[0]["attack"]
        for job in table3.jobs(replace(three, values={**three.values, "patches": [(20, 5)]}))
    ]
    assert set(attacks) == {"none", "random"}


def test_detectors_are_tested_on_another_run_and_folds_follow_the_seed(tmp_path):
    one = study(
        "lowrank_table1",
        folder=tmp_path,
        attack=["random"],
        fakes="6",
        seed=["0"],
        attack_seed="4",
        other_outer_epochs="7",
    )
    other, names = lowrank_table1.elsewhere(one)
    assert (other.plans["tail"].seed, other.plans["tail"].outer_epochs) == (5, 7) and names == [
        "bandwagon",
        "recsys20",
        "recsys20_disguised",
        "recsys19",
    ]
    two = study("lowrank_figure2", folder=tmp_path, attack=["random"], fakes="6", seed=["2"])
    points = [point for job in figure2.jobs(two) for point in job.points]
    assert {point["seed"] for point in points} == {2} and {point["fold"] for point in points} == {
        0,
        1,
        2,
    }


def test_one_attack_is_one(tmp_path):
    with pytest.raises(UserError, match="takes one --attack, not none"):
        table2.EXPERIMENT.studies(
            values("lowrank_table2", attack=["none"], target_group=["tail"]),
            [shop(split="80:20")],
            tmp_path,
        )


# Studies of perturbed factors


def test_sub_samples_without_timestamps_follow_the_split_seed(tmp_path):
    rare = data.synthetic(
        n_users=60, n_items=150, per_user=9, seed=3, split="random"
    )  # many test items fall away
    bare = replace(rare, train_timestamps=None)
    first, again, other = (
        characteristics.sub_samples(values("characteristics", cores=["5"], split_seed=s), bare)[0][
            0
        ]
        for s in "001"
    )
    assert first.fingerprint == again.fingerprint != other.fingerprint


def test_table_1_takes_fgsm_after_pgd_where_pgd_ended(tmp_path, monkeypatch):
    found = study("table1", perturbed, iterations=["1", "3"], seed=["0"], model_selection=["last"])
    monkeypatch.setattr(
        perturbed, "weights_of", lambda study, seed: [(study.bprmf, 9, ["last"], {})]
    )
    points = [
        point
        for job in table1.jobs(found)
        for point in job.points
        if point.get("start") == "after_pgd"
    ]
    assert all((point["attack"], point["step_size"]) == ("fgsm", 0.5) for point in points)
    assert [point.get("draw") for point in points] == [None, 1]  # the quick preset has two draws


def test_figure_2_cuts_the_budgets_of_an_attack_into_jobs(monkeypatch):
    monkeypatch.setattr(
        perturbed, "weights_of", lambda study, seed: [(study.bprmf, 9, ["last"], {})]
    )
    found = study(
        "budget",
        perturbed,
        iterations=["25"],
        seed=["0"],
        model_selection=["last"],
        epsilon=[str(e / 10) for e in range(1, 9)],
    )
    attacked = [
        job.points
        for job in budget.jobs(found)
        if job.points[0].get("attack") in ("fgsm", "bim", "pgd")
    ]
    assert [len(points) for points in attacked] == [7, 1] * 4  # BIM has two balls
    assert sorted(point["epsilon"] for points in attacked for point in points) == sorted(
        4 * [e / 10 for e in range(1, 9)]
    )


def test_points_that_share_a_run_are_those_of_each_alone(problem):
    P, Q, triples = problem()
    points = perturbations.points("pgd", [0.2, 0.4], (2, 5)) + perturbations.points(
        "fgsm", [0.4], start="after_pgd"
    )
    found = [delta for _, delta in perturbations.perturbed(P, Q, triples, points, 7, 0.1)]
    alone = [
        perturbations.pgd(P, Q, triples, e, n, seed=7, init_range=0.1)
        for e in (0.2, 0.4)
        for n in (2, 5)
    ]
    alone.append(perturbations.fgsm(P, Q, triples, 0.4, init=alone[-1]))
    for mine, theirs in zip(found, alone):
        np.testing.assert_array_equal(mine.user, theirs.user)
        np.testing.assert_array_equal(mine.item, theirs.item)
    bim = next(perturbations.perturbed(P, Q, triples, perturbations.points("bim", [0.4], (2,))))[1]
    assert not np.array_equal(bim.user, alone[2].user) and not np.array_equal(
        perturbations.fgsm(P, Q, triples, 0.4).user, alone[-1].user
    )


def test_fixed_columns_stay_whatever_the_start(problem):
    P, Q, triples = problem()
    fixed = (np.arange(7) == 2, np.zeros(7, bool))
    start = Perturbation(np.ones_like(P), np.ones_like(Q))
    held = next(perturbations.trajectory(P, Q, triples, 0.3, init=start, fixed=fixed, read_at=(2,)))
    assert not held.user[:, 2].any() and held.item[:, 2].any()
    with pytest.raises(ValueError, match="through must be two bases"):
        perturbations.trajectory(P, Q, triples, through=(np.eye(3), np.eye(len(Q))))


# Identities


def test_weights_are_kept_by_all_that_they_depend_on(monkeypatch):
    interactions = shop()
    other = replace(interactions, train_ratings=interactions.train_ratings[::-1].copy())

    def folder(settings, seed=0, of=interactions):
        return recommenders.model_folder("models", of, settings, seed)

    wrmf, pmf = WRMFSettings(), PMFSettings()
    assert folder(wrmf) == folder(wrmf, of=other) and folder(pmf) != folder(pmf, of=other)
    assert folder(replace(wrmf, feedback="values")) != folder(
        replace(wrmf, feedback="values"), of=other
    )
    assert folder(wrmf) != folder(wrmf, 1) and folder(wrmf) != folder(wrmf, of=shop(split="random"))
    before = folder(BPRMFSettings()), folder(AMFSettings()), folder(wrmf)
    monkeypatch.setattr(AMFSettings, "version", 1)  # its own: only what it starts from has changed
    monkeypatch.setattr(BPRMFSettings, "version", 2)
    assert (
        folder(BPRMFSettings()) != before[0]
        and folder(AMFSettings()) != before[1]
        and folder(wrmf) == before[2]
    )


def test_reconstructions_are_kept_by_all_that_they_depend_on(tmp_path):
    interactions = shop(split="80:20")
    changes = [{}, {"patch": 15}, {"rank": 4}, {"shuffle_seed": 1}, {"enter": "ratings"}]
    assert (
        len({str(replace(LowRank(20, 3), **change).identity(interactions)) for change in changes})
        == 5
    )
    clicks, ratings = (
        Transformation(3, clicks=each).bases(interactions, tmp_path)[0] for each in (True, False)
    )
    assert clicks.shape == (60, 3) and not np.allclose(np.abs(clicks), np.abs(ratings), atol=1e-3)
    with pytest.raises(UserError, match="threshold must be a number from 0.1 up"):
        LowRank(20, 3, threshold=0.05)
    with pytest.raises(UserError, match="values enter by"):
        LowRank(20, 3, enter="softly")


def test_a_projection_on_fewer_vectors_says_so(tmp_path, capsys):
    frame = pd.DataFrame(
        [(u, i) for u in range(9) for i in (0, 1, 2)] + [(u, 3 + u % 2) for u in range(9)],
        columns=["user", "item"],
    )
    interactions = data.Interactions.from_frames(frame, split="random")
    U, _ = Transformation(5).bases(interactions, tmp_path)
    assert U.shape[1] < 5 and f"has {U.shape[1]} singular values above 0" in capsys.readouterr().err


def test_a_training_holds_the_lock_of_its_folder(small, tmp_path):
    folder = recommenders.model_folder(tmp_path, small, BPRMFSettings(4), 0)
    with locked(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            "advrec_tf.recommenders.trainer.locked", lambda path, patience: locked(path, 0)
        )
        with pytest.raises(UserError, match="in use by another run"):
            recommenders.train(small, BPRMFSettings(4), 0, tmp_path, 1, progress=False)


def test_clicks_count_as_the_highest_rating_of_their_own_data():
    interactions = shop(split="80:20")
    tens = replace(interactions, train_ratings=interactions.train_ratings * 2)
    clicks = Profiles.from_matrix("x", np.eye(2, 40), tens, (0,))
    assert (
        clicks.stacked_on(tens).train_ratings[-2:].tolist() == [10, 10]
        and Profiles.from_arrays(clicks.arrays()).highest == 10
    )
    made = heuristic("average", tens, 4, (1, 2), clicks=9)
    assert made.ratings.max() == 10 and made.ratings.min() >= 2


def test_lists_of_text_ids_come_back(tmp_path):
    frame = pd.DataFrame(
        [(u, i) for u in ("NA", "b", "c") for i in ("null", "x", "y")], columns=["user", "item"]
    )
    interactions = data.Interactions.from_frames(frame, split="random")
    lists = np.array([[0, 1, -1], [2, -1, -1], [1, 0, -1]], np.int32)
    evaluation.save_lists(tmp_path / "lists.tsv", lists, interactions)
    np.testing.assert_array_equal(
        evaluation.read_lists(tmp_path / "lists.tsv", interactions, 3), lists
    )
    np.testing.assert_array_equal(
        evaluation.read_lists(tmp_path / "lists.tsv", interactions), lists[:, :2]
    )
    (tmp_path / "lists.tsv").write_text("user\titem\trank\tscore\nNA\tx\t0\t\n")
    with pytest.raises(UserError, match="not lists of"):
        evaluation.read_lists(tmp_path / "lists.tsv", interactions)


def test_ratios_without_a_denominator_are_left_out():
    low, high = evaluation.bootstrap_interval(np.array([1.0, 0]), beside=np.array([0.0, 1]))
    assert 0 <= low <= high < np.inf
