"""What the experiments on poisoned data refuse, each with one line on stderr."""

import numpy as np
import pytest

from advrec_tf import data
from advrec_tf.execution import storage
from advrec_tf.poisoning import Profiles

from poisoned_runs import flags_of, shop_flag
from running import TINY, advrec, error_line


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
        "--attack_seed must be different whole numbers from 0 to 4294967295 with commas between, "
        "not '-3'",
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
            shop_flag(tmp_path),
            "--victim=pmf",
            "--target_group=tail",
            f"--output_dir={tmp_path / 'out'}",
            "--preset=quick",
        )
    )
    assert "shop has no ratings, which PMF needs" in message


def test_only_wrmf_is_entered_by_values(tmp_path):
    flags = "--experiment=lowrank_table2", "--preset=quick", "--victim=pmf", "--enter=dense"
    message = error_line(advrec(*flags, f"--output_dir={tmp_path}"))
    assert "--enter says how values enter WRMF" in message


def test_a_fault_of_one_data_set_does_not_stop_the_others(tmp_path):
    name = shop_flag(tmp_path, ratings=True)
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


def test_a_picture_of_one_attack_holds_no_other(tmp_path):
    for experiment in ("lowrank_figure1", "lowrank_figure2"):
        flags = [f"--experiment={experiment}", f"--output_dir={tmp_path}", *flags_of(experiment)]
        assert advrec(*flags, "--attack=random").status == 0
        assert "another config (attack random there, popular here)" in error_line(
            advrec(*flags, "--attack=popular")
        )


def test_results_of_an_earlier_version_stay(tmp_path):
    table = tmp_path / "poison" / "synthetic" / "results.csv"
    table.parent.mkdir(parents=True)
    table.write_text("dataset,model\nsynthetic,old\n")
    message = error_line(
        advrec("--experiment=poison", "--attack=random", f"--output_dir={tmp_path}", *TINY)
    )
    assert "is of an earlier version" in message and table.read_text().endswith("old\n")
