"""Curves, characteristics and claims, on rows made by hand."""

from types import SimpleNamespace

import numpy as np
import pytest

from advrec_tf.cli.perturbed import LAYOUT
from advrec_tf.reporting import Evidence, checks, claims, curves, plots, published, read_results, tables, vocabulary
from advrec_tf.reporting.evidence import printed_evidence

from rows import write

METRICS = {"PR": 0.01, "RE": 0.1, "nDCG": 0.05, "EFD": 0.1, "SE": 9.0, "ICov": 2000}


def row(model="BPR-MF", scale=1.0, **values):
    return (
        {"dataset": "synthetic", "model": model, "selection": "best", "epoch": 5, "seed": 0, "k": 10}
        | {n: v * scale for n, v in METRICS.items()}
        | values
    )


def measured_rows():
    """nDCG .05, FGSM .04, multi-step .05 / (1 + L); the l2 ball leaves FGSM's; budgets in proportion."""
    rows = [row("Random", 0.02, epoch=None, selection="")]
    for model in vocabulary.MODELS:
        rows.append(row(model))
        rows += [row(model, 0.8, attack="fgsm", start=start, epsilon=0.5, iterations=1) for start in ("clean", "after_pgd")]
        for (attack, ball, start), _ in vocabulary.MULTI_STEP.items():
            for n in (1, 10, 20, 25, 30, 40, 50, 80):
                scale = 0.8 if ball == "l2" else 1 / (1 + n)
                rows.append(row(model, scale, attack=attack, ball=ball, start=start, epsilon=0.5, iterations=n))
    return rows


def budget_rows():
    rows = []
    for model in vocabulary.MODELS:
        rows.append(row(model))
        for epsilon in (0.05, 0.1, 0.5, 1.0):
            rows.append(row(model, 1 - 0.4 * epsilon, attack="fgsm", start="clean", epsilon=epsilon, iterations=1))
            for attack, ball, start in vocabulary.MULTI_STEP:
                scale = 1 - 0.4 * min(2, epsilon * (1 if ball == "l2" else 5))
                rows.append(row(model, scale, attack=attack, ball=ball, start=start, epsilon=epsilon, iterations=25))
            rows += [row(model, 0.5, attack="certificate", ball=ball, epsilon=epsilon) for ball in ("l2", "linf")]
    return rows


@pytest.fixture
def output(tmp_path):
    """Results of three experiments, and of the iterations each user's nDCG."""
    users = np.random.default_rng(0).random(200) / 10
    rows = measured_rows()
    kept = np.array([users * row["nDCG"] / METRICS["nDCG"] for row in rows])
    for name, each, nDCG in (("table1", rows, None), ("iterations", rows, kept), ("budget", budget_rows(), None)):
        frame = write(tmp_path / name / "synthetic", LAYOUT, each, users=None if nDCG is None else {"nDCG": nDCG})
        if name == "table1":
            tables.cells(frame).to_csv(tmp_path / name / "synthetic" / "cells.csv", index=False)
    return tmp_path


def test_equal_harm_interpolates_in_log_epsilon():
    assert curves.equal_harm([0.1, 1.0, 10.0], [5, 3, 1], 3) == pytest.approx(1.0)
    assert curves.equal_harm([0.1, 1.0, 10.0], [5, 3, 1], 4) == pytest.approx(10**-0.5)
    assert curves.equal_harm([0.1, 1.0], [2, 1], 3) == 0.1
    assert np.isnan(curves.equal_harm([0.1, 1.0], [5, 4], 3))


def test_equal_harm_of_rows(output):
    table = curves.equal_harm_table(read_results(output / "budget" / "synthetic")).set_index(["model", "attack"])
    assert table.loc[("AMF", "BIM"), "epsilon"] == pytest.approx(0.1)
    assert table.loc[("AMF", "BIM, l2 ball"), "times less"] == pytest.approx(1)


def test_reports_and_figures_of_curves(output, tmp_path):
    iterations, budget = read_results(output / "iterations" / "synthetic"), read_results(output / "budget" / "synthetic")
    assert "| 25 | 0.0019 | 0.0019 | 0.0400 | 0.0019 |" in curves.iterations_report(iterations)
    report = curves.budget_report(budget)
    assert "| BPR-MF | PGD | 0.100 | 5.0 |" in report and "certified, l2" in report
    figure = plots.iterations_figure(iterations, ("nDCG", "ICov"))
    assert len(figure.axes) == 4 and figure.axes[0].get_title() == "BPR-MF on synthetic"
    assert plots.budget_figure(budget).axes[1].get_xscale() == "log"


def test_no_better_than_random_is_judged_by_the_lower_end_of_the_interval():
    random, noise = np.random.default_rng(0).random(400) / 10, np.random.default_rng(1).normal(0, 0.01, 400)
    for shift, holds in ((0.01, False), (-0.01, True), (0.0003, True)):
        pgd = random + noise - noise.mean() + shift
        users = {"Random": random, "BPR-MF": pgd}
        evidence = SimpleNamespace(users=lambda model, *_, users=users: users[model], mean=lambda model, *_, users=users: users[model].mean())
        found = checks.no_better_than_random(evidence)
        assert found.holds is holds and found.margin == pytest.approx(-shift)


def test_two_sentences_do_not_follow_from_the_printed_table():
    refuted = {claim.sentence for claim in claims.claims() if claim.finding_of("lastfm").holds in (False,)}  # which the sentences are about
    assert refuted == {"SE falls by at least 20%, whatever data, model and attack", "AMF loses more than 58% on average to multi-step"}
    assert claims.report(Evidence("ml-1m", None, None, None, None, None)) == ""  # nothing was measured


def test_what_the_paper_prints_beside_its_table_is_judged_too():
    found = {claim.sentence: claim for claim in claims.claims()}
    ratio = found["BPR-MF: PGD is 15.1 times stronger than FGSM at L = 25"]
    assert ratio.finding_of("lastfm").value == "15.20" and ratio.finding_of("ml-1m").holds is None
    assert found["BPR-MF: ICov rises by 76% by L = 25 and falls after"].finding_of("lastfm").value == "+76% at 25, lowest 1948"
    assert found["AMF's slopes are flatter"].finding_of("ml-1m").value == "3.65 < 96.1"


def test_what_is_half_measured_is_judged_by_what_there_is(tmp_path):
    rows = [row for row in measured_rows() if row.get("attack") != "pgd" and row["model"] != "AMF"]
    folder = tmp_path / "table1" / "synthetic"
    tables.cells(write(folder, LAYOUT, rows)).to_csv(folder / "cells.csv", index=False)
    text = claims.report(Evidence.of(tmp_path, "synthetic"))
    assert "Multi-step beats FGSM" not in text and "AMF starts above" not in text


def test_data_of_one_s_own_have_no_claims(output):
    evidence = Evidence.of(output, "synthetic")
    assert "Multi-step beats FGSM" in claims.report(evidence) and "not measured" not in claims.report(evidence)
    assert claims.report(Evidence("shop", *(getattr(evidence, name) for name in ("folder", "table1", "iterations", "budget", "losses")))) == ""


def findings(output):
    evidence = Evidence.of(output, "synthetic")
    return {claim.sentence: claims.found(claim.check, evidence) for claim in claims.claims()}


def test_claims_on_measured_rows(output):
    found = findings(output)
    assert found["Multi-step beats FGSM for every data set, model and metric"].holds
    ratio = found["BPR-MF: PGD is 15.1 times stronger than FGSM at L = 25"]
    assert ratio.holds and ratio.value == "20.80 [20.80, 20.80]"  # .8 / (1 / 26), the same for every user
    assert not found["BPR-MF at L = 25 is no better than random"].holds
    assert not found["AMF starts above BPR-MF"].holds
    assert found["Multi-step needs 5 times less budget than FGSM at .5"].holds
    assert found["AMF never falls to random"].holds is False  # 1 / 81 lies below 1 / 50
    left = found["How much of multi-step's advantage over FGSM is left in the l2 ball of FGSM's own budget"]
    assert left.value.replace("-0.0", "0.0").startswith("BPR-MF 0.0%")
    assert found["Initial > FGSM > BIM under a paired test over users"].holds
    assert found["Denser data are more robust (BPR-MF)"].holds is None


def test_accumulated_users_leave_out_the_read_out_at_25(output):
    evidence = Evidence.of(output, "synthetic")
    users = evidence.users("AMF", ("bim", "linf", "zero"))
    grid = np.array([1, 10, 20, 30, 40, 50, 80])
    share = np.trapezoid(1 / (1 + grid), grid) / 79
    np.testing.assert_allclose(users, share * evidence.users("AMF"), rtol=1e-5)


def test_printed_evidence_is_the_published_table():
    cells = printed_evidence("ml-1m").cells
    assert cells["AMF", "nDCG", "bim"] == 0.0228 and len(cells) == len(published.table1()) / 2
