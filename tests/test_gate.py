"""The gate for releases: two trainings, bounds, and the exit status."""

import json

import numpy as np
import pytest

from advrec_tf import data, evaluation
from advrec_tf.errors import UserError
from advrec_tf.stability import compare
from advrec_tf.stability.gate import MEASURES, parse_bound

from running import advrec, error_line

SHOP = data.load("synthetic")
RNG = np.random.default_rng(0)
BEFORE = tuple(RNG.standard_normal((n, 6)).astype(np.float32) for n in (SHOP.n_users, SHOP.n_items))
AFTER = tuple(x + 0.2 * RNG.standard_normal(x.shape).astype(np.float32) for x in BEFORE)


def test_measures_restated():
    result = compare(BEFORE, AFTER, SHOP)
    lists = [evaluation.top_k(*pair, SHOP) for pair in (BEFORE, AFTER)]
    quality = [evaluation.metrics(each, SHOP) for each in lists]
    overlap = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(*lists)])
    assert result.values["overlap"] == pytest.approx(overlap)
    assert result.values["nDCG"] == pytest.approx(quality[1]["nDCG"] / quality[0]["nDCG"])
    assert result.before["HR"] == quality[0]["RE"] and result.after["ICov"] == quality[1]["ICov"]
    assert list(result.table.index) == list(MEASURES)
    assert 0.1 < result.values["epsilon"] < 0.3


def test_the_same_training_passes_every_bound():
    basis = np.linalg.qr(RNG.standard_normal((6, 6)))[0]
    bounds = [f"{name}<0.999" for name in MEASURES if name != "epsilon"]
    bounds.append("epsilon>0.001")
    same = tuple(3 * x @ basis for x in BEFORE)
    result = compare(BEFORE, same, SHOP, bounds=tuple(map(parse_bound, bounds)))
    assert result.broken == [] and result.values["overlap"] == 1
    for side in (0, 1):
        shuffled = list(same)
        shuffled[side] = RNG.permutation(same[side])
        with pytest.raises(UserError, match="do not correspond"):
            compare(BEFORE, tuple(shuffled), SHOP)


def test_a_training_of_another_width():
    wide = tuple(np.hstack([x, 0.05 * RNG.standard_normal((len(x), 2))]) for x in BEFORE)
    for pair in ((BEFORE, wide), (wide, BEFORE)):
        assert 0 < compare(*pair, SHOP).values["epsilon"] < 0.2


def test_lists_nearly_as_long_as_the_catalogue_have_no_finite_radius():
    tiny = data.synthetic(n_users=30, n_items=12, per_user=6, seed=0)
    tables = tuple(RNG.standard_normal((n, 3)) for n in (30, tiny.n_items))
    result = compare(tables, tables, tiny, k=9, bounds=(parse_bound("radius<0.5"),))
    assert result.values["radius"] == 1 and result.broken == []


def test_bounds():
    below, above = parse_bound("overlap<0.8"), parse_bound(" epsilon > 2e-1")
    assert below.breaks(0.79) and not below.breaks(0.8) and below.breaks(float("nan"))
    assert above.breaks(0.21) and not above.breaks(0.2) and str(above) == "epsilon>0.2"
    for text in (
        "overlap",
        "speed<1",
        "overlap<=1",
        "overlap<x",
        "overlap<1,5",
        "nDCG<.",
        "nDCG<1.2.3",
    ):
        with pytest.raises(UserError, match="--fail_if takes MEASURE<NUMBER"):
            parse_bound(text)


@pytest.fixture
def flags(tmp_path):
    for name, tables in (("before", BEFORE), ("after", AFTER)):
        np.save(tmp_path / f"{name}_p.npy", tables[0])
        np.save(tmp_path / f"{name}_q.npy", tables[1])
    return [
        "--experiment=compare",
        "--preset=quick",
        f"--output_dir={tmp_path}",
        *(
            f"--{name}={tmp_path / f'{name}_p.npy'}:{tmp_path / f'{name}_q.npy'}"
            for name in ("before", "after")
        ),
    ]


def test_the_exit_status_is_that_of_the_bounds(flags, tmp_path):
    passed = advrec(*flags, "--fail_if=overlap<0.2,nDCG<0.1")
    assert passed.status == 0 and "No bound is broken" in passed.out
    broken = advrec(*flags, "--fail_if=overlap<0.99,nDCG<0.1,epsilon>0.01")
    assert broken.status == 1 and "Broken: overlap<0.99, epsilon>0.01" in broken.out
    kept = json.loads((tmp_path / "compare" / "synthetic" / "compare.json").read_text())
    assert kept["broken"] == ["overlap<0.99", "epsilon>0.01"]
    assert 0 < kept["measures"]["overlap"]["value"] < 1
    assert kept["measures"]["overlap"]["before"] is None


def test_faults_are_told_in_one_line(flags, tmp_path):
    assert "--after is needed" in error_line(advrec(*flags[:-1]))
    assert "--fail_if takes" in error_line(advrec(*flags, "--fail_if=overlap"))
    missing = f"--after={tmp_path / 'none.npz'}"
    assert "--after: " in error_line(advrec(*flags[:-1], missing))
    assert "one of .npz" in error_line(advrec(*flags[:-1], "--after=a.txt"))
