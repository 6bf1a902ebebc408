"""The command line of the experiments on poisoned data."""

import json
import shutil

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.execution import storage
from advrec_tf.poisoning import Profiles
from advrec_tf.reporting import read_results
from experiments.lowrank import attack_seeds
from experiments.lowrank import poisoned as family
from published_runs import publish

from running import OF_VICTIMS, TINY, advrec, error_line

POISON = ("--experiment=poison", "--attack=recsys20,recsys19,bandwagon,recsys19+recsys20", *TINY)


def flags_of(experiment):
    """TINY without what an experiment does not read."""
    unread = {
        "lowrank_figure1": (*OF_VICTIMS, "--seed"),
        "lowrank_figure2": OF_VICTIMS,
        "lowrank_figure4": ("--victim_dim",),
    }
    own = [flag for flag in TINY if not flag.startswith(unread.get(experiment, "-no-"))]
    more = {
        "lowrank_table1": ["--other_outer_epochs=1"],
        "lowrank_table2": ["--patches=50x20,fullx30"],
        "lowrank_table3": ["--patches=50x20"],
        "lowrank_figure3": ["--svd_ranks=5,20"],
        "lowrank_figure5": ["--svd_ranks=5,20"],
        "lowrank_controls": ["--patches=50x20"],
        "lowrank_younger": ["--solver=sgd"],
    }
    return own + more.get(experiment, [])


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poisoned")
    return folder, advrec(f"--output_dir={folder}", *POISON)


def test_poison_writes_profiles_trajectories_and_victims(poisoned):
    folder, result = poisoned
    assert result.status == 0, result.err
    assert (
        "How close the fake profiles are to real ones" in result.out
        and "Before and after" in result.out
    )
    rows = pd.read_csv(folder / "poison" / "synthetic" / "results.csv", keep_default_na=False)
    victims, likenesses = rows[rows["model"] != ""], rows[rows["model"] == ""]
    attacks = ["recsys20", "recsys19", "bandwagon", "recsys19+recsys20"]
    assert victims["attack"].tolist() == sorted(["none", *attacks]) and likenesses[
        "attack"
    ].tolist() == sorted(attacks)
    assert (
        (
            victims[
                [
                    "Recall",
                    "Precision",
                    "HR",
                    "nDCG",
                    "target_Recall",
                    "target_HR",
                    "EFD",
                    "SE",
                    "ICov",
                ]
            ]
            != ""
        )
        .all()
        .all()
    )
    for name in ("recsys20", "recsys19"):
        (made,) = (folder / "profiles" / "synthetic").glob(f"{name}-*")
        assert {
            "profiles.npz",
            "profiles.csv",
            "trajectory.csv",
            "trajectory.png",
            "settings.json",
        } <= {path.name for path in made.iterdir()}
        assert len(pd.read_csv(made / "trajectory.csv")) == 2


def test_victims_are_trained_on_the_poisoned_data(poisoned):
    """Whoever clicks the targets in every profile is shown them more than on clean data, and each attack has profiles of its own."""
    folder, _ = poisoned
    rows = pd.read_csv(folder / "poison" / "synthetic" / "results.csv", keep_default_na=False)
    rows = rows[rows["model"] != ""].set_index("attack")
    assert float(rows.loc["bandwagon", "target_rank"]) < float(rows.loc["none", "target_rank"])
    assert (
        rows["profiles"].nunique() == 5
        and rows.loc["none", "profiles"] == ""
        and (rows["epoch"].astype(int) == 6).all()
    )


@pytest.mark.parametrize(
    "name, shown",
    [
        ("lowrank_table1", "Detectors trained on recsys20"),
        ("lowrank_table2", "Table II"),
        ("lowrank_table3", "recsys19+recsys20"),
        ("lowrank_figure1", "two principal components"),
        ("lowrank_figure2", "down-sampled"),
        ("lowrank_figure3", "Figure 3"),
        ("lowrank_figure5", "transformation"),
        ("lowrank_controls", "Without any defence"),
        ("lowrank_recsys19", "changed_entries"),
        ("lowrank_adaptive", "taken away"),
        ("lowrank_younger", "What is certain of the ensemble"),
    ],
)
def test_the_low_rank_papers_tables_and_figures_share_attacks_and_models(poisoned, name, shown):
    folder, _ = poisoned
    before = {
        path: path.stat().st_mtime_ns for path in folder.glob("profiles/*/recsys*/profiles.npz")
    }
    result = advrec(f"--experiment={name}", f"--output_dir={folder}", *flags_of(name))
    assert result.status == 0, result.err
    assert shown in result.out and "published" not in result.out.split("Cells:")[0]
    made = folder / name / "synthetic"
    assert (made / "report.md").exists() and (
        made / f"{name.removeprefix('lowrank_')}.png"
    ).exists()
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_profiles_of_another_folder_are_measured_with_their_likeness(poisoned, tmp_path):
    folder, _ = poisoned
    path = next(
        path for path in (folder / "profiles" / "synthetic").glob("recsys20-*/profiles.npz")
    )
    fakes = Profiles.load(path)
    targets = ",".join(map(str, fakes.targets))
    result = advrec(
        "--experiment=poison",
        f"--profiles={path}",
        f"--targets={targets}",
        f"--output_dir={tmp_path}",
        *TINY,
    )
    assert result.status == 0, result.err


def test_the_verdict_is_all_pages_in_one(poisoned, tmp_path):
    folder, _ = poisoned
    error_line(advrec("--experiment=verdict", f"--output_dir={tmp_path}"))
    for name in ("lowrank_table3", "lowrank_recsys19"):
        assert advrec(f"--experiment={name}", f"--output_dir={folder}", *flags_of(name)).status == 0
    result = advrec("--experiment=verdict", f"--output_dir={folder}")
    assert result.status == 0, result.err
    text = (folder / "lowrank" / "report.md").read_text()
    assert (
        text.index("What the defences do to the targets")
        < text.index("## RecSys19 in its parts")
        < text.index("(lowrank_table3/synthetic/report.md)")
    )
    assert "| WRMF | recsys20 -> recsys19+recsys20 | 1 |" in text


def test_detectors_are_asked_of_attacks_that_they_do_not_know(poisoned):
    folder, _ = poisoned
    result = advrec(
        "--experiment=lowrank_table1", f"--output_dir={folder}", *flags_of("lowrank_table1")
    )
    assert result.status == 0, result.err
    detectors = pd.read_csv(folder / "lowrank_table1" / "synthetic" / "detectors.csv")
    assert (
        detectors["detector"].nunique() == 6
        and detectors["tested on"].iloc[0] == "the same fakes, out of fold"
    )
    assert set(detectors["tested on"]) == {
        "the same fakes, out of fold",
        "recsys20, another seed",
        "bandwagon",
        "random",
        "recsys19",
        "recsys20_disguised",
    }
    rows = pd.read_csv(
        folder / "lowrank_table1" / "synthetic" / "results.csv", keep_default_na=False
    )
    svm = rows[(rows["defense"] == "svm") & (rows["model"] == "WRMF")]
    assert len(svm) == 2 and set(svm["kernel"]) == {"poly2"} and set(svm["patch"]) == {""}


def test_profiles_from_a_file_are_described_and_used(poisoned):
    folder, _ = poisoned
    found = (folder / "profiles" / "synthetic").glob("recsys20-*/profiles.npz")
    settings = {path: json.loads((path.parent / "settings.json").read_text()) for path in found}
    path = next(path for path, own in settings.items() if own["seed"] == 0 and own["fresh_seeds"])
    result = advrec(
        "--experiment=describe", "--dataset=synthetic", "--split=80:20", f"--profiles={path}"
    )
    assert (
        result.status == 0
        and "clicks per profile: median" in result.out
        and "Jaccard" in result.out
    )
    victims = sorted((folder / "cache" / "victims").glob("*.npz"))
    result = advrec("--experiment=poison", f"--profiles={path}", f"--output_dir={folder}", *TINY)
    assert result.status == 0, result.err
    promoted = error_line(
        advrec(
            "--experiment=poison",
            f"--profiles={path}",
            "--targets=1,2,3,4,5",
            f"--output_dir={folder}",
            *TINY,
        )
    )
    assert "the profiles recsys20 promote other items: add --targets=" in promoted
    assert (
        sorted((folder / "cache" / "victims").glob("*.npz")) == victims
    )  # the same fakes train the same victim
    doubled = error_line(
        advrec(
            "--experiment=poison",
            f"--profiles={path}",
            "--attack=recsys20",
            f"--output_dir={folder}",
            *TINY,
        )
    )
    assert "two attacks have the same name" in doubled


def test_attack_seeds_are_added_to_a_folder_and_make_profiles_of_their_own(tmp_path):
    """The rows of the first seed stay, and clean data are measured once; what ships has the same deviations."""
    flags = (
        "--experiment=poison",
        "--attack=recsys20,random",
        f"--output_dir={tmp_path}",
        *TINY,
        "--seed=0,1",
    )
    path, found = tmp_path / "poison" / "synthetic" / "results.csv", {}
    for seeds in ("0", "0,3"):
        result = advrec(*flags, f"--attack_seed={seeds}")
        assert result.status == 0, result.err
        found[seeds] = pd.read_csv(path, keep_default_na=False, dtype=str)
    one, two = found["0"], found["0,3"]
    assert two[two["attack_seed"] != "3"].reset_index(drop=True).equals(one)
    victims = two[two["model"] != ""]
    assert victims.groupby(["attack", "attack_seed"]).size().to_dict() == {
        ("none", ""): 2,
        ("random", "0"): 2,
        ("random", "3"): 2,
        ("recsys20", "0"): 2,
        ("recsys20", "3"): 2,
    }
    assert victims.groupby("attack")["profiles"].nunique().to_dict() == {
        "none": 1,
        "random": 2,
        "recsys20": 2,
    }
    made = (tmp_path / "profiles" / "synthetic").glob("recsys20-*/settings.json")
    assert {json.loads(each.read_text())["seed"] for each in made} == {0, 3}
    publish.take(path.parent, tmp_path / "published" / "synthetic")
    whole, shipped = (
        attack_seeds.spreads(read_results(folder))
        for folder in (path.parent, tmp_path / "published" / "synthetic")
    )
    assert whole["attack"].tolist() == ["random", "recsys20"] and (whole["attack_seeds"] == 2).all()
    pd.testing.assert_frame_equal(whole, shipped, atol=1e-4)


def test_lost_or_damaged_profiles_are_written_again_from_the_state(poisoned):
    folder, _ = poisoned
    settings = {
        path: (path / "settings.json").read_text()
        for path in (folder / "profiles" / "synthetic").glob("recsys20-*")
    }
    (made,) = (
        path
        for path, text in settings.items()
        if '"seed": 0' in text and '"fresh_seeds": true' in text
    )
    path = made / "profiles.npz"
    whole = path.read_bytes()
    for damage in (path.unlink, lambda: path.write_bytes(whole[:-9] + b"x" * 9)):
        damage()
        result = advrec(f"--output_dir={folder}", *POISON)
        assert result.status == 0 and path.read_bytes() == whole, result.err


def test_settings_of_the_victim_are_not_those_of_the_surrogate(tmp_path):
    """Another solver of the victim finds the same profiles; another of the surrogate makes others."""
    flags = [flag for flag in TINY if "dim" not in flag]
    for more in ([], ["--solver=als"], ["--surrogate_solver=als"]):
        result = advrec(
            "--experiment=poison",
            f"--output_dir={tmp_path / str(more)}",
            *flags,
            "--victim_dim=4",
            "--surrogate_dim=4",
            *more,
        )
        assert result.status == 0, result.err
    profiles = [
        Profiles.load(next((tmp_path / str(more)).glob("profiles/*/*/profiles.npz"))).digest()
        for more in ([], ["--solver=als"], ["--surrogate_solver=als"])
    ]
    assert profiles[0] == profiles[1] != profiles[2]


def shop(folder, ratings=False, text=True):
    """A table of one's own with text ids."""
    rng = np.random.default_rng(0)
    pairs = [
        (f"user{u}" if text else u, f"item{i}" if text else i)
        for u in range(60)
        for i in rng.choice(30, 8, replace=False)
    ]
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    if ratings:
        frame["rating"] = rng.integers(1, 11, len(frame))
    frame.to_csv(folder / "shop.csv", index=False)
    return f"--dataset={folder / 'shop.csv'}"


@pytest.mark.parametrize("experiment", ["poison", "lowrank_table1", "lowrank_table2"])
def test_learnt_attacks_on_a_shop_with_text_ids(tmp_path, experiment):
    more = ["--folds=3"] if experiment == "lowrank_table1" else []
    result = advrec(
        f"--experiment={experiment}",
        shop(tmp_path, ratings=True),
        "--attack=recsys20",
        f"--output_dir={tmp_path / 'out'}",
        *flags_of(experiment),
        *more,
    )
    assert result.status == 0, (
        result.err
    )  # its head has fewer items than the five targets that are drawn otherwise
    table = pd.read_csv(next((tmp_path / "out").glob("profiles/shop/recsys20-*/profiles.csv")))
    assert (
        table["item"].str.startswith("item").all()
        and table["rating" if "rating" in table else "profile"].notna().all()
    )


def test_ratings_of_another_scale_are_read_as_they_are(tmp_path):
    result = advrec(
        "--experiment=poison",
        shop(tmp_path, ratings=True),
        "--attack=recsys19,average",
        "--target_group=tail",
        f"--output_dir={tmp_path / 'out'}",
        *TINY,
    )
    assert result.status == 0, result.err
    made = Profiles.load(next((tmp_path / "out").glob("profiles/shop/recsys19-*/profiles.npz")))
    assert made.highest == 10 and 5 < made.ratings.max() <= 10
    plays = pd.read_csv(tmp_path / "shop.csv").assign(rating=lambda frame: frame["rating"] * 1000)
    plays.to_csv(tmp_path / "plays.csv", index=False)
    message = error_line(
        advrec(
            "--experiment=poison",
            f"--dataset={tmp_path / 'plays.csv'}",
            "--attack=recsys19",
            "--target_group=tail",
            f"--output_dir={tmp_path / 'p'}",
            *TINY,
        )
    )
    assert "the ratings of plays run from 1000 to 10000, which is no scale" in message


def of_another_catalogue(folder):
    other = data.synthetic(n_items=30, per_user=5)
    Profiles.from_matrix("other", np.eye(2, 30), other, (0,)).save(folder / "other")
    return f"--profiles={folder / 'other.npz'}"


def torn(folder):
    of_another_catalogue(folder)
    (folder / "torn.npz").write_bytes((folder / "other.npz").read_bytes()[:200])
    return f"--profiles={folder / 'torn.npz'}"


def another_archive(folder):
    storage.save(folder / "weights.npz", {"P": np.zeros(3)})
    return f"--profiles={folder / 'weights.npz'}"


FAULTS = {
    "few users with few clicks": (
        lambda t: ["--click_limit=3"],
        "users of synthetic have at most 3 clicks, fewer than the 12 fakes",
    ),
    "target out of range": (
        lambda t: ["--targets=3,400"],
        "target 400 is not an item of synthetic: items are numbered 0 to 399",
    ),
    "no number": (lambda t: ["--targets=x"], "--targets must be different whole numbers from 0 up"),
    "more fakes than users": (
        lambda t: ["--fakes=601"],
        "--fakes=601 are more than the 600 users of synthetic",
    ),
    "another catalogue": (
        lambda t: [of_another_catalogue(t)],
        "the profiles other were made for another catalogue than that of synthetic",
    ),
    "no profiles": (
        lambda t: [f"--profiles={t / 'none.npz'}"],
        "none.npz: there is no such file of profiles",
    ),
    "torn profiles": (
        lambda t: [torn(t)],
        "torn.npz: the file is damaged or of an earlier version: make these profiles again",
    ),
    "no file of profiles": (lambda t: [another_archive(t)], "not a file of profiles"),
    "unknown attack": (lambda t: ["--attack=recsys20+none"], "--attack must be of none, recsys20"),
    "no attack": (lambda t: ["--attack="], "--attack is empty"),
    "unknown group": (lambda t: ["--target_group=shoulder"], "--target_group must be of head"),
    "too much unrolled": (
        lambda t: ["--unrolled_epochs=9"],
        "--unrolled_epochs (9) are more than --surrogate_epochs (6)",
    ),
    "small group": (lambda t: ["--target_count=300"], "the head of synthetic has"),
    "negative seeds": (
        lambda t: ["--target_seed=-1"],
        "--target_seed must be a whole number from 0 to 4294967295",
    ),
    "negative attack seed": (
        lambda t: ["--attack_seed=-3"],
        "--attack_seed must be different whole numbers from 0 to 4294967295 with commas between, not '-3'",
    ),
    "two attack seeds": (
        lambda t: ["--experiment=lowrank_table2", "--attack=random", "--attack_seed=0,1"],
        "--attack_seed takes one value in this experiment",
    ),
    "two attack seeds of several attacks": (
        lambda t: ["--experiment=lowrank_controls", "--attack_seed=0,1"],
        "--attack_seed takes one value in this experiment",
    ),
    "negative shuffle": (
        lambda t: ["--experiment=lowrank_table2", "--shuffle_seed=-3"],
        "--shuffle_seed must be a whole number from 0 to 4294967295",
    ),
    "no threshold": (
        lambda t: ["--experiment=lowrank_table2", "--threshold=nan"],
        "--threshold must be a number from 0.1 up",
    ),
    "low threshold": (
        lambda t: ["--experiment=lowrank_table2", "--threshold=0.05"],
        "--threshold must be a number from 0.1 up",
    ),
    "unknown goal": (
        lambda t: ["--zo_goal=glory"],
        "--zo_goal must be one of hit, smoothed_hit, score",
    ),
    "wrong patch": (
        lambda t: ["--experiment=lowrank_table2", "--patches=20by5"],
        "reconstructions must be SIZExRANK",
    ),
    "rank above the patch": (
        lambda t: ["--experiment=lowrank_table2", "--attack=random", "--patches=20x25"],
        "the rank 25 of 20x25 must lie in 1 ... 20",
    ),
    "no rank": (
        lambda t: ["--experiment=lowrank_figure5", "--svd_ranks=ten"],
        "--svd_ranks must be different whole numbers from 1 up",
    ),
    "too large a share": (
        lambda t: ["--experiment=lowrank_figure6", "--shares=0,150"],
        "--shares must be different numbers from 0 to 100",
    ),
    "no group": (lambda t: ["--target_group="], "--target_group is empty"),
    "two values": (
        lambda t: ["--experiment=lowrank_figure2", "--attack=random", "--seed=0,1"],
        "--seed takes one value in this experiment",
    ),
    "clicks of ratings": (
        lambda t: ["--experiment=lowrank_table2", "--victim=pmf", "--enter=dense"],
        "--enter says how values enter WRMF",
    ),
    "two attacks": (
        lambda t: ["--experiment=lowrank_table1", "--attack=random,popular"],
        "this experiment takes one --attack, not random, popular",
    ),
    "many components": (
        lambda t: ["--experiment=lowrank_figure2", "--svm_components=100000"],
        "--svm_components must be different whole numbers",
    ),
    "too many components": (
        lambda t: ["--experiment=lowrank_figure2", "--svm_components=9000", "--attack=random"],
        "components: lower --svm_components",
    ),
    "no victim here": (
        lambda t: ["--experiment=lowrank_figure2", "--victim=pmf"],
        "--victim is not read by --experiment=lowrank_figure2",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_and_a_status(tmp_path, name):
    flags, message = FAULTS[name]
    chosen = flags(tmp_path)
    experiment = next(
        (flag.partition("=")[2] for flag in chosen if flag.startswith("--experiment")), "poison"
    )
    common = [
        flag
        for flag in flags_of(experiment)
        if not any(flag.split("=")[0] == own.split("=")[0] for own in chosen)
    ]
    assert message in error_line(
        advrec(f"--experiment={experiment}", *common, *chosen, f"--output_dir={tmp_path / 'out'}")
    )


def test_pmf_without_ratings_is_told(tmp_path):
    message = error_line(
        advrec(
            "--experiment=poison",
            shop(tmp_path),
            "--victim=pmf",
            "--target_group=tail",
            f"--output_dir={tmp_path / 'out'}",
            *TINY,
        )
    )
    assert "shop has no ratings, which PMF needs" in message


def test_each_group_of_targets_has_a_detector_of_its_own(tmp_path):
    """The rows of one group are those that it has alone."""
    found = {}
    for groups in ("tail", "head,tail"):
        short = *TINY, "--outer_epochs=1", "--unrolled_epochs=1"
        result = advrec(
            "--experiment=lowrank_table1",
            "--attack=random",
            f"--target_group={groups}",
            f"--output_dir={tmp_path / groups}",
            *short,
        )
        assert result.status == 0, result.err
        rows = pd.read_csv(
            tmp_path / groups / "lowrank_table1" / "synthetic" / "results.csv",
            keep_default_na=False,
            dtype=str,
        )
        found[groups] = rows[rows["group"] == "tail"].reset_index(drop=True)
    assert found["tail"].equals(found["head,tail"]) and len(found["tail"]) > 10


def test_a_picture_of_one_attack_holds_no_other(tmp_path):
    for experiment in ("lowrank_figure1", "lowrank_figure2"):
        flags = [f"--experiment={experiment}", f"--output_dir={tmp_path}", *flags_of(experiment)]
        assert advrec(*flags, "--attack=random").status == 0
        assert "another config (attack random there, popular here)" in error_line(
            advrec(*flags, "--attack=popular")
        )


def test_nothing_is_prepared_for_what_is_measured(tmp_path):
    """The reconstructions of a finished table are not made again when the cache is gone."""
    flags = (
        "--experiment=lowrank_table2",
        "--attack=random",
        f"--output_dir={tmp_path}",
        *flags_of("lowrank_table2"),
    )
    assert advrec(*flags).status == 0
    shutil.rmtree(tmp_path / "cache")
    assert advrec(*flags).status == 0 and not (tmp_path / "cache").exists()


def test_a_fault_of_one_data_set_does_not_stop_the_others(tmp_path):
    name = shop(tmp_path, ratings=True)
    result = advrec(
        "--experiment=poison",
        f"{name},synthetic",
        "--attack=random",
        "--target_count=5",
        f"--output_dir={tmp_path / 'out'}",
        *TINY,
    )
    assert result.status == 1 and "shop is skipped: the head of shop has" in result.err
    assert (tmp_path / "out" / "poison" / "synthetic" / "report.md").exists()


def test_results_of_an_earlier_version_stay(tmp_path):
    table = tmp_path / "poison" / "synthetic" / "results.csv"
    table.parent.mkdir(parents=True)
    table.write_text("dataset,model\nsynthetic,old\n")
    message = error_line(
        advrec("--experiment=poison", "--attack=random", f"--output_dir={tmp_path}", *TINY)
    )
    assert "is of an earlier version" in message and table.read_text().endswith("old\n")


def test_the_key_of_a_row_holds_its_profiles(poisoned):
    """Rows of the same attack by other profiles, or by profiles from a file, are other rows."""
    folder, _ = poisoned
    rows = pd.read_csv(folder / "poison" / "synthetic" / "results.csv", keep_default_na=False)
    keys = ["model", "attack", "attack_seed", "group", "seed", "profiles"]
    assert set(keys) <= set(family.LAYOUT.keys) and not rows.duplicated(keys).any()
