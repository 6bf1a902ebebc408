"""Figure 3 and its readings, on rows made by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.errors import UserError
from advrec_tf.reporting import vocabulary
from experiments.multistep import characteristics_page, characteristics_plots, claims, loss_slopes
from experiments.multistep.evidence import Evidence
from experiments.multistep.perturbed import DRAWN_LAYOUT

from rows import write

DENSITIES = {10: 0.05, 50: 0.09, 100: 0.13}
SLOPES = {"BPR-MF": 100, "AMF": 10}


def row(model: str, scale: float = 1.0, **values) -> dict:
    base = {"model": model, "epoch": 5, "k": 10, "attack": "", "ball": "", "start": ""}
    return base | {"nDCG": 0.05 * scale, "RE": 0.1 * scale, "EFD": 0.2 * scale} | values


def attacked(model: str, loss: float, epsilons, **values) -> list[dict]:
    """The clean row, and rows that lose `loss` at epsilon .5 after 25 iterations."""
    rows = [row(model, **values)]
    for attack, ball, start in loss_slopes.ATTACKS.values():
        key = {"attack": attack, "ball": ball, "start": start}
        for epsilon in epsilons:
            for n in (1,) if attack == "fgsm" else (10, 25):
                share = epsilon / 0.5 * (1 if attack == "fgsm" else n / 25)
                point = key | {"epsilon": epsilon, "iterations": n}
                rows.append(row(model, 1 - loss * share, **values, **point))
    return rows


def sub_sample(
    k: int, name: str = "ml-1m", epsilons=(0.25, 0.5), seeds=(0,), epochs: int = 300
) -> pd.DataFrame:
    """Rows with a loss of 60 - SLOPES density percent, plus the seed, plus 1 at the last epoch.

    The loss is proportional to L / 25 and to epsilon / .5.
    """
    density, rows = DENSITIES[k], []
    for seed in seeds:
        base = {"dataset": f"{name}-single_pass-{k}", "seed": seed}
        for model, slope in SLOPES.items():
            loss = (60 - slope * density + seed) / 100
            rows += attacked(model, loss, epsilons, **base, selection="best")
            rows += attacked(model, loss + 0.01, (0.5,), **base, selection="last")
        for model in vocabulary.BASELINES:
            rows.append(row(model, 0.4, **base, selection="", epoch=None))
    frame = pd.DataFrame(rows)
    facts = {"density": density, "size": 1e6 / density, "shape": 1 / density}
    config = {"epochs": epochs, "bprmf_epochs": 200, "AMF": {"first_epoch": 200}, "data": str(k)}
    frame.attrs |= {"statistics": facts | {"published": True}, "config": config}
    return frame


def losses_of_all(**how) -> pd.DataFrame:
    tables = [loss_slopes.losses(sub_sample(k, **how)) for k in DENSITIES]
    return pd.concat(tables, ignore_index=True)


def test_losses_and_slopes():
    losses = losses_of_all()
    shown = loss_slopes.shown(losses)
    assert loss_slopes.shown_iterations(losses) == 25
    assert set(shown["epsilon"].dropna()) == {0.5} and set(shown["selection"]) == {"best"}
    fits = loss_slopes.slopes(shown).set_index(["model", "attack", "characteristic"])
    assert fits.loc[("BPR-MF", "PGD", "density"), "slope"] == pytest.approx(-100)
    assert fits.loc[("AMF", "FGSM", "density"), "slope"] == pytest.approx(-10)
    assert fits.loc[("BPR-MF", "BIM", "size"), "slope"] > 0
    popular = shown[shown["attack"] == "MostPopular"]
    assert len(popular) == 6 and popular["relative_loss"].to_numpy() == pytest.approx(60)
    nearest, at_densities = loss_slopes.nearest_iterations(losses)
    assert nearest == 25
    assert at_densities == {0.0507: pytest.approx(55), 0.1387: pytest.approx(47)}


@pytest.fixture(scope="module")
def noisy():
    """Losses off their lines, the sparsest sub-sample at a published density."""
    losses = losses_of_all()
    losses["relative_loss"] += np.random.default_rng(0).normal(0, 0.05, len(losses))
    return losses.assign(density=losses["density"].replace(0.05, 0.0507))


def by_sentence(dataset, losses):
    found = claims.cases(Evidence(dataset, losses=losses))
    return {claim.sentence: (claim, parts) for claim, parts in found}


def pgd_means(losses):
    shown = loss_slopes.shown(losses)
    return shown[shown["attack"] == "PGD"].pivot_table("relative_loss", "density", "model")


def test_claims_about_characteristics_are_tests_of_slopes(noisy):
    cases, pgd = by_sentence("ml-1m", noisy), pgd_means(noisy)
    line = stats.linregress(pgd.index, pgd["BPR-MF"])
    _, parts = cases["Denser data are more robust (BPR-MF)"]
    part = next(part for part in parts if part.label == "PGD density")
    assert (part.mean, part.error, part.degrees) == pytest.approx((line.slope, line.stderr, 1))
    claim, parts = cases["AMF's slopes are flatter than BPR-MF's"]
    assert len(parts) == 3 * 3 * 2 and all(claim.is_met_by(part.mean) for part in parts)
    means = {part.label: part.mean for part in parts}
    for label, other in (
        ("PGD density less AMF", -pgd["AMF"]),
        ("PGD density plus AMF", pgd["AMF"]),
    ):
        line = stats.linregress(pgd.index, pgd["BPR-MF"] + other)
        assert means[label] == pytest.approx(-line.slope)


def test_claims_about_published_numbers_are_of_their_data_alone(noisy):
    cases, pgd = by_sentence("ml-1m", noisy), pgd_means(noisy)
    _, (part,) = cases["PGD takes 43.79% of BPR-MF at density 0.0507"]
    assert part.mean == pytest.approx(pgd["BPR-MF"].iloc[0]) and part.count == 1
    _, (part,) = cases["AMF: PGD's slope over density is -3.65"]
    assert part.mean == pytest.approx(stats.linregress(pgd.index, pgd["AMF"]).slope)
    assert "5.2 (ML-1M)" in {claim.section for claim, _ in cases.values()}
    others = by_sentence("lastfm-2k", noisy)
    assert "5.2 (ML-1M)" not in {claim.section for claim, _ in others.values()}


def test_draws_of_an_attack_have_equal_weight():
    frame = sub_sample(10)
    chosen = (frame["attack"] == "pgd") & (frame["selection"] == "best") & (frame["epsilon"] == 0.5)
    again = frame[chosen]
    both = pd.concat([frame, again.assign(draw=1, nDCG=again["nDCG"] - 0.05 * 0.06)])
    both.attrs = frame.attrs
    losses = loss_slopes.losses(both)
    shown = loss_slopes.shown(losses)
    pgd = shown[(shown["attack"] == "PGD") & (shown["model"] == "BPR-MF")]
    assert pgd.groupby("draw")["relative_loss"].first().tolist() == pytest.approx([55, 61])
    text = characteristics_page.characteristics_report(losses, loss_slopes.readings(losses))
    assert "1 seed(s) and 2 draw(s) of the attack each" in text
    assert (
        "| ml-1m-single_pass-10 | 0.0500 | 20,000,000 | 20.000 | 1 | 55.00 | 55.00 | 58.00 |"
        in text
    )


def test_the_interval_of_a_slope_is_student_s():
    x, y = pd.Series([0.0, 1, 2, 3]), pd.Series([0.1, 0.9, 2.2, 2.8])
    line = loss_slopes.fit(x, y)
    design = np.stack([x, np.ones(4)], axis=1)
    solution, residuals, *_ = np.linalg.lstsq(design, y, rcond=None)
    error = np.sqrt(residuals[0] / 2 * np.linalg.inv(design.T @ design)[0, 0])
    assert line.slope == pytest.approx(solution[0]) and line.intercept == pytest.approx(solution[1])
    assert line.high - line.slope == pytest.approx(4.302653 * error, rel=1e-6)
    assert line.slope - line.low == pytest.approx(4.302653 * error, rel=1e-6)
    assert all(np.isnan(value) for value in loss_slopes.fit(x[:2], y[:2]))


def test_readings_and_the_nearest_of_them():
    readings = loss_slopes.readings(losses_of_all())
    # Models; (selection, epsilon); iterations and their mean; metrics.
    assert len(readings) == 2 * 3 * 3 * len(loss_slopes.LOSSES)
    slopes = readings.set_index(["model", *loss_slopes.READING])["slope"]
    assert slopes["BPR-MF", "best", 0.25, "nDCG", 25] == pytest.approx(-50)
    assert slopes["BPR-MF", "best", 0.5, "RE", 10] == pytest.approx(-40)
    mean_share = (10 + 25) / 2 / 25  # over the iterations from 10 to 25
    assert slopes["AMF", "last", 0.5, "nDCG", 0] == pytest.approx(-10 * mean_share)
    nearest = loss_slopes.nearest_readings(readings)
    assert nearest["BPR-MF"]["slope"] == pytest.approx(-100)
    assert nearest["AMF"]["slope"] == pytest.approx(-3.5)
    # |s / -96.1 - 1| + |s / -3.65 - 1| is .677 there, and .680 at epsilon .5 after 10 iterations.
    both = nearest["both"]
    assert (both["epsilon"], both["iterations"], both["BPR-MF"]) == (0.25, 0, pytest.approx(-35))


@pytest.fixture(scope="module")
def of_three_seeds():
    losses = losses_of_all(seeds=(0, 1, 2))
    return losses, loss_slopes.readings(losses)


def test_the_page_of_figure_3_has_the_published_numbers(of_three_seeds):
    text = characteristics_page.characteristics_report(*of_three_seeds)
    assert "200 epochs of BPR-MF, AMF from 200 to 300" in text
    assert "| BPR-MF | PGD | -100.00 [-100.00, -100.00] |" in text
    assert "-96.10, published of BPR-MF, is outside AMF's -10.00 [-10.00, -10.00]; " in text
    assert "-3.65, published of AMF, is outside BPR-MF's" in text
    assert "published of BPR-MF are 43.79 and 28.90; measured: 56.00 and 48.00 (BPR-MF); " in text
    assert "; 60.50 and 59.70 (AMF)" in text
    assert "| BPR-MF | -96.10 | -100.00 [-100.00, -100.00] | outside |" in text
    assert "-169.2 between them" in text


def test_the_ends_have_intervals_over_seeds(of_three_seeds):
    """Of losses 55, 56, 57 on the sparsest and 47, 48, 49 on the densest sub-sample."""
    ends = loss_slopes.ends(of_three_seeds[0]).set_index(["model", "attack"])
    line = ends.loc[("BPR-MF", "PGD")]
    assert line["seeds"] == 3 and line["slope"] == pytest.approx(-100)
    assert (line["sparse"], line["dense"]) == pytest.approx((56, 48))
    assert line["sparse_high"] - line["sparse"] == pytest.approx(4.302653 / 3**0.5, rel=1e-5)


def test_the_ends_are_of_the_seeds_that_both_have(of_three_seeds):
    losses = of_three_seeds[0]
    some = losses[(losses["density"] < 0.13) | (losses["seed"] > 0)]  # seeds 1 and 2: 56 and 57
    line = loss_slopes.ends(some).set_index(["model", "attack"]).loc[("BPR-MF", "PGD")]
    assert (line["seeds"], line["least"], line["most"]) == (2, 0.05, 0.13)
    assert (line["sparse"], line["dense"]) == pytest.approx((56.5, 48.5))


def published_levels(readings):
    lines = [
        line for axis in characteristics_plots.readings_figure(readings).axes for line in axis.lines
    ]
    return [line.get_ydata()[0] for line in lines if line.get_label() == "published"]


def test_the_figures_have_a_panel_for_each_model(of_three_seeds):
    losses, readings = of_three_seeds
    figure = characteristics_plots.losses_figure(losses)
    assert [axis.get_title() for axis in figure.axes] == ["BPR-MF"] * 3 + ["AMF"] * 3
    assert published_levels(readings) == [-96.10, -3.65]


@pytest.mark.parametrize("change", [{"dataset": "lastfm-2k-single_pass-10"}, {"published": False}])
def test_other_data_stand_without_the_published_numbers(of_three_seeds, change):
    losses = of_three_seeds[0].assign(**change)
    readings = loss_slopes.readings(losses)
    assert "-96.10" not in characteristics_page.characteristics_report(losses, readings)
    assert published_levels(readings) == []


def test_the_losses_of_all_sub_samples_in_one_setting(tmp_path):
    for name, k, epochs in (
        ("ml-1m-single_pass-50", 50, 300),
        ("ml-1m-single_pass-10", 10, 300),
        ("ml-1m-single_pass-100", 100, 400),
        ("ml-1m-iterated-10", 10, 300),
    ):
        frame = sub_sample(k, epochs=epochs).replace({np.nan: None})
        config, statistics = frame.attrs["config"], frame.attrs["statistics"]
        rows = frame.to_dict("records")
        write(tmp_path / name, DRAWN_LAYOUT, rows, config, statistics=statistics)
    losses = loss_slopes.losses_of(tmp_path / "ml-1m-single_pass")
    assert list(losses["dataset"].unique()) == ["ml-1m-single_pass-10", "ml-1m-single_pass-50"]
    with pytest.raises(UserError, match="run --experiment=characteristics"):
        loss_slopes.losses_of(tmp_path / "ml-100k-single_pass")


def test_slopes_that_were_not_measured_are_not_drawn(of_three_seeds):
    _, readings = of_three_seeds
    assert characteristics_plots.readings_figure(readings.assign(slope=np.nan)) is None
