import re

import numpy as np
import pandas as pd
import pytest

from advrec_tf import audit, data, leaderboard
from advrec_tf.execution import jobs
from advrec_tf.leaderboard import worst_case
from advrec_tf.leaderboard.entries import FACTORS
from advrec_tf.perturbations import ensemble

from running import advrec, error_line


@pytest.fixture(scope="module", autouse=True)
def few_restarts():
    """Data this small get 64 restarts, which no test here is about."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ensemble, "RESTARTS", 2)
        yield


@pytest.fixture(scope="module")
def audited():
    interactions = data.synthetic(n_users=90, n_items=60, per_user=12, seed=2)
    rng = np.random.default_rng(0)
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import svds

    pairs = (
        np.ones(len(interactions.train_users)),
        (interactions.train_users, interactions.train_items),
    )
    U, s, Vt = svds(csr_matrix(pairs, shape=(90, 60)), k=6, random_state=0)
    P = np.concatenate([U * s, np.ones((90, 1))], axis=1)  # and an item bias
    Q = np.concatenate([Vt.T, 0.01 * rng.normal(size=(60, 1))], axis=1)
    return P, Q, interactions, audit(P, Q, interactions)


def test_an_audit_is_the_leaderboard_of_one_entry(audited):
    P, Q, interactions, result = audited
    kept = []
    for job in leaderboard.jobs(FACTORS, np.float32(P), np.float32(Q), interactions):
        kept += worst_case.as_kept(*jobs.named(job.function)(points=job.points, **job.arguments))
    rows = pd.DataFrame([row for row, _ in kept], columns=leaderboard.LAYOUT.columns)
    expected = worst_case.worst_cases(rows, kept)[list(worst_case.DETAILS)]
    expected = expected.astype({"model_rank": float, "truncated_rank": float})
    pd.testing.assert_frame_equal(result.worst, expected)
    variants = {"factors, user-normalised"}
    for rank in (7 // 2, 7 // 4):
        variants |= {f"factors→{rank}", f"factors→{rank}, user-normalised"}
    assert set(result.attacks["entry"]) == {"factors", "MostPopular", "Random", *variants}
    assert (
        result.variants["entry"].iloc[0] == "factors"
        and set(result.variants["entry"][1:]) == variants
    )
    assert set(result.half) == {"train", "lists", "test", "user"}


def test_a_scale_changes_nothing_unless_it_is_asked_for(audited):
    factor = 10
    P, Q, interactions, result = audited
    scaled = audit(factor * P, factor * Q, interactions)
    pd.testing.assert_frame_equal(
        result.worst.drop(columns="factors"), scaled.worst.drop(columns="factors"), rtol=1e-4
    )
    assert scaled.summary == result.summary
    absolute = []
    for c in (1, factor):
        rows = audit(c * P, c * Q, interactions, unit="absolute").attacks
        bim = rows[(rows["attack"] == "bim") & (rows["ball"] == "l2")]
        absolute.append(bim.sort_values("epsilon"))
    plain, larger = absolute
    assert larger["epsilon"].tolist() == pytest.approx((factor * plain["epsilon"]).tolist())
    assert plain["nDCG"].tolist() != larger["nDCG"].tolist()


def test_groups_are_quartiles_that_average_to_the_whole(audited):
    _, _, interactions, result = audited
    clean = result.groups[result.groups["threat_model"] == ""]
    for _, group in clean.groupby("by"):
        assert group["quartile"].tolist() == [1, 2, 3, 4]
        sizes = [len(part) for part in np.array_split(np.arange(len(interactions.test_users)), 4)]
        mean = result.worst.loc[result.worst["threat_model"] == "", "nDCG"].item()
        assert np.average(group["nDCG"], weights=sizes) == pytest.approx(mean, abs=0.01)


def test_the_page_holds_everything_in_itself(audited, tmp_path):
    page = audited[3].save(tmp_path).read_text()
    panels = len(audited[3].figure.axes)
    assert page.count("data:image/png;base64,") == 1 + panels + 1 and not re.search(
        r'(src|href)="(?!data:)', page
    )
    assert (
        "color-scheme: light dark" in page
        and "viewport" in page
        and 'aria-label="nDCG over epsilon' in page
        and page.count("<table>") == 7
    )
    assert "For whom" in page and {p.name for p in tmp_path.iterdir()} == {
        "audit.html",
        "attacks.csv",
        "worst.csv",
        "groups.csv",
    }
    named = audited[3]._replace(facts={**audited[3].facts, "data": "<b>"})
    assert "<b>" not in named.save(tmp_path).read_text()


def test_audit_tells_factors_that_do_not_fit(audited):
    P, Q, interactions, _ = audited
    faults = (
        (P[:3], Q, "have 3 and 60 rows, synthetic 90 users"),
        (P, Q[:, :2], "7 columns, item factors 2"),
        (np.full_like(P, np.nan), Q, "630 values that are not finite"),
        (P * 1e300, Q, "mean norm"),
        (P * 1e30, Q, "mean norm"),
        (P * 1e-30, Q * 1e-30, "mean norm of"),
        (0 * P, 0 * Q, "mean norm of 0"),
        (P + 1j, Q, "real numbers, not complex128"),
        (P.astype(str), Q, "real numbers"),
        (P[0], Q, "real numbers"),
    )
    for user, item, message in faults:
        with pytest.raises(ValueError, match=message):
            audit(user, item, interactions)


def test_factors_that_rank_no_better_than_popularity_are_told(audited):
    P, Q, interactions, result = audited
    assert not any("no better" in warning for warning in result.warnings)
    rng = np.random.default_rng(0)
    random = audit(rng.normal(size=P.shape), rng.normal(size=Q.shape), interactions)
    assert (
        any("no better than MostPopular" in warning for warning in random.warnings)
        and "no better than Random" in random.summary
    )


def test_quartiles_need_no_distinct_values():
    frame = pd.DataFrame(
        [(u, i) for u in range(8) for i in (0, 1, u % 3 + 2)], columns=["user", "item"]
    )
    interactions = data.Interactions.from_frames(
        frame, pd.DataFrame([(u, 5) for u in range(8)], columns=["user", "item"])
    )
    rng = np.random.default_rng(0)
    result = audit(rng.normal(size=(8, 2)), rng.normal(size=(6, 2)), interactions, k=3)
    assert len(result.groups[result.groups["threat_model"] == ""]) == 8


@pytest.fixture
def factors(tmp_path):
    """Write a shop with text ids, factors in another order, and the CSVs that map them."""
    rng = np.random.default_rng(0)
    pairs = [(f"u{u}", f"i{i}") for u in range(12) for i in rng.choice(15, 6, replace=False)]
    pd.DataFrame(pairs, columns=["user", "item"]).to_csv(tmp_path / "shop.csv", index=False)
    interactions = data.load(str(tmp_path / "shop.csv"))
    for name, ids in (("user", interactions.user_ids), ("item", interactions.item_ids)):
        order = rng.permutation(len(ids))
        pd.DataFrame({"row": range(len(ids)), "id": ids[order]}).to_csv(
            tmp_path / f"{name}_rows.csv", index=False
        )
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(len(ids), 4)))
    return tmp_path, [
        f"--train={tmp_path / 'shop.csv'}",
        f"--output_dir={tmp_path / 'out'}",
        "--experiment=audit",
    ]


def test_audit_of_ones_own_factors(factors):
    folder, flags = factors
    for name in ("user", "item"):
        flags += [
            f"--{name}_factors={folder / f'{name}.npy'}",
            f"--{name}_rows={folder / f'{name}_rows.csv'}",
        ]
    result = advrec(*flags)
    assert result.status == 0, result.err
    assert "An attacker who knows the training pairs takes half of it at" in result.out
    kept = folder / "out" / "audit" / "shop"
    assert (kept / "audit.html").stat().st_size > 20000 and {
        "results.csv",
        "groups.csv",
        "attacks.csv",
        "worst.csv",
    } <= {p.name for p in kept.iterdir()}
    page, table = (kept / "audit.html").read_bytes(), (kept / "results.csv").read_bytes()
    assert (
        advrec(*flags).status == 0
        and (kept / "results.csv").read_bytes() == table
        and len(page) > 0
    )
    assert "holds results of another config" in error_line(advrec(*flags, "--unit=absolute"))
    np.save(folder / "user.npy", np.load(folder / "user.npy") + 1)
    assert "another config" in error_line(advrec(*flags))  # other factors


def test_audit_faults_are_told_in_one_line(factors):
    folder, flags = factors
    (folder / "torn.npy").write_bytes(b"torn")
    np.save(folder / "nan.npy", np.full((12, 4), np.nan))
    np.save(folder / "wide.npy", np.zeros((15, 5)))
    np.save(folder / "texts.npy", np.array([["a"] * 4] * 12, object), allow_pickle=True)
    np.savez(folder / "two.npz", a=np.zeros(3))
    user, item = f"--user_factors={folder / 'user.npy'}", f"--item_factors={folder / 'item.npy'}"
    for more, message in (
        ([item], "--user_factors is needed"),
        ([user.replace("user.npy", "none.npy"), item], "No such file"),
        ([user.replace("user.npy", "torn.npy"), item], "not an .npy file"),
        ([user.replace("user.npy", "texts.npy"), item], "not an .npy file of numbers"),
        ([user.replace("user.npy", "two.npz"), item], "one table of factors is .npy"),
        ([user.replace("user.npy", "nan.npy"), item], "48 values that are not finite numbers"),
        (
            [user, item.replace("item.npy", "wide.npy")],
            "user factors have 4 columns, item factors 5",
        ),
        ([user, item.replace("item.npy", "user.npy")], "12 rows, the data 15 items"),
    ):
        assert message in error_line(advrec(*flags, *more))
