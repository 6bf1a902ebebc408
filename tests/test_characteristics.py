"""Figure 3 and the readings of it, on rows made by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from advrec_tf.errors import UserError
from advrec_tf.reporting import vocabulary
from experiments.multistep import characteristics_plots, claims, loss_slopes
from experiments.multistep.evidence import Evidence

DENSITIES = {10: 0.05, 50: 0.09, 100: 0.13}


def row(model: str, scale: float = 1.0, **values) -> dict:
    return {
        "model": model,
        "epoch": 5,
        "k": 10,
        "attack": "",
        "ball": "",
        "start": "",
        "nDCG": 0.05 * scale,
        "RE": 0.1 * scale,
        "EFD": 0.2 * scale,
    } | values


def sub_sample(
    k: int, name: str = "ml-1m", epsilons=(0.25, 0.5), seeds=(0,), epochs: int = 300
) -> pd.DataFrame:
    """rho is 60 - 100 density for BPR-MF, 60 - 10 density for AMF, a seed's number more, times L / 25 and epsilon / .5; last epoch: one more."""
    density, found = DENSITIES[k], []
    for seed, (model, slope), selection in product(
        seeds, (("BPR-MF", 100), ("AMF", 10)), ("best", "last")
    ):
        own = {"dataset": f"{name}-single_pass-{k}", "seed": seed, "selection": selection}
        loss = (60 - slope * density + seed + (selection == "last")) / 100
        found.append(row(model, **own))
        for attack, ball, start in loss_slopes.ATTACKS.values():
            for epsilon, n in product(
                epsilons if selection == "best" else (0.5,), (1,) if attack == "fgsm" else (10, 25)
            ):
                share = epsilon / 0.5 * (1 if attack == "fgsm" else n / 25)
                found.append(
                    row(
                        model,
                        1 - loss * share,
                        **own,
                        attack=attack,
                        ball=ball,
                        start=start,
                        epsilon=epsilon,
                        iterations=n,
                    )
                )
    found += [
        row(model, 0.4, dataset=own["dataset"], seed=seed, selection="", epoch=None)
        for seed in seeds
        for model in vocabulary.BASELINES
    ]
    frame = pd.DataFrame(found)
    frame.attrs["statistics"] = {
        "density": density,
        "size": 1e6 / density,
        "shape": 1 / density,
        "published": True,
    }
    frame.attrs["config"] = {
        "epochs": epochs,
        "bprmf_epochs": 200,
        "AMF": {"first_epoch": 200},
        "data": str(k),
    }
    return frame


def losses_of_all(**how) -> pd.DataFrame:
    return pd.concat(
        [loss_slopes.losses(sub_sample(k, **how)) for k in DENSITIES], ignore_index=True
    )


def test_losses_and_slopes():
    losses = losses_of_all()
    shown = loss_slopes.shown(losses)
    assert (
        loss_slopes.shown_iterations(losses) == 25
        and set(shown["epsilon"].dropna()) == {0.5}
        and set(shown["selection"]) == {"best"}
    )
    fits = loss_slopes.slopes(shown).set_index(["model", "attack", "characteristic"])
    assert fits.loc[("BPR-MF", "PGD", "density"), "slope"] == pytest.approx(-100)
    assert fits.loc[("AMF", "FGSM", "density"), "slope"] == pytest.approx(-10)
    assert fits.loc[("BPR-MF", "BIM", "size"), "slope"] > 0
    popular = shown[shown["attack"] == "MostPopular"]
    assert len(popular) == 6 and popular["rho"].to_numpy() == pytest.approx(60)
    nearest, rho = loss_slopes.nearest_iterations(losses)
    assert nearest == 25 and rho[0.0507] == pytest.approx(55)


def test_claims_about_characteristics_are_tests_of_slopes():
    losses = losses_of_all()
    losses["rho"] += np.random.default_rng(0).normal(0, 0.05, len(losses))
    losses["density"] = losses["density"].replace(0.05, 0.0507)
    found = {
        claim.sentence: (claim, parts)
        for claim, parts in claims.cases(Evidence("ml-1m", losses=losses))
    }
    shown = loss_slopes.shown(losses)
    pgd = shown[shown["attack"] == "PGD"].pivot_table("rho", "density", "model")
    line = stats.linregress(pgd.index, pgd["BPR-MF"])
    claim, parts = found["Denser data are more robust (BPR-MF)"]
    part = next(part for part in parts if part.label == "PGD density")
    assert (part.mean, part.error, part.degrees) == pytest.approx((line.slope, line.stderr, 1))
    claim, parts = found["AMF's slopes are flatter than BPR-MF's"]
    assert len(parts) == 3 * 3 * 2 and all(claim.is_met_by(part.mean) for part in parts)
    less = next(part for part in parts if part.label == "PGD density less AMF")
    assert less.mean == pytest.approx(
        -stats.linregress(pgd.index, pgd["BPR-MF"] - pgd["AMF"]).slope
    )
    claim, parts = found["PGD takes 43.79% of BPR-MF at density 0.0507"]
    assert parts[0].mean == pytest.approx(pgd["BPR-MF"].iloc[0]) and parts[0].count == 1
    slope, parts = found["AMF: PGD's slope over density is -3.65"]
    assert len(parts) == 1 and parts[0].mean == pytest.approx(
        stats.linregress(pgd.index, pgd["AMF"]).slope
    )
    assert not any(
        claim.section.endswith("5.2 (ML-1M)")
        for claim, _ in claims.cases(Evidence("lastfm-2k", losses=losses))
    )


def test_draws_of_an_attack_count_alike():
    frame = sub_sample(10)
    again = frame[
        (frame["attack"] == "pgd") & (frame["selection"] == "best") & (frame["epsilon"] == 0.5)
    ]
    both = pd.concat([frame, again.assign(draw=1, nDCG=again["nDCG"] - 0.05 * 0.06)])
    both.attrs = frame.attrs
    losses = loss_slopes.losses(both)
    shown = loss_slopes.shown(losses)
    pgd = shown[(shown["attack"] == "PGD") & (shown["model"] == "BPR-MF")]
    assert pgd.groupby("draw")["rho"].first().tolist() == pytest.approx([55, 61])
    assert "1 seed(s) and 2 draw(s) of the attack each" in loss_slopes.report(
        losses, loss_slopes.readings(losses)
    )


def test_the_interval_of_a_slope_is_student_s():
    x, y = pd.Series([0.0, 1, 2, 3]), pd.Series([0.1, 0.9, 2.2, 2.8])
    line = loss_slopes.fit(x, y)
    design = np.stack([x, np.ones(4)], axis=1)
    solution, residuals, *_ = np.linalg.lstsq(design, y, rcond=None)
    error = np.sqrt(residuals[0] / 2 * np.linalg.inv(design.T @ design)[0, 0])
    assert line.slope == pytest.approx(solution[0]) and line.intercept == pytest.approx(solution[1])
    assert (
        line.high - line.slope == pytest.approx(4.302653 * error, rel=1e-6) == line.slope - line.low
    )
    assert all(np.isnan(value) for value in loss_slopes.fit(x[:2], y[:2]))


def test_readings_and_the_nearest_of_them():
    losses = losses_of_all()
    readings = loss_slopes.readings(losses)
    assert len(readings) == 2 * 3 * 3 * len(
        loss_slopes.LOSSES
    )  # models, (selection, epsilon), iterations and their mean
    at = readings.set_index(["model", "selection", "epsilon", "metric", "iterations"])["slope"]
    assert at["BPR-MF", "best", 0.25, "nDCG", 25] == pytest.approx(-50) and at[
        "BPR-MF", "best", 0.5, "RE", 10
    ] == pytest.approx(-40)
    assert at["AMF", "last", 0.5, "nDCG", 0] == pytest.approx(
        -10 * (10 + 25) / 2 / 25
    )  # the mean over 10 to 25 iterations
    nearest = loss_slopes.nearest_readings(readings)
    assert nearest["BPR-MF"]["slope"] == pytest.approx(-100) and nearest["AMF"][
        "slope"
    ] == pytest.approx(-3.5)
    both = nearest[
        "both"
    ]  # |s / -96.1 - 1| + |s / -3.65 - 1|: .677 there, .680 at epsilon .5 after 10 iterations
    assert (both["epsilon"], both["iterations"], both["BPR-MF"]) == (0.25, 0, pytest.approx(-35))


def test_a_report_of_figure_3_shows_the_print_beside_its_own_data_alone():
    losses = losses_of_all(seeds=(0, 1, 2))
    readings = loss_slopes.readings(losses)
    report = loss_slopes.report(losses, readings)
    assert (
        "200 epochs of BPR-MF, AMF from 200 to 300" in report
        and "| BPR-MF | PGD | -100.00 [-100.00, -100.00] |" in report
    )
    assert (
        "-96.10, printed of BPR-MF, is outside AMF's -10.00 [-10.00, -10.00]; -3.65, printed of AMF, is outside BPR-MF's"
        in report
    )
    assert (
        "printed of BPR-MF are 43.79 and 28.90; measured: 56.00 and 48.00 (BPR-MF); 60.50 and 59.70 (AMF)"
        in report
    )
    assert (
        "| BPR-MF | -96.10 | -100.00 [-100.00, -100.00] | outside |" in report
        and "-169.2 between them" in report
    )
    ends = loss_slopes.ends(losses).set_index(["model", "attack"]).loc[("BPR-MF", "PGD")]
    assert (
        ends["seeds"] == 3
        and ends["sparse"] == pytest.approx(56)
        and ends["slope"] == pytest.approx(-100)
    )
    assert ends["sparse_high"] - ends["sparse"] == pytest.approx(
        4.302653 / 3**0.5, rel=1e-5
    )  # of 55, 56, 57
    figure = characteristics_plots.losses_figure(losses)
    assert len([axis for axis in figure.axes if axis.get_title()]) == 6
    printed = [
        line
        for axis in characteristics_plots.readings_figure(readings).axes
        for line in axis.lines
        if line.get_label() == "printed"
    ]
    assert [line.get_ydata()[0] for line in printed] == [-96.10, -3.65]
    for other in (losses_of_all(name="lastfm-2k"), losses.assign(published=False)):
        own = loss_slopes.readings(other)
        assert "-96.10" not in loss_slopes.report(other, own)
        assert not [
            line
            for axis in characteristics_plots.readings_figure(own).axes
            for line in axis.lines
            if line.get_label() == "printed"
        ]


def test_the_losses_of_all_sub_samples_in_one_setting(tmp_path, monkeypatch):
    made = {
        f"ml-1m-single_pass-{k}": sub_sample(k, epochs=epochs)
        for k, epochs in ((50, 300), (10, 300), (100, 400))
    }
    made["ml-1m-iterated-10"] = sub_sample(10)
    for name in made:
        (tmp_path / name).mkdir()
        (tmp_path / name / "results.csv").touch()
    monkeypatch.setattr(loss_slopes, "read_results", lambda folder: made[folder.name])
    found = loss_slopes.losses_of(tmp_path / "ml-1m-single_pass")
    assert list(found["dataset"].unique()) == ["ml-1m-single_pass-10", "ml-1m-single_pass-50"]
    with pytest.raises(UserError, match="--experiment=characteristics makes it"):
        loss_slopes.losses_of(tmp_path / "ml-100k-single_pass")
