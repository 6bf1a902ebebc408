"""Whether an attack has converged: its rows against attacks called directly, its table by hand."""

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, evaluation, perturbations
from advrec_tf.execution import jobs
from advrec_tf.leaderboard import Entry, convergence, convergence_page
from advrec_tf.perturbations import ensemble
from advrec_tf.perturbations.ensemble import Problem

SHOP = data.synthetic(n_users=40, n_items=60, per_user=8, rank=4)
RNG = np.random.default_rng(0)
P, Q = (RNG.standard_normal((n, 5)).astype(np.float32) for n in (SHOP.n_users, SHOP.n_items))


def test_a_row_is_the_attack_with_its_steps_and_restarts():
    job = convergence.jobs(Entry("x", seed=2), P, Q, SHOP, k=5)[2]
    rows, users = jobs.named(job.function)(points=job.points, **job.arguments)
    assert not users and {row["epsilon"] for row in rows} == {0.05}
    assert [(row["steps"], row["restarts"]) for row in rows] == [
        (0, 0),
        (24, 1),
        (240, 1),
        (24, 10),
    ]
    problem = Problem(*perturbations.quantized_canonical(P, Q), SHOP, 2, 5)
    for row in rows:
        schedule = ensemble.SCHEDULES["test"]._replace(steps=row["steps"])
        user, item = problem.factors[:2]
        if row["steps"]:
            delta = ensemble.restarted(problem, "test", 0.05, "l2", schedule, row["restarts"])
            user, item = user + delta.user, item + delta.item
        assert (
            row["nDCG"] == evaluation.metrics(evaluation.top_k(user, item, SHOP, 5), SHOP)["nDCG"]
        )
    assert rows[3]["nDCG"] <= rows[1]["nDCG"]


def cases():
    """Return the rows of two entries.

    a: ten times the steps lower .2 to .19, restarts to .198.  b: no nDCG is left, or more effort
    is worse.
    """
    left = {
        ("a", 0.01): (0.4, 0.2, 0.19, 0.198),
        ("b", 0.01): (0.3, 0.0, 0.0, 0.0),
        ("b", 0.02): (0.3, 0.1, 0.11, 0.12),
    }
    efforts = ((0, 0), (24, 1), (240, 1), (24, 10))
    rows = []
    for (entry, epsilon), values in left.items():
        for (steps, restarts), ndcg in zip(efforts, values):
            keys = {"entry": entry, "seed": 0, "epsilon": epsilon}
            rows.append({**keys, "steps": steps, "restarts": restarts, "nDCG": ndcg})
    return pd.DataFrame(rows)


def test_how_much_more_effort_lowers_by_hand():
    table = convergence_page.gains(cases())
    assert table["lower"].tolist() == pytest.approx([5.0, 0.0, 0.0])
    left = table.loc[0, ["clean", *convergence_page.EFFORTS]]
    assert left.tolist() == [0.4, 0.2, 0.19, 0.198]


def test_the_page_says_where_it_has_not_converged():
    text = convergence_page.report(cases(), "shop")
    found = convergence_page.answer(cases())
    assert "In 2 of 3 cases" in found and "largest fall is 5.0%" in found
    assert "| a | 0 | 0.01 | 0.4000 | 0.2000 | 0.1900 | 0.1980 | 5.0% |" in text
