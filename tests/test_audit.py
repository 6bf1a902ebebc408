import re

import numpy as np
import pandas as pd
import pytest

from advrec_tf import audit, data, evaluation, perturbations
from advrec_tf.errors import UserError
from advrec_tf.reporting.audit import SHARES, align


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


def test_points_cover_the_grid_and_start_clean(audited):
    P, Q, interactions, result = audited
    clean = result.points.iloc[0]
    assert (
        clean["attack"] == ""
        and clean["nDCG"] == evaluation.metrics(evaluation.top_k(np.float32(P), np.float32(Q), interactions), interactions)["nDCG"]
    )
    for label in ("noise", "FGSM", "BIM, l2 ball", "BIM"):
        own = result.points[result.points["attack"] == label]
        assert own["epsilon"].nunique() == len(SHARES) and own["nDCG"].min() < clean["nDCG"]
    assert result.half["BIM"] < result.half["FGSM"] and result.facts["constant columns"] == 1


def test_no_attack_breaks_the_certificate_of_its_ball(audited):
    _, _, _, result = audited
    bounds = result.certified.set_index(["ball", "epsilon"])["nDCG@10"]
    for point in result.points.itertuples():
        if point.attack:
            assert point.nDCG >= bounds["linf" if point.attack == "BIM" else "l2", point.epsilon] - 1e-12


def test_groups_are_quartiles_that_average_to_the_whole(audited):
    _, _, _, result = audited
    for _, group in result.groups.groupby("by"):
        assert group["quartile"].tolist() == [1, 2, 3, 4]
        assert np.average(group["before"], weights=group["users"]) == pytest.approx(result.points.iloc[0]["nDCG"])


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
              "place,id\n1,a\n": "columns row and id"}  # fmt: skip
    for text, message in faults.items():
        (tmp_path / "rows.csv").write_text(text)
        with pytest.raises(UserError, match=message):
            align(factors, tmp_path / "rows.csv", ids, "user")
    with pytest.raises(UserError, match="3 rows, the data 2 users"):
        align(factors, None, ids, "user")


def test_audit_tells_factors_that_do_not_fit(audited):
    P, Q, interactions, _ = audited
    for bad in ((P[:3], Q), (P, Q[:, :2]), (np.full_like(P, np.nan), Q)):
        with pytest.raises(ValueError, match="factors"):
            audit(*bad, interactions)


def test_quartiles_need_no_distinct_values():
    frame = pd.DataFrame([(u, i) for u in range(8) for i in (0, 1, u % 3 + 2)], columns=["user", "item"])
    interactions = data.Interactions.from_frames(frame, pd.DataFrame([(u, 5) for u in range(8)], columns=["user", "item"]))
    rng = np.random.default_rng(0)
    result = audit(rng.normal(size=(8, 2)), rng.normal(size=(6, 2)), interactions, k=3, iterations=2)
    assert len(result.groups) == 8
