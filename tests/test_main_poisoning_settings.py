"""Data sets, groups of targets and attack seeds of the experiments on poisoned data."""

import json
import shutil

import pandas as pd
import pytest

from advrec_tf.poisoning import Profiles
from advrec_tf.reporting import read_results
from experiments.lowrank import attack_seeds
from published_runs import publish

from poisoned_runs import flags_of, shop_flag
from running import TINY, advrec, error_line


def test_attack_seeds_are_added_to_a_folder_and_make_profiles_of_their_own(tmp_path):
    """The rows of the first seed stay, and clean data are measured once.

    The published form of the rows has the same deviations.
    """
    flags = (
        "--experiment=poison",
        "--attack=recsys20,random",
        f"--output_dir={tmp_path}",
        *TINY,
        "--seed=0,1",
    )
    path, frames = tmp_path / "poison" / "synthetic" / "results.csv", []
    for seeds in ("0", "0,3"):
        result = advrec(*flags, f"--attack_seed={seeds}")
        assert result.status == 0, result.err
        frames.append(pd.read_csv(path, keep_default_na=False, dtype=str))
    one, two = frames
    assert two[two["attack_seed"] != "3"].reset_index(drop=True).equals(one)
    victims = two[two["model"] != ""]
    assert victims.groupby(["attack", "attack_seed"]).size().to_dict() == {
        ("none", ""): 2,
        ("random", "0"): 2,
        ("random", "3"): 2,
        ("recsys20", "0"): 2,
        ("recsys20", "3"): 2,
    }
    counts = victims.groupby("attack")["profiles"].nunique().to_dict()
    assert counts == {"none": 1, "random": 2, "recsys20": 2}
    settings = (tmp_path / "profiles" / "synthetic").glob("recsys20-*/settings.json")
    assert {json.loads(path.read_text())["seed"] for path in settings} == {0, 3}
    publish.take(path.parent, tmp_path / "published" / "synthetic")
    full, shipped = (
        attack_seeds.spreads(read_results(folder))
        for folder in (path.parent, tmp_path / "published" / "synthetic")
    )
    assert full["attack"].tolist() == ["random", "recsys20"] and (full["attack_seeds"] == 2).all()
    pd.testing.assert_frame_equal(full, shipped, atol=1e-4)


def test_settings_of_the_victim_are_not_those_of_the_surrogate(tmp_path):
    """Only another solver of the surrogate, not one of the victim, makes other profiles."""
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


@pytest.mark.parametrize("experiment", ["poison", "lowrank_table1", "lowrank_table2"])
def test_learnt_attacks_on_a_shop_with_text_ids(tmp_path, experiment):
    more = ["--folds=3"] if experiment == "lowrank_table1" else []
    result = advrec(
        f"--experiment={experiment}",
        shop_flag(tmp_path, ratings=True),
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
        shop_flag(tmp_path, ratings=True),
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
