"""The rows of the stability experiment, its data, its page and its answers to questions."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf import audit, data, evaluation
from advrec_tf.defenses.measuring import train_or_load
from advrec_tf.errors import UserError
from advrec_tf.evaluation import equal_harm
from advrec_tf.leaderboard import Entry, stability_page
from advrec_tf.leaderboard import stability as measuring
from advrec_tf.leaderboard import stability_questions as questions
from advrec_tf.leaderboard.stability import LAYOUT
from advrec_tf.perturbations import ensemble, quantized_canonical
from advrec_tf.recommenders import WRMFConfig
from advrec_tf.recommenders.continuing import continued
from advrec_tf.stability import data_changes
from advrec_tf.stability.quantization import NUMBERS

from handmade import frame_of
from running import advrec, error_line

SHOP = data.synthetic(n_users=60, n_items=50, per_user=10, seed=3)
RNG = np.random.default_rng(0)
P, Q = (RNG.standard_normal((n, 8)).astype(np.float32) for n in (60, 50))
BASIS = RNG.standard_normal((8, 8))
TWIN = P @ BASIS * 20, Q @ np.linalg.inv(BASIS).T / 3 + 1  # another scale, basis and shift
K = 5


def rows_of(P, Q, trained=()):
    """Return all rows of an entry on SHOP; trained: further (change, P, Q)."""
    entry, rows = Entry("mine"), []
    jobs = measuring.jobs(entry, P, Q, SHOP, K)
    jobs += [measuring.trained_job(entry, name, (P, Q), pair, SHOP, K) for name, *pair in trained]
    for job in jobs:
        function = getattr(measuring, job.function.partition(":")[2])
        made, _ = function(points=job.points, **job.arguments)
        rows += [{**point, **row} for point, row in zip(job.points, made)]
    return pd.DataFrame(rows, columns=LAYOUT.columns)


@pytest.fixture(scope="module")
def rows():
    return rows_of(P, Q, [("other seed", *TWIN)])


def lists_of(tables):
    """Return lists by sorting all scores; test items lose ties."""
    scores, tested = tables[0] @ tables[1].T, np.zeros((60, 50))
    scores[SHOP.train_users, SHOP.train_items] = -np.inf
    tested[SHOP.test_users, SHOP.test_items] = 1
    return np.lexsort((tested, -scores), axis=1)[:, :K]


@pytest.mark.parametrize("change", NUMBERS)
def test_rows_of_stored_factors_restated(rows, change):
    tables = quantized_canonical(P, Q)
    before, after = lists_of(tables), lists_of(NUMBERS[change](tables, 0))
    (row,) = rows[(rows["change"] == change) & (rows["direction"] == "change")].to_dict("records")
    overlap = [len(set(a) & set(b)) / K for a, b in zip(before, after)]
    assert row["overlap"] == pytest.approx(np.mean(overlap))
    hits = [(after[u] == item) for u, item in zip(SHOP.test_users, SHOP.test_items)]
    gains = [float(hit @ (1 / np.log2(np.arange(2, K + 2)))) for hit in hits]
    assert row["nDCG"] == pytest.approx(np.mean(gains))
    assert row["ICov"] == len(np.unique(after))
    assert 0 <= row["linear_epsilon"] <= row["epsilon"] * 1.0001


def test_noise_has_rows_of_the_same_lengths_and_the_attack_its_epsilon(rows):
    part = rows[rows["change"] == "int4 row"].set_index("direction")
    for column in ("epsilon", "user_epsilon", "user_p95", "item_most"):
        assert part.loc["noise", column] == pytest.approx(part.loc["change", column], rel=1e-4)
    assert part.loc["attack", "user_most"] <= part.loc["change", "epsilon"] * 1.001
    assert part.loc["attack", "nDCG"] < part.loc["noise", "nDCG"]


def test_twins_have_the_same_row_in_every_column(rows):
    twins = rows_of(*TWIN, [("other seed", P, Q)])
    # Normalised users are rounded to single precision in the basis that they have.
    scale_free = ~rows["change"].isin([measuring.AS_TRAINED, measuring.NORMALIZED])
    for column in LAYOUT.values:
        found, expected = twins[scale_free][column], rows[scale_free][column]
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6, err_msg=column)


def test_a_wider_training_is_measured(rows):
    wide = tuple(np.hstack([x, 0.1 * RNG.standard_normal((len(x), 2))]) for x in (P, Q))
    part = rows_of(P, Q, [("other seed", *wide)])
    row = part[part["change"] == "other seed"].set_index("direction").loc["change"]
    assert 0.01 < row["epsilon"] < 0.2 and row["rank"] == 8


def test_another_form_of_the_same_training_is_no_change(rows):
    part = rows[rows["change"] == "other seed"].set_index("direction")
    assert part.loc["change", "epsilon"] < 1e-5
    assert (part["overlap"] == 1).all() and part["same_list"].min() == 1


def test_the_certificate_lies_below_the_attack(rows):
    curve = rows[(rows["change"] == measuring.UNIFORM) & (rows["uniform"] > 0)]
    wide = curve.pivot(index="uniform", columns="direction", values="nDCG")
    assert (wide["certificate"] <= wide["attack"] + 1e-9).all()
    assert wide["certificate"].iloc[0] > 0


def test_certified_users_restated(rows):
    (row,) = rows[(rows["change"] == "int8 row") & (rows["direction"] == "change")].to_dict(
        "records"
    )
    tables = quantized_canonical(P, Q)
    units = [np.sqrt(np.mean(np.sum(np.float64(x) ** 2, axis=1))) for x in tables]
    radii = evaluation.certified_radii(*tables, SHOP, "l2", K, tuple(units))[:, -1]
    most = max(row["user_most"], row["item_most"])
    assert row["certified"] == pytest.approx(np.mean(radii[radii > 0] > most))


def test_missing_clicks():
    changes = data_changes.data_changes(SHOP)
    first = {}
    for user, item, time in zip(SHOP.train_users, SHOP.train_items, SHOP.train_timestamps):
        first[user] = min(first.get(user, (np.inf, 0)), (time, item))
    count = len(SHOP.train_users)
    for name, share in (("last 10%", 0.1), ("random 5%", 0.05), ("random 0.1%", 0.001)):
        changed = changes[name](0)
        assert len(changed.train_users) == count - round(share * count)
        kept = set(zip(changed.train_users, changed.train_items))
        assert all((user, item) in kept for user, (_, item) in first.items())
        assert kept < set(zip(SHOP.train_users, SHOP.train_items))
    last = changes["last 10%"](0)
    gone = set(zip(SHOP.train_users, SHOP.train_items, SHOP.train_timestamps)) - set(
        zip(last.train_users, last.train_items, last.train_timestamps)
    )
    firsts = {time for time, _ in first.values()}
    left = [time for time in last.train_timestamps if time not in firsts]
    assert min(time for *_, time in gone) >= max(left)
    assert changes["random 5%"](0).fingerprint != changes["random 5%"](1).fingerprint
    one = changes["one user less"](2)
    lost = np.bincount(SHOP.train_users) - np.bincount(one.train_users, minlength=60)
    assert np.count_nonzero(lost) == 1
    assert lost.max() == np.bincount(SHOP.train_users)[lost.argmax()] - 1


def test_fake_users_come_after_the_real_ones():
    changed = data_changes.data_changes(SHOP)["bandwagon 1%"](0)
    assert changed.n_users == 61
    real = changed.train_users < 60
    np.testing.assert_array_equal(changed.train_items[real], SHOP.train_items)


def test_data_without_times_have_no_last_clicks():
    untimed = data.Interactions.from_frames(frame_of([(u, i) for u in range(9) for i in (u, 9)]))
    names = data_changes.data_changes(untimed)
    assert "random 1%" in names and not any(name.startswith("last") for name in names)


def test_directions_and_covered_users(rows):
    directions = questions.directions(rows, "int4 row").loc["mine"]
    part = rows[rows["change"] == "int4 row"].set_index("direction")
    clean = rows[(rows["uniform"] == 0)]["nDCG"].item()
    for direction in ("change", "noise", "attack"):
        expected = 100 * (1 - part.loc[direction, "overlap"])
        assert directions[direction] == pytest.approx(expected)
    for direction in ("noise", "attack"):
        expected = 100 * (1 - part.loc[direction, "nDCG"] / clean)
        assert directions[f"lost_{direction}"] == pytest.approx(expected)
    assert directions["cos_attack"] == part.loc["attack", "cosine"]
    covered = rows[(rows["change"] == "int8 row") & (rows["direction"] == "change")]
    assert questions.covered(rows)["mine"] == covered["certified"].item()


def test_the_page_begins_with_the_answer(rows):
    text = stability_page.answer(rows)
    int8 = rows[(rows["change"] == "int8 row") & (rows["direction"] == "change")]
    assert text.startswith(f"mine: 8-bit integers keep {int8['overlap'].item():.1%} of the items")
    curve = rows[(rows["change"] == "") & (rows["direction"] == "attack")].sort_values("uniform")
    clean = rows[rows["uniform"] == 0]["nDCG"].item()
    half = equal_harm(curve["uniform"].to_numpy(), curve["nDCG"].to_numpy(), clean / 2)
    assert f"needs {half:.2g} to take half" in text
    fragile = rows.copy()
    fragile.loc[(rows["direction"] == "attack") & (rows["uniform"] > 0), "nDCG"] = 0.0
    assert "needs at most 0.002 to take half" in stability_page.answer(fragile)
    firm = rows.copy()
    firm.loc[(rows["direction"] == "attack") & (rows["uniform"] > 0), "nDCG"] = clean
    assert "needs more than any measured epsilon" in stability_page.answer(firm)
    page = stability_page.report(rows, "shop")
    assert "| int4 row |" in page and "Whom does the certificate cover?" in page
    assert len(stability_page.figure(rows).axes) == 2


QUICK = ("--experiment=stability", "--preset=quick", "--seed=0", "--entries=iALS-4,SVD-4:2")


def test_the_command_and_another_training(tmp_path):
    interactions = data.load("synthetic")
    rng = np.random.default_rng(0)
    shape = interactions.n_users + interactions.n_items, 4
    tables = rng.standard_normal(shape).astype(np.float32)
    for name, values in (
        ("mine", tables),
        ("next", tables + 0.1 * rng.standard_normal(shape).astype(np.float32)),
        ("shuffled", rng.permutation(tables)),
    ):
        user, item = np.split(values, [interactions.n_users])
        np.savez(tmp_path / f"{name}.npz", user_embedding=user, item_embedding=item)
    own = f"--factors=mine:{tmp_path / 'mine.npz'}"
    flags = (*QUICK, f"--output_dir={tmp_path}", own)
    (tmp_path / "clones.json").write_text("[[1, 2, 3], [1, 2, 4]]")
    profiles = f"--profiles={tmp_path / 'clones.json'}"
    result = advrec(*flags, f"--other={tmp_path / 'next.npz'}", profiles)
    assert result.status == 0, result.err
    folder = tmp_path / "stability" / "synthetic"
    rows = pd.read_csv(folder / "results.csv", keep_default_na=False)
    assert set(rows["entry"]) == {"iALS-4", "SVD-4→2", "mine"}
    changes = set(rows["change"])
    assert {"other", "other seed", "last 1%", "bandwagon 1%", "int8 row", "clones"} <= changes
    assert {"warm start (1)", "warm start (20)"} <= changes
    (other,) = rows[(rows["change"] == "other") & (rows["direction"] == "change")].to_dict(
        "records"
    )
    assert other["entry"] == "mine" and 0.05 < float(other["epsilon"]) < 0.15
    before = (folder / "results.csv").read_bytes()
    assert advrec(*flags, f"--other={tmp_path / 'next.npz'}", profiles).status == 0
    assert (folder / "results.csv").read_bytes() == before
    assert "another config" in error_line(advrec(*flags, own.replace("factors=mine:", "other=")))
    refused = error_line(advrec(*flags, f"--other={tmp_path / 'shuffled.npz'}"))
    assert "rows of both trainings do not correspond" in refused
    assert "is beside one --factors" in error_line(advrec(*QUICK, "--other=a.npz"))


def test_an_audit_says_what_storage_and_another_training_do():
    other = tuple(x + 0.05 * RNG.standard_normal(x.shape).astype(np.float32) for x in (P, Q))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "RESTARTS", 1)
        result = audit(P, Q, SHOP, k=K, other=other)
    changes = result.changes.set_index("change")
    expected = rows_of(P, Q, [("other", *other)])
    expected = expected[expected["direction"] == "change"].set_index("change")
    for name, stored in (("int8 row", "int8 row"), ("the other training", "other")):
        for column in ("epsilon", "overlap", "nDCG"):
            assert changes.loc[name, column] == pytest.approx(expected.loc[stored, column])
    said = [line for line in result.summary.splitlines() if line.startswith("What happens")]
    assert "8-bit integers move them by" in said[0] and "of 5 items" in said[0]
    with pytest.raises(UserError, match="do not correspond"):
        audit(P, Q, SHOP, k=K, other=(RNG.permutation(P), Q))


def test_a_warm_start_on_the_same_data_is_the_longer_training(tmp_path):
    settings = WRMFConfig(4, solver="als")
    short, long = (train_or_load(SHOP, settings, n, 0, tmp_path, progress=False) for n in (3, 5))
    start = short["P"], short["Q"]
    warm = continued(SHOP, settings, 2, 0, tmp_path, start)
    np.testing.assert_allclose(warm["P"], long["P"], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(warm["Q"], long["Q"], rtol=1e-4, atol=1e-5)
    assert not np.allclose(warm["Q"], short["Q"], rtol=1e-4)
    again = continued(SHOP, settings, 2, 0, tmp_path, start)
    np.testing.assert_array_equal(again["P"], warm["P"])
