"""Claims of the multi-step paper on rows made by hand, and on the paper's own numbers."""

import re
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.evaluation import NAMES
from advrec_tf.evaluation.verdicts import Estimate, Replication, Word, judge, part_p
from advrec_tf.reporting.verdict_table import follows, measured, note, stated
from experiments.multistep import claims, curve_claims, paper
from experiments.multistep.evidence import Evidence, published_evidence
from experiments.multistep.labels import BIM, FGSM, INITIAL, MODELS, PGD

CLEAN = {"BPR-MF": 0.05, "AMF": 0.06}
NOISE = np.array([0.98, 1.01, 1.0, 1.02, 0.99])  # by seed
SHARES = {
    "initial": 1.0,
    "fgsm": 0.9,
    "fgsm after pgd": 0.88,
    "bim": 0.4,
    "pgd": 0.39,
    "bim l2": 0.85,
}
COVERAGE = {1: 1760, 20: 1760, 25: 1760, 30: 900, 40: 900, 50: 900, 70: 400, 80: 400}  # by L


def cells(**changed):
    """Table 1: BPR-MF .05 and AMF .06 when clean, and SHARES of them.

    changed: other shares, such as {"BPR-MF nDCG pgd": .2}.
    """
    rows = []
    for (model, clean), metric in product(CLEAN.items(), NAMES):
        for column, share in SHARES.items():
            shares = np.broadcast_to(changed.get(f"{model} {metric} {column}", share), 5)
            values = clean * shares * NOISE ** (2 if column == "pgd" else 1)
            for seed, value in enumerate(values):
                rows.append((model, "best", 7, seed, 0, column, metric, value))
    for seed, metric in product(range(5), NAMES):
        value = 0.001 * NOISE[-seed]
        rows.append(("Random", "", np.nan, seed, 0, "initial", metric, value))
    names = ["model", "selection", "epoch", "seed", "draw", "column", "metric", "value"]
    return pd.DataFrame(rows, columns=names)


def iterations(after=lambda n: 1 / n):
    """Figure 1: nDCG .05 when clean, .04 under FGSM, and .05 / L under BIM and PGD.

    ICov is 1000 when clean, and COVERAGE under BIM and PGD.
    """
    rows = []
    for seed, noise in enumerate(NOISE):
        for model in MODELS:
            key = (model, "best", 7, seed)
            rows.append((*key, *INITIAL, np.nan, 0.05 * noise, 1000 * noise))
            rows.append((*key, *FGSM, 1, 0.04 * noise, 1000))
            for attack, (n, coverage) in product((BIM, PGD), COVERAGE.items()):
                rows.append((*key, *attack, n, 0.05 * after(n), coverage * noise**1.2))
        rows.append(("Random", "", np.nan, seed, *INITIAL, np.nan, 0.001 * noise, 2000))
    names = ["model", "selection", "epoch", "seed", "attack", "ball", "start"]
    names += ["iterations", "nDCG", "ICov"]
    return pd.DataFrame(rows, columns=names)


def judged(evidence):
    verdicts = judge(claims.cases(evidence))
    return {verdict.claim.sentence: verdict for verdict in verdicts}


@pytest.fixture(scope="module")
def verdicts():
    return judged(Evidence("ml-1m", cells(), iterations()))


def test_cells_are_tested_in_pairs_of_seeds(verdicts):
    verdict = verdicts["Multi-step beats FGSM for every model and metric"]
    assert verdict.word is Word.HOLDS and len(verdict.parts) == 24
    part = next(part for part in verdict.parts if part.label == "AMF SE bim")
    differences = 0.06 * (0.4 - 0.9) * NOISE
    assert part.mean == pytest.approx(differences.mean())
    holds = stats.ttest_1samp(differences, 0, alternative="less").pvalue
    assert part_p(verdict.claim, part)[0] == pytest.approx(holds)


def test_every_part_of_a_claim_counts_not_the_best_one():
    """PGD more than halves PR and nDCG; RE keeps 60% of FGSM's."""
    kept = np.array([0.59, 0.61, 0.6, 0.58, 0.62])
    verdicts = judged(Evidence("ml-1m", cells(**{"BPR-MF RE pgd": 0.9 * kept})))
    twice = verdicts["PGD reduces BPR-MF's accuracy by more than 2 times compared to FGSM"]
    assert twice.word is Word.FAILS
    means = {part.label: part.mean for part in twice.parts}
    assert means["PR"] > 2 and means["nDCG"] > 2
    assert means["RE"] == pytest.approx((1 / (NOISE * kept)).mean()) and means["RE"] < 2


def test_pgd_against_bim_is_one_equality_a_model():
    """One seed 12% off neither fails nor is hidden by the mean of the others."""
    same = judged(Evidence("ml-1m", cells()))["AMF: PGD has no clear advantage over BIM"]
    change = 100 * (0.39 / 0.4 * NOISE - 1)
    assert same.parts[0].mean == pytest.approx(change.mean()) and same.word is Word.HOLDS
    far = judged(Evidence("ml-1m", cells(**{"BPR-MF nDCG pgd": 0.2})))
    assert far["BPR-MF: PGD has no clear advantage over BIM"].word is Word.FAILS
    assert far["AMF: PGD has no clear advantage over BIM"].word is Word.HOLDS


def test_a_published_ratio_is_an_equality(verdicts):
    """FGSM .04 over PGD .05 / L is .8 L: 20 at L = 25, which is more than 15.1 and not equal."""
    verdict = verdicts["BPR-MF: PGD is 15.1 times stronger than FGSM at L = 25"]
    assert verdict.parts[0].mean == pytest.approx(20) and verdict.word is Word.FAILS
    near = Evidence("ml-1m", None, iterations(lambda n: 0.8 / 1.49))
    assert judged(near)["AMF: PGD is 1.48 times stronger than FGSM at L = 20"].word is Word.HOLDS


def test_the_size_of_the_rise_of_coverage_is_judged(verdicts):
    rise = verdicts["BPR-MF: ICov rises by 76% in the first 25 iterations of BIM"]
    assert rise.parts[0].mean == pytest.approx(76, abs=0.01) and rise.word is Word.HOLDS
    small = iterations()
    small.loc[(small["iterations"] <= 25) & (small["attack"] == "bim"), "ICov"] *= 1073 / 1760
    rise = judged(Evidence("ml-1m", None, small))[rise.claim.sentence]
    assert rise.parts[0].mean == pytest.approx(7.3, abs=0.01) and rise.word is Word.FAILS
    lowest = verdicts["and falls to a minimum of 1,948, which is 31% of the initial"]
    assert lowest.parts[0].mean == pytest.approx(40, abs=0.01)
    assert verdicts["L >= 70 destroys coverage"].word is Word.HOLDS
    rising = iterations()  # the lowest after L = 25 is not that of L = 25
    rising.loc[(rising["iterations"] > 25) & (rising["attack"] == "bim"), "ICov"] *= 5
    _, (_, (part,)), _ = curve_claims.coverage(Evidence("ml-1m", None, rising))
    assert part.mean == pytest.approx(200, abs=0.1)


def test_losses_of_amf_are_of_both_gradients_of_fgsm(verdicts):
    clean = verdicts["AMF loses 11.31% to FGSM (gradient of Eq. 4)"]
    after = verdicts["AMF loses 11.31% to FGSM (gradient after PGD)"]
    assert clean.parts[0].mean == pytest.approx(10) and after.parts[0].mean == pytest.approx(12)
    loss = verdicts["AMF loses more than 58% on average to multi-step"]
    assert loss.parts[0].mean == pytest.approx(100 * (1 - (0.4 + 0.39 * NOISE).mean() / 2))


def test_random_is_the_floor(verdicts):
    share = 100 * (0.05 / 25 - 0.001 * NOISE) / (0.05 * NOISE)
    similar = verdicts["BPR-MF at L = 25 is similar to a random recommender"]
    assert similar.parts[0].mean == pytest.approx(share.mean())
    beyond = verdicts["and even worse with respect to beyond-accuracy metrics"]
    assert beyond.word is Word.FAILS and len(beyond.parts) == 6


def test_the_elbow_and_the_l2_ball(verdicts):
    """Of the fall from .05 to .05 / 80 the first 25 iterations bring .048 of .049375."""
    elbow = verdicts["25 iterations are the elbow of Figure 1a (read as: 90% of the fall)"]
    falls = 100 * (0.05 * NOISE - 0.002) / (0.05 * NOISE - 0.05 / 80)
    assert elbow.parts[0].mean == pytest.approx(falls.mean()) and elbow.word is Word.HOLDS
    left = verdicts[
        "In the l2 ball of FGSM's own epsilon BIM keeps less than half of its advantage"
    ]
    assert left.parts[0].mean == pytest.approx(10)


def test_the_epsilon_of_equal_harm_is_judged_by_seed():
    """FGSM costs 1 nDCG at .5 and BIM at .1; BIM at .2 costs more."""
    key = {"model": "AMF", "iterations": 25}
    rows = []
    for seed in range(3):
        fgsm = {"attack": "fgsm", "ball": "", "start": "clean", "epsilon": 0.5, "nDCG": 4 + seed}
        rows.append(key | fgsm | {"seed": seed})
        for epsilon, nDCG in ((0.1, 4 + seed), (0.2, 2 + seed)):
            bim = {"attack": "bim", "ball": "linf", "start": "zero", "epsilon": epsilon}
            rows.append(key | bim | {"nDCG": nDCG, "seed": seed})
    verdicts = claims.cases(Evidence("ml-1m", budget=pd.DataFrame(rows)))
    parts = {claim.sentence: parts for claim, parts in verdicts}
    less = {
        part.label: part for part in parts["Multi-step does FGSM's harm with 5 times less budget"]
    }
    assert less["AMF BIM"].mean == pytest.approx(5) and less["AMF BIM"].count == 3
    assert less["AMF PGD"].count == less["BPR-MF BIM"].count == 0


def test_what_was_not_measured_is_unmeasured(verdicts):
    assert verdicts["Denser data are more robust (BPR-MF)"].word is Word.UNMEASURED
    assert verdicts["Multi-step does FGSM's harm with 5 times less budget"].word is Word.UNMEASURED
    assert claims.report([Evidence("ml-1m")]) == ("", "")
    unknown = Evidence("shop", cells(), iterations())  # the paper says nothing about it
    assert claims.report([unknown]) == ("", "")


def p_of_amf_above_bprmf(page):
    (line,) = re.findall(r"\| 5\.1\.1 \| AMF starts above BPR-MF \|.*", page)
    return float(re.search(r"\(p ([^,]+),", line)[1])


def test_a_page_is_corrected_over_all_of_its_data_sets():
    evidence = [Evidence(name, cells()) for name in ("ml-1m", "lastfm-2k")]
    answer, alone = claims.report(evidence[:1])
    assert answer.startswith("ml-1m: Of 38 claims ") and answer.endswith(" are not measured.")
    together = claims.verdicts_by_data_set(evidence)
    assert set(together) == {"ml-1m", "lastfm-2k"}
    pages = alone, claims.table("ml-1m", together["ml-1m"])
    alone_p, together_p = map(p_of_amf_above_bprmf, pages)
    assert alone_p < together_p


def what_follows(dataset):
    cases = claims.cases(published_evidence(dataset))
    return {claim.sentence: follows(claim, parts) for claim, parts in cases}


def test_the_papers_own_numbers_follow_or_not():
    found = what_follows("lastfm")
    refuted = {sentence for sentence, text in found.items() if text.startswith("no")}
    assert refuted == {
        "SE falls by at least 20%, whatever model and attack",
        "AMF loses more than 58% on average to multi-step",
    }
    assert found["BPR-MF: PGD is 15.1 times stronger than FGSM at L = 25"] == "yes (15.2)"
    assert found["BPR-MF: ICov rises by 76% in the first 25 iterations of BIM"] == "yes (75.69%)"
    assert found["Multi-step beats FGSM for every model and metric"] == "yes (24 of 24 parts)"
    assert found["L >= 70 destroys coverage"] == ""  # the paper gives no number
    assert what_follows("ml-1m")["AMF loses 11.31% to FGSM (gradient of Eq. 4)"] == "no (9.31%)"


def test_published_evidence_is_the_published_table():
    evidence = published_evidence("ml-1m")
    assert evidence.cell("AMF", "nDCG", "bim").tolist() == [0.0228]
    assert len(evidence.table1) == len(paper.table1()) / 2


def test_a_cell_is_of_the_first_draw_of_each_seed():
    table = cells()
    again = table[table["column"] == "pgd"].assign(draw=1, value=9.0)
    both = Evidence("ml-1m", pd.concat([table, again])).cell("AMF", "SE", "pgd")
    assert both.to_dict() == Evidence("ml-1m", table).cell("AMF", "SE", "pgd").to_dict()
    assert list(both.index) == [0, 1, 2, 3, 4]


def test_other_epochs_of_figure_1_are_named():
    figure = iterations()
    figure.loc[(figure["seed"] == 3) & (figure["model"] == "BPR-MF"), "epoch"] = 9
    assert "(seed 3: 7 and 9)" in claims.epochs(Evidence("ml-1m", cells(), figure))
    assert claims.epochs(Evidence("ml-1m", cells(), iterations())) == ""


def test_the_columns_are_made_of_the_fields(verdicts):
    ratio = verdicts["AMF: PGD is 1.48 times stronger than FGSM at L = 20"]
    check = "nDCG of FGSM / of PGD at L = 20, Figure 1: equal to 1.48 within 0.074"
    assert ratio.claim.check == check
    low, high = stats.t.interval(0.95, 4, 16 * NOISE.mean(), stats.sem(16 * NOISE))
    assert measured(ratio) == f"16 [{low:.4g}, {high:.4g}] (95% over 5 training seeds)"
    assert stated(ratio) == f"fails (p {ratio.p:.2g}, alone {ratio.alone:.2g})"
    cell = verdicts["AMF starts above BPR-MF"]
    assert measured(cell).startswith("0.0600 against 0.0500, difference 0.0100 [")
    many = measured(verdicts["Multi-step beats FGSM for every model and metric"])
    assert many.startswith("24 of 24 parts; the weakest: ")
    tested = sum(np.isfinite(verdict.p) for verdict in verdicts.values())
    assert f"over the {tested} tested claims" in note(list(verdicts.values()))


@pytest.mark.parametrize(
    "value, text",
    [(-96.1, "-96.1"), (0.12345, "0.1235"), (-0.5, "-0.5000"), (1234.56, "1235"), (1.5, "1.5")],
)
def test_numbers_of_any_sign_have_four_digits(value, text):
    claim, _ = claims.cases(Evidence("ml-1m"))[0]
    (verdict,) = judge([(claim, [Estimate.of("", [value])])])
    assert measured(verdict) == f"{text} (95% over 1 training seeds)"


def test_the_weakest_part_is_shown():
    claim, parts = claims.cases(Evidence("ml-1m", cells(**{"AMF SE pgd": 0.89})))[0]
    (verdict,) = judge([(claim, parts)])
    assert "the weakest: AMF SE pgd" in measured(verdict)


def test_replicates_without_variance_are_named():
    claim, _ = claims.cases(Evidence("ml-1m"))[0]
    (verdict,) = judge([(claim, [Estimate.of("a", [1.0, 1.0], [2.0, 2.0])])])
    assert stated(verdict) == "not decidable (a: no variance over training seeds)"
    assert claim.replication is Replication.TRAINING
