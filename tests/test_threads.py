"""Threads of one process: results do not depend on how many there are."""

import threading

import numpy as np
import pytest

from advrec_tf import data, evaluation, perturbations
from advrec_tf.defenses import Projection
from advrec_tf.errors import UserError
from advrec_tf.evaluation import ranking
from advrec_tf.execution import jobs
from advrec_tf.execution.threads import side_by_side, threads
from advrec_tf.perturbations import ensemble, single_user
from advrec_tf.perturbations.losses import Schedule
from advrec_tf.recommenders import WRMF, als
from advrec_tf.recommenders.wrmf import targets_and_weights

from running import answers

COUNTS = (1, 2, 4)


@pytest.fixture(scope="module")
def factors():
    shop = data.synthetic(n_users=90, n_items=40, per_user=8, seed=1)
    rng = np.random.default_rng(0)
    return shop, *(rng.normal(size=(rows, 5)).astype(np.float32) for rows in (90, 40))


def bytes_by_count(results, monkeypatch):
    """Return the bytes of all that results() yields, in blocks of seven users, by thread count."""
    monkeypatch.setattr(ranking, "SCORES", 7 * 40)
    monkeypatch.setattr(ranking, "USERS", 1)
    outcomes = []
    for count in COUNTS:
        with threads(count):
            outcomes.append([np.asarray(result).tobytes() for result in results()])
    return outcomes


def test_lists_ranks_and_certificates_have_the_same_bytes(factors, monkeypatch):
    shop, P, Q = factors

    def results():
        yield evaluation.top_k(P, Q, shop, 5)
        yield evaluation.ranks_of_test_items(P, Q, shop)
        yield evaluation.target_ranks(P, Q, shop, (1, 7))
        yield from (evaluation.certified_radii(P, Q, shop, ball) for ball in ("l2", "linf"))

    one, two, four = bytes_by_count(results, monkeypatch)
    assert one == two == four != []


@pytest.mark.parametrize(
    "options", [{}, {"ball": "l2", "unit": "row"}, {"served": Projection}], ids=str
)
def test_attacks_of_several_blocks_a_part_have_the_same_bytes(options):
    shop = data.synthetic(n_users=700, n_items=300, per_user=60, seed=2)
    rng = np.random.default_rng(1)
    P, Q = (rng.normal(0, 0.3, (rows, 16)).astype(np.float32) for rows in (700, 300))
    chunks = perturbations.chunk_triples(data.sample_triples(shop, 0), 700, 300)
    assert chunks.user.shape[1] > 1 and chunks.item.shape[1] > 2
    if "served" in options:
        options = {"served": Projection(*(np.linalg.qr(x)[0] for x in (P, Q)))}
    outcomes = []
    for count in COUNTS:
        with threads(count):
            deltas = list(perturbations.trajectory(P, Q, chunks, 0.2, read_at=(1, 3), **options))
        outcomes.append([table.tobytes() for delta in deltas for table in delta])
    assert outcomes[1] == outcomes[0] == outcomes[2] and np.any(deltas[0].user)


def test_every_attack_of_the_ensemble_has_the_same_bytes(factors, monkeypatch):
    shop, P, Q = factors
    problem = ensemble.Problem(P, Q, shop)
    sizes = problem.factors.sizes(0.1)

    def results():
        schedule = Schedule(3, 4.0, 0.2)
        yield single_user.worst_ranks(problem.factors, shop, sizes, "l2", 10, schedule)
        for threat_model in ensemble.THREAT_MODELS:
            for _, delta in ensemble.ensemble(problem, threat_model, 0.2):
                yield from delta

    one, two, four = bytes_by_count(results, monkeypatch)
    assert one == two == four != []


def test_least_squares_have_the_same_bytes(factors, monkeypatch):
    shop = factors[0]
    monkeypatch.setattr(als, "PAIRS", 64)
    sides = als.both_sides(shop, *targets_and_weights(shop, 20.0))
    assert min(map(len, sides)) > 4

    def results():
        model = WRMF(90, 40, embedding_dim=5, solver="als")
        model.fit(shop, epochs=2)
        yield from model.factors

    one, two, four = bytes_by_count(results, monkeypatch)
    assert one == two == four != []


@pytest.mark.parametrize("count", COUNTS)
def test_results_come_in_order_and_as_many_are_held_as_there_are_threads(count):
    begun = []

    def arguments():
        for n in range(20):
            begun.append(n)
            yield n

    with threads(count):
        for n, result in enumerate(side_by_side(lambda n: n * n, arguments())):
            assert result == n * n and len(begun) <= n + 1 + count
        with pytest.raises(ZeroDivisionError):
            list(side_by_side(lambda n: 1 // (n - 3), range(20)))


def test_threads_work_at_once_and_a_failure_starts_no_further_call():
    """Either of the first two calls would wait for the other."""
    meeting, begun = threading.Barrier(2, timeout=30), []

    def fails(n):
        begun.append(n)
        meeting.wait()
        raise UserError("expected")

    with threads(2), pytest.raises(UserError, match="expected"):
        list(side_by_side(fails, range(2)))
    assert sorted(begun) == [0, 1]


def test_no_threads_are_refused():
    with pytest.raises(ValueError, match="at least one thread, not 0"), threads(0):
        pass


def test_calls_that_were_asked_for_with_threads_have_them_after_the_block():
    with threads(2):
        results = side_by_side(
            lambda n: threading.current_thread() is threading.main_thread(), range(3)
        )
    assert list(results) == [False, False, False]


@pytest.mark.parametrize(
    ("workers", "expected"), [(2, [2]), (5, [5]), (2, [1, 1]), (5, [3, 2]), (99, [8])]
)
def test_a_job_has_the_workers_that_no_other_needs(workers, expected):
    found = [
        result
        for _, result in sorted(
            answers("cluster_jobs:own_thread_count", [{} for _ in expected], workers).items()
        )
    ]
    assert found == expected
    assert jobs.run_task(0, "cluster_jobs:own_thread_count", {}, 3)[1] == 3
