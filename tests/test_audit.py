import re

import numpy as np
import pandas as pd
import pytest

from advrec_tf import audit, data, evaluation, perturbations
from advrec_tf.auditing import SHARES, align
from advrec_tf.errors import UserError

from running import advrec, told


@pytest.fixture(scope="module")
def audited():
    interactions = data.synthetic(n_users=90, n_items=60, per_user=12, seed=2)
    rng = np.random.default_rng(0)
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import svds

    pairs = (np.ones(len(interactions.train_users)), (interactions.train_users, interactions.train_items))
    U, s, Vt = svds(csr_matrix(pairs, shape=(90, 60)), k=6, random_state=0)
    P = np.concatenate([U * s, np.ones((90, 1))], axis=1)  # and an item bias
    Q = np.concatenate([Vt.T, 0.01 * rng.normal(size=(60, 1))], axis=1)
    return P, Q, interactions, audit(P, Q, interactions)


def unperturbed(result):
    return result.points[(result.points["model"] == "factors") & (result.points["attack"] == "")].iloc[0]


def test_points_cover_the_grid_and_start_clean(audited):
    P, Q, interactions, result = audited
    clean = unperturbed(result)
    assert clean["nDCG"] == evaluation.metrics(evaluation.top_k(np.float32(P), np.float32(Q), interactions), interactions)["nDCG"]
    for attack, ball in (("noise", ""), ("fgsm", ""), ("bim", "l2"), ("bim", "linf")):
        own = result.points[(result.points["attack"] == attack) & (result.points["ball"] == ball)]
        assert own["epsilon"].nunique() == len(SHARES) and own["nDCG"].min() < clean["nDCG"]
    assert result.half["BIM"] < result.half["FGSM"] and result.facts["constant columns"] == 1


def test_a_row_is_the_attack_with_the_constant_column_held(audited):
    P, Q, interactions, result = audited
    P, Q = np.float32(P), np.float32(Q)
    iterations = result.facts["iterations"]
    rows = result.points[(result.points["attack"] == "bim") & (result.points["ball"] == "linf") & (result.points["iterations"] == iterations)]
    grid = rows[["attack", "ball", "start", "epsilon", "step_size", "iterations"]].astype({"iterations": int}).to_dict("records")

    def nDCG(fixed):
        found = perturbations.perturbed(P, Q, data.sample_triples(interactions, 0), grid, 0, fixed=fixed)
        lists = [evaluation.top_k(P + delta.user, Q + delta.item, interactions) for _, delta in found]
        return [evaluation.metrics(each, interactions)["nDCG"] for each in lists]

    held, free = nDCG((np.arange(7) == 6, np.zeros(7, bool))), nDCG(None)
    assert held == rows["nDCG"].tolist() != free


def test_half_is_where_half_of_the_accuracy_is_left(audited):
    result = audited[3]
    points = result.points[(result.points["attack"] == "bim") & (result.points["ball"] == "linf")]
    points = points[points["iterations"] == result.facts["iterations"]].sort_values("epsilon")
    left = np.interp(np.log(result.half["BIM"]), np.log(points["epsilon"]), points["nDCG"])
    assert left == pytest.approx(unperturbed(result)["nDCG"] / 2, rel=1e-6)


def test_no_attack_breaks_the_certificate_of_its_ball(audited):
    _, _, _, result = audited
    bounds = result.certified.set_index(["ball", "epsilon"])["nDCG"]
    for point in result.points.itertuples():
        if point.attack:
            assert point.nDCG >= bounds[point.ball or "l2", point.epsilon] - 1e-12


def test_groups_are_quartiles_that_average_to_the_whole(audited):
    _, _, _, result = audited
    for _, group in result.groups.groupby("by"):
        assert group["quartile"].tolist() == [1, 2, 3, 4]
        assert np.average(group["before"], weights=group["users"]) == pytest.approx(unperturbed(result)["nDCG"])


def test_the_page_holds_everything_in_itself(audited, tmp_path):
    page = audited[3].save(tmp_path).read_text()
    assert page.count("data:image/png;base64,") == 2 and not re.search(r'(src|href)="(?!data:)', page)
    assert "For whom" in page and {p.name for p in tmp_path.iterdir()} == {"audit.html", "points.csv", "certified.csv", "groups.csv"}


def test_fixed_columns_do_not_move(audited):
    P, Q, interactions, _ = audited
    fixed = (np.arange(7) == 6, np.zeros(7, bool))
    delta = perturbations.bim(P, Q, data.sample_triples(interactions, 0))
    held = next(perturbations.trajectory(P, Q, data.sample_triples(interactions, 0), fixed=fixed, read_at=(25,)))
    assert delta.user[:, 6].any() and not held.user[:, 6].any() and held.item[:, 6].any()
    with pytest.raises(ValueError, match="fixed must be"):
        perturbations.trajectory(P, Q, data.sample_triples(interactions, 0), fixed=(np.zeros(3), np.zeros(7)))


def test_rows_are_brought_into_the_order_of_the_ids(tmp_path):
    factors, ids = np.arange(6.0).reshape(3, 2), np.array(["a", "b"])
    (tmp_path / "rows.csv").write_text("row,id\n2,a\n0,b\n1,unused\n")
    np.testing.assert_array_equal(align(factors, tmp_path / "rows.csv", ids, "user"), [[4, 5], [0, 1]])
    np.testing.assert_array_equal(align(factors[:2], None, ids, "user"), factors[:2])
    faults = {"row,id\n2,a\n": "user b has no row", "row,id\n3,a\n0,b\n": "line 2: row 3 is none of the 3", "row,id\nx,a\n": "row x is none",
              "place,id\n1,a\n": "columns row and id", "row,id\n0,a\n1,a\n2,b\n": "line 3: id a occurs twice",
              "row,id\n0,a\n0,b\n": "line 3: row 0 occurs twice", "": "not a CSV"}  # fmt: skip
    for text, message in faults.items():
        (tmp_path / "rows.csv").write_text(text)
        with pytest.raises(UserError, match=message):
            align(factors, tmp_path / "rows.csv", ids, "user")
    with pytest.raises(UserError, match="3 rows, the data 2 users"):
        align(factors, None, ids, "user")


def test_audit_tells_factors_that_do_not_fit(audited):
    P, Q, interactions, _ = audited
    faults = (
        (P[:3], Q, "do not fit"), (P, Q[:, :2], "7 columns, item factors 2"), (np.full_like(P, np.nan), Q, "630 values that are not finite"),
        (P * 1e300, Q, "mean norm"), (P * 1e30, Q, "mean norm"), (P * 1e-30, Q * 1e-30, "mean norm of"), (0 * P, 0 * Q, "mean norm of 0"),
        (P + 1j, Q, "real numbers, not complex128"), (P.astype(str), Q, "real numbers"), (P[0], Q, "real numbers"),
    )  # fmt: skip
    for user, item, message in faults:
        with pytest.raises(ValueError, match=message):
            audit(user, item, interactions)


def test_factors_that_rank_no_better_than_popularity_are_told(audited):
    P, Q, interactions, result = audited
    assert not result.warnings and "Beware" not in result.summary
    rng = np.random.default_rng(0)
    random = audit(rng.normal(size=P.shape), rng.normal(size=Q.shape), interactions, iterations=2)
    assert any("no better than MostPopular" in warning for warning in random.warnings) and "no better than Random" in random.summary


def test_quartiles_need_no_distinct_values():
    frame = pd.DataFrame([(u, i) for u in range(8) for i in (0, 1, u % 3 + 2)], columns=["user", "item"])
    interactions = data.Interactions.from_frames(frame, pd.DataFrame([(u, 5) for u in range(8)], columns=["user", "item"]))
    rng = np.random.default_rng(0)
    result = audit(rng.normal(size=(8, 2)), rng.normal(size=(6, 2)), interactions, k=3, iterations=2)
    assert len(result.groups) == 8


@pytest.fixture
def factors(tmp_path):
    """A shop of one's own: tables with text ids, factors in another order, and the CSVs that map them."""
    rng = np.random.default_rng(0)
    pairs = [(f"u{u}", f"i{i}") for u in range(12) for i in rng.choice(15, 6, replace=False)]
    pd.DataFrame(pairs, columns=["user", "item"]).to_csv(tmp_path / "shop.csv", index=False)
    interactions = data.load(str(tmp_path / "shop.csv"))
    for name, ids in (("user", interactions.user_ids), ("item", interactions.item_ids)):
        order = rng.permutation(len(ids))
        pd.DataFrame({"row": range(len(ids)), "id": ids[order]}).to_csv(tmp_path / f"{name}_rows.csv", index=False)
        np.save(tmp_path / f"{name}.npy", rng.normal(size=(len(ids), 4)))
    return tmp_path, [f"--train={tmp_path / 'shop.csv'}", f"--output_dir={tmp_path / 'out'}", "--experiment=audit"]


def test_audit_of_ones_own_factors(factors):
    folder, flags = factors
    for name in ("user", "item"):
        flags += [f"--{name}_factors={folder / f'{name}.npy'}", f"--{name}_rows={folder / f'{name}_rows.csv'}"]
    result = advrec(*flags)
    assert result.status == 0, result.err
    assert "half of nDCG@10 is gone under BIM" in result.out
    kept = folder / "out" / "audit" / "shop"
    assert (kept / "audit.html").stat().st_size > 20000 and {"results.csv", "groups.csv", "points.csv"} <= {p.name for p in kept.iterdir()}
    page, table = (kept / "audit.html").read_bytes(), (kept / "results.csv").read_bytes()
    assert advrec(*flags).status == 0 and (kept / "results.csv").read_bytes() == table and len(page) > 0
    np.save(folder / "user.npy", np.load(folder / "user.npy") + 1)
    assert "another config" in told(advrec(*flags))  # other factors


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
        ([user.replace("user.npy", "two.npz"), item], "an .npz archive"),
        ([user.replace("user.npy", "nan.npy"), item], "48 values that are not finite numbers"),
        ([user, item.replace("item.npy", "wide.npy")], "user factors have 4 columns, item factors 5"),
        ([user, item.replace("item.npy", "user.npy")], "12 rows, the data 15 items"),
    ):
        assert message in told(advrec(*flags, *more))
