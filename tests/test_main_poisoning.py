"""The command line of the experiments on poisoned data, which share attacks and models."""

import json

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data
from advrec_tf.poisoning import Profiles
from experiments.lowrank import poison

from poisoned_runs import flags_of
from running import TINY, advrec, error_line

METRICS = ["Recall", "Precision", "HR", "nDCG", "target_Recall", "target_HR", "EFD", "SE", "ICov"]
PROFILE_FILES = {
    *("profiles.npz", "profiles.csv", "settings.json"),
    *("trajectory.csv", "trajectory.png"),
}
POISON = ("--experiment=poison", "--attack=recsys20,recsys19,bandwagon,recsys19+recsys20", *TINY)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poisoned")
    return folder, advrec(f"--output_dir={folder}", *POISON)


def test_poison_writes_profiles_trajectories_and_victims(poisoned):
    folder, result = poisoned
    assert result.status == 0, result.err
    assert (
        "How close the fake profiles are to real ones" in result.report
        and "Before and after" in result.report
    )
    rows = pd.read_csv(folder / "poison" / "synthetic" / "results.csv", keep_default_na=False)
    victims, likenesses = rows[rows["model"] != ""], rows[rows["model"] == ""]
    attacks = ["recsys20", "recsys19", "bandwagon", "recsys19+recsys20"]
    assert victims["attack"].tolist() == sorted(["none", *attacks]) and likenesses[
        "attack"
    ].tolist() == sorted(attacks)
    assert (victims[METRICS] != "").all().all()
    for name in ("recsys20", "recsys19"):
        (made,) = (folder / "profiles" / "synthetic").glob(f"{name}-*")
        assert PROFILE_FILES <= {path.name for path in made.iterdir()}
        assert len(pd.read_csv(made / "trajectory.csv")) == 2


def test_victims_are_trained_on_the_poisoned_data(poisoned):
    """Fakes that click the targets raise their rank, and each attack has its own profiles."""
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
    assert shown in result.report and "published" not in result.report.split("Cells:")[0]
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
    interactions = data.load("synthetic")
    for item in interactions.item_ids[np.array(fakes.targets)]:
        assert f"| {item} | " in result.report.split("What is promoted")[1]


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
    paths = (folder / "profiles" / "synthetic").glob("recsys20-*/profiles.npz")
    configs = {path: json.loads((path.parent / "settings.json").read_text()) for path in paths}
    path = next(p for p, config in configs.items() if config["seed"] == 0 and config["fresh_seeds"])
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


def test_the_key_of_a_row_holds_its_profiles(poisoned):
    """Rows of the same attack by other profiles, or by profiles from a file, are other rows."""
    folder, _ = poisoned
    rows = pd.read_csv(folder / "poison" / "synthetic" / "results.csv", keep_default_na=False)
    keys = ["model", "attack", "attack_seed", "group", "seed", "profiles"]
    assert set(keys) <= set(poison.LAYOUT.keys) and not rows.duplicated(keys).any()
