"""The command line of the experiments on poisoned data, from outside."""

import os
import signal
import subprocess
import time

import numpy as np
import pandas as pd
import pytest
from test_main import command, outcome, run

from advrec_tf import data
from advrec_tf.poisoning import Profiles

TINY = (
    "--preset=quick", "--seed=0", "--victim_epochs=6", "--outer_epochs=2", "--surrogate_epochs=6", "--unrolled_epochs=3", "--gan_epochs=1",
    "--fakes=12", "--victim_dim=4", "--surrogate_dim=4", "--other_outer_epochs=1",
)  # fmt: skip
POISON = ("--experiment=poison", "--attack=recsys20,recsys19,bandwagon,recsys19+recsys20", *TINY)


@pytest.fixture(scope="module")
def poisoned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("poisoned")
    return folder, run(f"--output_dir={folder}", *POISON)


def test_poison_writes_profiles_trajectories_and_victims(poisoned):
    folder, result = poisoned
    assert result.returncode == 0, result.stderr
    assert "How close the fake profiles are to real ones" in result.stdout and "Before and after" in result.stdout
    rows = pd.read_csv(folder / "poison" / "synthetic" / "results.csv", keep_default_na=False)
    assert rows["attack"].tolist() == sorted(["none", "recsys20", "recsys19", "bandwagon", "recsys19+recsys20"])
    assert not rows[["Recall", "Precision", "HR", "nDCG", "target_Recall", "target_HR", "EFD", "SE", "ICov"]].isna().any().any()
    for name in ("recsys20", "recsys19"):
        (made,) = (folder / "profiles" / "synthetic").glob(f"{name}-*")
        assert {"profiles.npz", "profiles.csv", "trajectory.csv", "trajectory.png", "settings.json"} <= {path.name for path in made.iterdir()}
        assert len(pd.read_csv(made / "trajectory.csv")) == 2


def test_a_killed_poison_run_ends_in_the_same_bytes(poisoned, tmp_path):
    rng = np.random.default_rng(int(os.environ.get("KILL_SEED", 0)))
    for delay in rng.uniform(8, 30, int(os.environ.get("KILLS", 1))):
        process = subprocess.Popen(**command(f"--output_dir={tmp_path}", *POISON))
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
    result = run(f"--output_dir={tmp_path}", *POISON)
    assert result.returncode == 0, result.stderr
    assert outcome(tmp_path) == outcome(poisoned[0])


@pytest.mark.parametrize("name, shown", [
    ("lowrank_table1", "Detectors trained on recsys20"), ("lowrank_table2", "Table II"), ("lowrank_table3", "recsys19+recsys20"),
    ("lowrank_figure2", "down-sampled"), ("lowrank_figure5", "transformation"),
])  # fmt: skip
def test_the_low_rank_papers_tables_and_figures_share_attacks_and_models(poisoned, name, shown):
    folder, _ = poisoned
    before = {path: path.stat().st_mtime_ns for path in folder.glob("profiles/*/recsys*/profiles.npz")}
    result = run(f"--experiment={name}", f"--output_dir={folder}", *TINY, "--patches=50x20,fullx30", "--svd_ranks=5,20")
    assert result.returncode == 0, result.stderr
    assert shown in result.stdout
    made = folder / name / "synthetic"
    assert (made / "report.md").exists() and (made / f"{name.removeprefix('lowrank_')}.png").exists()
    assert all(path.stat().st_mtime_ns == then for path, then in before.items())


def test_profiles_from_a_file_are_described_and_used(poisoned):
    folder, _ = poisoned
    found = (folder / "profiles" / "synthetic").glob("recsys20-*/profiles.npz")
    path = next(path for path in found if '"seed": 0' in (path.parent / "settings.json").read_text())
    result = run("--experiment=describe", "--dataset=synthetic", "--split=80:20", f"--profiles={path}")
    assert result.returncode == 0 and "clicks per profile: median" in result.stdout and "Jaccard" in result.stdout
    victims = sorted((folder / "cache" / "victims").glob("*.npz"))
    result = run("--experiment=poison", f"--profiles={path}", f"--output_dir={folder}", *TINY)
    assert result.returncode == 0, result.stderr
    result = run("--experiment=poison", f"--profiles={path}", "--targets=1,2,3,4,5", f"--output_dir={folder}", *TINY)
    assert result.returncode == 1 and "the profiles recsys20 promote other items: add --targets=" in result.stderr
    assert sorted((folder / "cache" / "victims").glob("*.npz")) == victims  # the same fakes train the same victim


def of_another_catalogue(folder):
    other = data.synthetic(n_items=30, per_user=5)
    Profiles.from_matrix("other", np.eye(2, 30), other, (0,)).save(folder / "other")
    return f"--profiles={folder / 'other.npz'}"


FAULTS = {
    "few users with few clicks": (lambda t: ["--click_limit=3"], "users of synthetic have at most 3 clicks, fewer than the 12 fakes"),
    "target out of range": (lambda t: ["--targets=3,400"], "target 400 is not an item of synthetic: items are numbered 0 to 399"),
    "no number": (lambda t: ["--targets=x"], "--targets must be item numbers"),
    "more fakes than users": (lambda t: ["--fakes=601"], "--fakes=601 are more than the 600 users of synthetic"),
    "another catalogue": (lambda t: [of_another_catalogue(t)], "the profiles other were made for another catalogue than that of synthetic"),
    "no profiles": (lambda t: [f"--profiles={t / 'none.npz'}"], "none.npz: there is no such file of profiles"),
    "unknown attack": (lambda t: ["--attack=recsys20+none"], "--attack must be of none, recsys20"),
    "unknown group": (lambda t: ["--target_group=shoulder"], "--target_group must be of head"),
    "too much unrolled": (lambda t: ["--unrolled_epochs=9"], "--unrolled_epochs (9) are more than --surrogate_epochs (6)"),
    "small group": (lambda t: ["--target_count=300"], "the head of synthetic has"),
    "wrong patch": (lambda t: ["--experiment=lowrank_table2", "--patches=20by5"], "--patches must be SIZExRANK"),
    "rank above the patch": (
        lambda t: ["--experiment=lowrank_table2", "--attack=random", "--patches=20x25"],
        "--patches: the rank 25 must lie in 1 ... 20",
    ),
    "no rank": (lambda t: ["--experiment=lowrank_figure5", "--svd_ranks=ten"], "--svd_ranks must be different whole numbers from 1 up"),
    "too large a share": (lambda t: ["--experiment=lowrank_figure6", "--shares=0,150"], "--shares must be different numbers from 0 to 100"),
    "no group": (lambda t: ["--target_group="], "--target_group must name a group"),
    "two attacks": (lambda t: ["--experiment=lowrank_table1", "--attack=random,popular"], "this experiment takes one --attack, not random, popular"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_one_line_and_a_status(tmp_path, name):
    flags, message = FAULTS[name]
    chosen = flags(tmp_path)
    experiment = [] if any(flag.startswith("--experiment") for flag in chosen) else ["--experiment=poison"]
    result = run(*experiment, *TINY, *chosen, f"--output_dir={tmp_path / 'out'}")
    lines = [line for line in result.stderr.splitlines() if line]
    assert result.returncode == 1 and len(lines) == 1 and lines[0].startswith("advrec: ") and message in lines[0], result.stderr


def test_pmf_without_ratings_is_told(tmp_path):
    (tmp_path / "shop.csv").write_text("user,item\n" + "".join(f"{u},{i}\n" for u in range(30) for i in range(u % 3, 20, 2)))
    result = run(
        "--experiment=poison", f"--dataset={tmp_path / 'shop.csv'}", "--victim=pmf", "--target_group=tail", f"--output_dir={tmp_path / 'out'}", *TINY
    )
    assert result.returncode == 1 and result.stderr.strip().startswith("advrec: shop has no ratings, which PMF needs")
