"""Compare the cost of a million users with ML-1M's, on one thread and on two.

Each part of each size runs in a process of its own. Run it with `make bench SCALE=1m`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from itertools import product
from typing import Any

from advrec_tf.execution.startup import one_thread_for_numpy, peak_memory_mb, start_tensorflow

one_thread_for_numpy()

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402

from advrec_tf import evaluation  # noqa: E402
from advrec_tf.data import (  # noqa: E402
    Interactions,
    sample_triples,
    sample_users,
    shuffled_batches,
)
from advrec_tf.execution.threads import threads  # noqa: E402
from benchmarks.main import (  # noqa: E402
    BATCH,
    DIM,
    attack_iterations,
    factors,
    model_epoch,
    seconds,
)

SIZES = {"ml-1m": (6_040, 3_706, 1_000_209), "1m": (1_000_000, 200_000, 17_700_000)}
SAMPLE = 20_000  # users
ITERATIONS = 3  # of an attack
Found = dict[str, tuple[float, int]]  # by part: seconds, and of how many clicks or scores


def clicks(n_users: int, n_items: int, n_pairs: int) -> pd.DataFrame:
    """Return seeded random pairs.

    The activity of users is lognormal; the popularity of items is a power law of their rank.
    """
    rng = np.random.default_rng(0)
    weights = rng.lognormal(0, 1, n_users), rng.permutation(1 / np.arange(1.0, n_items + 1))
    users, items = (np.searchsorted(np.cumsum(w) / w.sum(), rng.random(n_pairs)) for w in weights)
    return pd.DataFrame(
        {"user": users, "item": items, "timestamp": rng.integers(0, 10**9, n_pairs)}
    )


def _on(count: int) -> str:
    return f", {count} threads" if count > 1 else ""


def training(size: str) -> Found:
    """Loading and an epoch of BPR-MF."""
    start_tensorflow()
    frame, began = clicks(*SIZES[size]), time.perf_counter()
    data = Interactions.from_frames(frame)
    clicked = len(data.train_users)
    found = {"load": (time.perf_counter() - began, clicked)}
    epoch = model_epoch(data, "BPR-MF")
    epoch()  # compilation
    return found | {
        "epoch": (seconds(epoch), clicked),
        "training, peak MB": (peak_memory_mb(), clicked),
    }


def attacks(size: str) -> Found:
    """An attack, lists and certificates, on one thread and on two."""
    start_tensorflow()
    data, found = Interactions.from_frames(clicks(*SIZES[size])), {}
    clicked, iterations, (P, Q) = (
        len(data.train_users),
        attack_iterations(data, ITERATIONS),
        factors(data),
    )
    users, part = sample_users(data, SAMPLE)
    scores = part.n_users * data.n_items
    jobs: dict[str, Callable[[], Any]] = {
        "attack iteration": iterations,
        "ranks of a sample": lambda: evaluation.ranks_of_test_items(P[users], Q, part),
        "top 10 of a sample": lambda: evaluation.top_k(P[users], Q, part),
        "certificate of a sample, l2": lambda: evaluation.certified_radii(P[users], Q, part),
        "certificate of a sample, linf": lambda: evaluation.certified_radii(
            P[users], Q, part, "linf"
        ),
    }
    for count in (1, 2):
        more = _on(count)
        with threads(count):
            iterations()  # compilation
            for name, job in jobs.items():
                per, units = (ITERATIONS, clicked) if job is iterations else (1, scores)
                found[name + more] = seconds(job) / per, units
        found[f"attacks, peak MB{more}"] = peak_memory_mb(), clicked
    return found


def lists(size: str) -> Found:
    """Lists of all users, on two threads."""
    start_tensorflow()
    data = Interactions.from_frames(clicks(*SIZES[size]))
    P, Q = factors(data)
    with threads(2):
        taken = seconds(lambda: evaluation.top_k(P, Q, data))
    return {f"top 10 of all{_on(2)}": (taken, data.n_users * data.n_items)}


def peers(size: str) -> Found:
    """The plain loop of numba, and what implicit takes."""
    from implicit.bpr import BayesianPersonalizedRanking
    from implicit.cpu.topk import topk

    from benchmarks import floor

    data = Interactions.from_frames(clicks(*SIZES[size]))
    clicked = len(data.train_users)
    P, Q = factors(data)
    tables = [[np.zeros_like(x) for x in (P, Q)] for _ in range(3)]
    squares, triples = [np.full_like(x, 0.1) for x in (P, Q)], sample_triples(data, 0)
    batches = shuffled_batches(data, BATCH, 0, 0)
    jobs: dict[str, Callable[[], Any]] = {
        "epoch, plain loop": lambda: floor.bprmf_epoch(P, Q, *squares, *tables[0], *batches),
        "attack iteration, plain loop": lambda: floor.attack_iteration(
            P, Q, *tables[0], *tables[1], *tables[2], *triples
        ),
    }
    found: Found = {}
    for name, job in jobs.items():
        job()  # compilation
        found[name] = seconds(job), clicked
    users, part = sample_users(data, SAMPLE)
    scores = part.n_users * data.n_items
    P, Q = factors(data)  # the loop has trained the others
    model = BayesianPersonalizedRanking(
        factors=P.shape[1] - 1, iterations=1, num_threads=1, random_state=0
    )
    found["epoch, implicit"] = (
        seconds(lambda: model.fit(data.matrix(), show_progress=False)),
        clicked,
    )
    for count in (1, 2):
        taken = seconds(
            lambda n=count: topk(Q, P[users], 10, filter_query_items=part.matrix(), num_threads=n)
        )
        found["top 10 of a sample, implicit" + _on(count)] = taken, scores
    return found


PARTS = {"training": training, "attacks": attacks, "lists": lists, "peers": peers}


def main(argv: list[str]) -> None:
    """Print the seconds of each part at each size, and the growth of the seconds per unit.

    A unit is a click or a score.
    """
    if argv:
        print(json.dumps(PARTS[argv[0]](argv[1])))
        return
    measured: dict[str, Found] = {}
    for size, part in product(SIZES, PARTS):
        command = [sys.executable, "-m", "benchmarks.scale", part, size]
        printed = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout
        measured[size] = measured.get(size, {}) | json.loads(printed.splitlines()[-1])
    sizes = " and ".join("{} users x {} items, {} clicks".format(*size) for size in SIZES.values())
    print(f"{sizes}, dim {DIM}, samples of {SAMPLE} users, one thread unless said\n")
    print(
        "| | "
        + " | ".join(f"{size}, s" for size in SIZES)
        + " | growth of one |\n| --- | --- | --- | --- |"
    )
    for name in measured["1m"]:
        (small, few), (large, many) = (measured[size][name] for size in SIZES)
        print(f"| {name} | {small:.3g} | {large:.3g} | {large / many / (small / few):.2f} |")


if __name__ == "__main__":
    main(sys.argv[1:])
