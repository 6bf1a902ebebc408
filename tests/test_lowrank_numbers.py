"""Numbers that pages of the low-rank paper print, by hand and by SciPy."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf import evaluation
from advrec_tf.defenses.detection import FLAGGED, KNOWN
from advrec_tf.evaluation import DETECTION
from advrec_tf.reporting import read_results
from experiments.lowrank import adaptive, effects, figure1, figure2, later_defenses, table1, tables
from experiments.lowrank.poisoned_spec import LAYOUT

from rows import write

RNG = np.random.default_rng(0)
MODELS, ATTACKS, SEEDS = ("WRMF", "Ensemble", "WRMF, adversary by fit"), ("none", "a", "b"), 4


@pytest.fixture(scope="module")
def rows():
    """Return victims of every recommender under every attack, and two certificates."""
    made = []
    for model in MODELS:
        for attack in ATTACKS:
            for seed in range(SEEDS):
                values = {"HR": RNG.uniform(0.6, 0.8), "target_HR": RNG.uniform(0.1, 0.3)}
                key = {"group": "head", "model": model, "attack": attack, "seed": seed}
                made.append({**key, **values, "certified_fakes": np.nan})
    return pd.DataFrame(made)


def of(rows, model, attack, metric):
    chosen = rows[(rows["model"] == model) & (rows["attack"] == attack)]
    return chosen.set_index("seed")[metric].to_numpy()


def student(values):
    return stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))


def test_recommenders_beside_wrmf_as_scipy_does(rows):
    table = later_defenses.compared(rows).set_index(["model", "attack"])
    raw = {}
    for model in MODELS[1:]:
        for attack in ATTACKS:
            line = table.loc[model, attack]
            for metric in ("HR", "target_HR"):
                own, beside = (of(rows, each, attack, metric) for each in (model, "WRMF"))
                assert line[metric] == pytest.approx(own.mean())
                assert line[f"{metric} beside"] == pytest.approx((own - beside).mean())
                ends = line[f"{metric} low"], line[f"{metric} high"]
                assert ends == pytest.approx(student(own - beside))
            rises = [
                of(rows, each, attack, "target_HR") - of(rows, each, "none", "target_HR")
                for each in (model, "WRMF")
            ]
            assert line["raised"] == pytest.approx(rises[0].mean())
            if attack != "none":
                ends = line["raised low"], line["raised high"]
                assert ends == pytest.approx(student(rises[0] - rises[1]))
                raw[model, attack] = stats.ttest_rel(*rises).pvalue
    corrected = evaluation.holm(list(raw.values()))
    assert [table.loc[key, "p"] for key in raw] == pytest.approx(list(corrected))
    assert table["p"].notna().sum() == len(raw) == 4


def test_effects_have_the_overall_hit_ratio_of_clean_and_of_attacked_data():
    made = []
    for attack, HR in (("none", 0.8), ("recsys20", 0.6)):
        for defense, patch, less in (("none", "", 0.0), ("low_rank", "100", 0.1)):
            for seed in range(3):
                key = {"dataset": "shop", "model": "WRMF", "group": "head", "seed": seed}
                key |= {"attack": attack, "defense": defense, "patch": patch, "share": np.nan}
                values = {"target_HR": 0.2 + seed / 100, "HR": HR - less + seed / 100}
                made.append(key | values | {"rank": 90.0 if patch else np.nan})
    lines = {line[2]: line for line in effects.effects(pd.DataFrame(made))}
    own = lines["[100, 90]"]
    assert own[8].startswith("0.7100 [") and own[9].startswith("0.5100 [")
    low, high = student(np.array([0.5, 0.51, 0.52]))
    assert own[9] == f"0.5100 [{low:.4f}, {high:.4f}]" and own[11] == "-0.1000"
    assert lines["none"][8].startswith("0.8100 [") and lines["none"][10:] == ["", ""]


def test_each_undefended_victim_has_a_test_of_its_own(tmp_path):
    """The attack reaches 40 users of 50 where WRMF had 5, and nobody with PMF."""
    made, reached = [], np.zeros((5, 50), np.float32)
    for model, attack, defense in (
        *(("WRMF", "none", "none"), ("WRMF", "recsys20", "none")),
        *(("PMF", "none", "none"), ("PMF", "recsys20", "none"), ("WRMF", "recsys20", "svm")),
    ):
        key = {"dataset": "shop", "model": model, "attack": attack, "seed": 0, "k": 10}
        made.append(key | {"group": "head", "defense": defense, "target_HR": 0.5})
    reached[0, :5] = reached[1, :40] = 1
    write(tmp_path, LAYOUT, made, {}, {"target_HR": reached, "HR": np.ones((5, 50), np.float32)})
    text = tables.before_and_after(read_results(tmp_path), tmp_path)
    (wrmf,) = [line for line in text.splitlines() if line.startswith("| shop | WRMF | head | rec")]
    (pmf,) = [line for line in text.splitlines() if line.startswith("| shop | PMF | head | rec")]
    assert "| 0.1000 -> 0.8000 (+700.0%) |" in wrmf and "| 0.0000 -> 0.0000 (+0.0%) |" in pmf


@pytest.mark.parametrize("harms, clear", [((0.1, 0.12, 0.11), True), ((0.3, 0.01, 0.02), False)])
def test_a_part_of_a_harm_is_told_where_the_harm_is_clear(harms, clear):
    """Both harms are .11 in the mean; the interval of the second one holds 0."""
    made = []
    for seed, harm in enumerate(harms):
        for attack, defense, value in (
            *(("none", "none", 0.2), ("recsys20", "none", 0.2 + harm)),
            *(("none", "svm", 0.2), ("recsys20", "svm", 0.2 + harm / 4)),
        ):
            key = {"model": "WRMF", "group": "head", "patch": "", "rank": np.nan, "seed": seed}
            made.append(key | {"attack": attack, "defense": defense, "target_HR": value})
    (line,) = adaptive.taken_away(pd.DataFrame(made)).to_dict("records")
    assert line["undefended"] == pytest.approx(0.31) and line["clean"] == pytest.approx(0.2)
    assert (student(np.array(harms))[0] > 0) == clear
    assert line["taken"] == pytest.approx(0.75) if clear else np.isnan(line["taken"])


def test_scores_of_detectors_have_their_deviation_over_folds():
    recalls = {("rbf", 5): (0.2, 0.5, 0.2), ("linear", 10): (0.6, 0.9, 0.6)}
    made = []
    for (kernel, components), values in recalls.items():
        for fold, recall in enumerate(values):
            key = {"kernel": kernel, "components": components, "fold": fold}
            scores = dict.fromkeys(DETECTION, 0.75) | {"recall": recall}
            made.append({"dataset": "shop", "attack": "x", "sampling": "imbalanced"} | key | scores)
    frame = pd.DataFrame(made)
    text = figure2.page_text(frame)
    assert "linear kernel on 10 components has the highest recall, 0.7000" in figure2.answer(frame)
    assert "| linear | 10 | 0.7000 ± 0.1732 | 0.7500 ± 0.0000 |" in text
    assert "| rbf | 5 | 0.3000 ± 0.1732 |" in text and text.count("3 folds") == 1


def test_detectors_are_listed_with_the_fakes_they_learnt_from_first():
    base = {"attack": "x", "group": "head", "profiles": "p", FLAGGED: 3.0}
    made = []
    for kernel, sampling, defense in (("rbf", "imbalanced", "svm"), ("", "", "a distance")):
        for index, tested in enumerate(("bandwagon", KNOWN, "random")):
            scores = {name: (index + n) / 10 for n, name in enumerate(DETECTION)}
            key = {"kernel": kernel, "sampling": sampling, "defense": defense, "tested_on": tested}
            made.append(base | key | scores)
    made.append(base | {"tested_on": "", "kernel": "", "sampling": "", "defense": "none"})
    table = table1.detectors(pd.DataFrame(made))
    assert table["detector"].tolist() == ["a distance"] * 3 + ["rbf, imbalanced"] * 3
    assert table["tested on"].tolist() == [KNOWN, "bandwagon", "random"] * 2
    text = table1.detectors_text(table)
    numbers = "0.1000 | 0.2000 | 0.3000 | 0.4000 | 0.5000 | 3 |"
    assert f"| rbf, imbalanced | {KNOWN} | {numbers}" in text
    assert "## Detectors trained on x (head, p)" in text


def test_the_page_of_two_components_by_hand():
    frame = pd.DataFrame({"dataset": "shop", "attack": "x", "variance": [0.1234, 0.05]})
    points = pd.DataFrame({"fake": [True, False, False, True, False]})
    text = figure1.page_text(frame.assign(AUROC=[0.987654, 0.5]), points)
    assert "2 fakes, 3 real users. The components hold 12.34%, 5.00% of the variance." in text
    assert text.endswith("(or of its opposite): 0.9877, 0.5000.\n")
