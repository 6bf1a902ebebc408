"""Tables, figures and claims of poisoned and defended recommenders, from made-up rows."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf.evaluation import DETECTION
from advrec_tf.execution.results import Layout
from advrec_tf.reporting import read_results
from experiments.lowrank import attack_seeds, figure2, paper, plots, pmf_curves, poison, tables
from experiments.lowrank.poisoned_spec import LAYOUT

from rows import write


def row(seed, attack="none", defense="none", **more):
    base = {
        "dataset": "gowalla",
        "model": "WRMF",
        "epoch": 50,
        "attack": attack,
        "seed": seed,
        "k": 50,
        "profiles": attack[:3],
        "group": "head",
    }
    metrics = {
        "Recall": 0.29,
        "Precision": 0.04,
        "HR": 0.75,
        "nDCG": 0.2,
        "target_Recall": 0.02,
        "target_HR": 0.1,
        "target_rank": 100.0,
        "target_score": 0.5,
    }
    return base | {"defense": defense} | metrics | {"EFD": 0.6, "SE": 12.0, "ICov": 10000} | more


@pytest.fixture
def rows(tmp_path):
    made = [row(seed, target_HR=0.10 + seed / 100) for seed in (0, 1)]
    made += [row(seed, "recsys20", target_HR=0.14 + seed / 100) for seed in (0, 1)]
    made += [
        row(0, attack, "low_rank", patch="300", rank=80, target_HR=0.12)
        for attack in ("none", "recsys20")
    ]
    rng = np.random.default_rng(0)
    users = {
        name: np.array([rng.random(50) < key[name] for key in made], np.float32)
        for name in ("target_HR", "HR")
    }
    write(tmp_path, LAYOUT, made, {}, users, {"published": True})
    return tmp_path


def test_summary_puts_published_beside_measured(rows):
    table = tables.summary(read_results(rows)).set_index(["defense", "attack", "metric"])
    cell = table.loc[("none", "recsys20", "target_HR")]
    assert (
        cell["mean"] == pytest.approx(0.145)
        and cell["sd"] == pytest.approx(0.01 / np.sqrt(2))
        and cell["seeds"] == 2
    )
    assert cell["published"] == 0.1415 and cell["difference"] == pytest.approx(
        100 * (0.145 / 0.1415 - 1)
    )
    single = table.loc[("low_rank", "none", "target_HR")]
    assert single["published"] == 0.0987 and np.isnan(single["sd"])
    defenses = table.index.get_level_values("defense")  # what was not done comes first
    assert list(dict.fromkeys(defenses)) == ["none", "low_rank"]


def test_reports_show_what_is_there(rows):
    table = read_results(rows)
    text = tables.poison_report(table, rows)
    assert "0.1415 / 0.1450 ± 0.0071 (+2.5%)" in text and "contradicts itself" in text
    assert (
        "| gowalla | WRMF | head | recsys20 |" in text
    )  # before and after, from the users' own values
    defended = tables.defense_report(table, "Table II")
    assert (
        "| low_rank | 300 | 80 | recsys20 |" in defended
        and "0.1091 / 0.1200 (+10.0%)" in defended
        and "EFD" in defended
    )
    for figure in (plots.poison_figure, plots.defense_figure):
        assert len(figure(tables.summary(table)).axes) == 2


def test_attacks_are_compared_user_by_user_over_the_means_of_seeds(rows):
    cells = (
        tables.before_and_after(read_results(rows), rows)
        .split("| gowalla | WRMF | head | recsys20 |")[1]
        .split("|")
    )
    rng = np.random.default_rng(0)
    for place, probabilities in enumerate(([0.10, 0.11, 0.14, 0.15], [0.75] * 4)):
        users = np.array(
            [rng.random(50) < p for p in (*probabilities, *[(0.12, 0.75)[place]] * 2)], np.float64
        )
        before, after = users[:2].mean(0), users[2:4].mean(0)
        change, p = cells[2 * place].strip(), float(cells[2 * place + 1])
        percent = 100 * (after.mean() / before.mean() - 1)
        assert change == f"{before.mean():.4f} -> {after.mean():.4f} ({percent:+.1f}%)"
        flipped = (np.random.default_rng(1).choice([-1, 1], (4000, 50)) * (after - before)).mean(1)
        assert p == pytest.approx(
            (np.abs(flipped) >= abs((after - before).mean()) - 1e-12).mean(), abs=0.04
        )


def test_each_group_of_targets_has_a_test_of_its_own(tmp_path):
    """The attack reaches 40 users of 50 instead of 5 in the head, and nobody in the tail."""
    made = [
        row(0, attack, group=group) for group in ("head", "tail") for attack in ("none", "recsys20")
    ]
    reached = np.zeros((4, 50), np.float32)
    reached[0, :5] = reached[1, :40] = 1
    write(tmp_path, LAYOUT, made, {}, {"target_HR": reached, "HR": np.ones((4, 50), np.float32)})
    lines = tables.before_and_after(read_results(tmp_path), tmp_path).splitlines()
    head, tail = (
        next(line.split("|") for line in lines if f"| {group} |" in line)
        for group in ("head", "tail")
    )
    assert head[5].strip().startswith("0.1000 -> 0.8000 (+700.0%)") and float(head[6]) < 0.01
    assert tail[5].strip() == "0.0000 -> 0.0000 (+0.0%)" and float(tail[6]) == 1


def test_the_printed_tables_are_those_of_the_paper():
    table = paper.tables()
    assert len(table) == 14 * 4 + 8 * 2
    cell = table[
        (table["patch"] == "full")
        & (table["rank"] == 5000)
        & (table["attack"] == "recsys20")
        & (table["metric"] == "target_HR")
    ]
    assert cell["published"].item() == 0.1226
    both = table[
        (table["attack"] == "recsys19+recsys20")
        & (table["defense"] == "low_rank")
        & (table["metric"] == "target_HR")
    ]
    assert both["published"].item() == 0.1569


def test_detectors_are_averaged_over_folds(tmp_path):
    scores = {"precision": 1.0, "F1": 1.0, "AUROC": 1.0, "AUPRC": 1.0}
    named = {
        "dataset": "gowalla",
        "attack": "recsys20",
        "profiles": "x",
        "sampling": "imbalanced",
        "seed": 0,
        "components": 20,
    }
    recalls = {"poly2": (0.8, 0.9), "linear": (0.5, 0.6)}
    rows = [
        named | scores | {"kernel": kernel, "fold": fold, "recall": r}
        for kernel, values in recalls.items()
        for fold, r in enumerate(values)
    ]
    layout = Layout(
        ("dataset", "attack", "profiles", "sampling", "kernel", "components", "fold", "seed"),
        DETECTION,
    )
    frame = write(tmp_path, layout, rows)
    assert figure2.over_folds(frame)["recall", "mean"]["imbalanced", "poly2", 20] == pytest.approx(
        0.85
    )
    assert "poly2 kernel on 20 components has the highest recall, 0.8500." in figure2.answer(frame)
    assert len(figure2.detection_figure(frame).axes) == 1


def test_curves_over_rank_share_and_length():
    points = (("none", None, None), ("low_rank", 50.0, 0.0), ("low_rank", 100.0, 100.0))
    grid = [
        (attack, length, point)
        for attack in ("none", "recsys19")
        for length in (5, 10)
        for point in points
    ]
    base = pd.DataFrame(
        [row(0, a, d, model=f"PMF({n})", rank=r, share=s, RMSE=0.9) for a, n, (d, r, s) in grid]
    )
    for name in LAYOUT.columns:
        base[name] = base.get(name, np.nan if name not in ("patch", "kernel") else "")
    for over in ("rank", "share", "dim"):
        figure = pmf_curves.curves_figure(base, over)
        assert all(axis.has_data() for axis in figure.axes)


def test_what_an_attack_adds_is_of_the_same_seed_and_defence(rows):
    added = pmf_curves.added(read_results(rows))
    np.testing.assert_allclose(added["seed"], [0, 0, 1])
    np.testing.assert_allclose(added["target_HR"], [0, 0.04, 0.04], atol=1e-12)


def test_published_values_stand_beside_the_papers_setting_alone(rows):
    table = read_results(rows)
    table.attrs["statistics"] = {"published": False}
    assert tables.summary(table)[
        "published"
    ].isna().all() and "contradicts itself" not in tables.poison_report(table, rows)
    figure = plots.poison_figure(tables.summary(table))
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["measured"]


def test_bars_of_several_recommenders_are_told_apart(rows):
    table = tables.summary(read_results(rows)).query("defense == 'none'")
    first = plots.poison_figure(table).axes[0].get_yticklabels()
    both = (
        plots.poison_figure(pd.concat([table, table.assign(model="other")]))
        .axes[0]
        .get_yticklabels()
    )
    assert (
        len(both) == 2 * len(first)
        and len({text.get_text() for text in both}) == len(both)
        and both[-1].get_text().endswith(", other")
    )


def seeded(values, attack="recsys20", group="head"):
    """Rows of an attack with these target HRs: attack seed -> of each victim seed."""
    return [
        row(
            seed,
            attack,
            group=group,
            profiles=f"{attack}{attack_seed}",
            attack_seed=attack_seed,
            target_HR=value,
        )
        for attack_seed, own in values.items()
        for seed, value in enumerate(own)
    ]


def test_deviations_over_attack_seeds_and_over_victim_seeds(tmp_path):
    """The means by attack seed are .15, .25 and .35.

    The squares within them are .005 + .005 + .02 on 3 degrees of freedom.
    """
    made = [row(seed, target_HR=0.1) for seed in (0, 1)]
    made += seeded({0: (0.1, 0.2), 4: (0.2, 0.3), 9: (0.25, 0.45)}) + seeded(
        {0: (0.1, 0.3), 4: (0.2,)}, group="tail"
    )
    made += seeded({0: (0.5, 0.6)}, "random") + seeded({0: (0.5,), 1: (0.7,)}, "average")
    table = attack_seeds.spreads(write(tmp_path, poison.LAYOUT, made)).set_index(
        ["attack", "group"]
    )
    assert set(table.index) == {("recsys20", "head"), ("recsys20", "tail"), ("average", "head")}
    head, tail, single = (
        table.loc[key] for key in (("recsys20", "head"), ("recsys20", "tail"), ("average", "head"))
    )
    assert (head["attack_seeds"], head["victim_seeds"], head["k"]) == (3, 2, 50)
    reach = 4.30265273 * 0.1 / 3**0.5  # t of .975 with 2 degrees of freedom
    found = head[["mean", "sd_attacks", "sd_victims", "low", "high"]].tolist()
    assert found == pytest.approx([0.25, 0.1, 0.1, 0.25 - reach, 0.25 + reach])
    assert (tail["mean"], tail["sd_attacks"], tail["sd_victims"]) == pytest.approx(
        (0.2, 0, 0.02**0.5)
    )  # the one victim of seed 4 has no part
    assert single["sd_attacks"] == pytest.approx(0.02**0.5) and np.isnan(single["sd_victims"])


def test_the_page_of_poison_tells_attack_seeds_apart_where_there_are_several(tmp_path):
    clean, pages = [row(seed, target_HR=0.1) for seed in (0, 1)], {}
    for name, values in {"one": {0: (0.1, 0.2)}, "two": {0: (0.1, 0.2), 4: (0.2, 0.4)}}.items():
        made = clean + seeded(values)
        users = {metric: np.ones((len(made), 3), np.float32) for metric in ("target_HR", "HR")}
        table = write(tmp_path / name, poison.LAYOUT, made, users=users)
        poison.report([tmp_path / name])
        pages[name] = (tmp_path / name / "report.md").read_text()
        ticks = [
            text.get_text()
            for text in plots.poison_figure(tables.summary(table)).axes[0].get_yticklabels()
        ]
        assert (
            ticks
            == {"one": ["none", "recsys20"], "two": ["none", "recsys20, 0", "recsys20, 4"]}[name]
        )
    assert (
        "on one set of profiles an attack" in pages["one"]
        and "attack_seed" not in pages["one"]
        and "Variance" not in pages["one"]
    )
    assert "on 2 sets of profiles an attack" in pages["two"]
    for attack_seed, cell in ((0, "0.1500 ± 0.0707"), (4, "0.3000 ± 0.1414")):
        line = next(
            line
            for line in pages["two"].splitlines()
            if line.startswith(f"| head | recsys20 | {attack_seed} |")
        )
        assert line.endswith(f"| {cell} |")
    # 0.225 -+ 12.706 * 0.10607 / root 2; squares of .005 + .02 on 2 degrees of freedom
    assert (
        "| WRMF | head | recsys20 | 2 | 2 | 0.2250 [-0.7280, 1.1780] | 0.1061 | 0.1118 |"
        in pages["two"]
    )
