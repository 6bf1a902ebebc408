"""Compare speed with a plain compiled loop and an eager dense baseline, and measure peak memory.

Run it with `make bench`.
"""

import statistics
import subprocess
import sys
import time

from advrec_tf.execution.startup import one_thread_for_numpy, peak_memory_mb, start_tensorflow

one_thread_for_numpy()

import numpy as np  # noqa: E402

from advrec_tf.data import Interactions, sample_triples, shuffled_batches  # noqa: E402

USERS, ITEMS, PAIRS, DIM, BATCH = 6040, 3706, 994_169, 64, 512  # ML-1M
ROUNDS = 5


def interactions(
    n_users: int = USERS, n_items: int = ITEMS, n_pairs: int = PAIRS, seed: int = 0
) -> Interactions:
    """Return `n_pairs` random pairs of skewed popularity, with one test item for each user."""
    rng = np.random.default_rng(seed)
    activity, popularity = rng.lognormal(0, 1, n_users), rng.lognormal(0, 1.5, n_items)
    keys = np.empty(0, np.int64)
    while len(keys) < n_pairs:
        u = rng.choice(n_users, n_pairs, p=activity / activity.sum())
        i = rng.choice(n_items, n_pairs, p=popularity / popularity.sum())
        keys = np.unique(np.concatenate([keys, u * n_items + i]))
    keys = np.sort(rng.choice(keys, n_pairs, replace=False))
    users, items = np.divmod(keys, n_items)
    test = rng.integers(0, n_items, n_users)
    ids = np.arange(n_users), np.arange(n_items)
    return Interactions(
        "random",
        n_users,
        n_items,
        *(x.astype(np.int32) for x in (users, items, ids[0], test)),
        *ids,
    )


def factors(data: Interactions) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return tuple(
        rng.normal(0, 0.3, (n, DIM)).astype(np.float32) for n in (data.n_users, data.n_items)
    )


def model_epoch(data: Interactions, name: str):
    """Return a function that runs one compiled epoch of mini-batches on our model."""
    import tensorflow as tf

    from advrec_tf.recommenders import AMF, BPRMF

    model = {"BPR-MF": BPRMF, "AMF": AMF}[name](data.n_users, data.n_items, DIM)
    model.compile()
    train_step = tf.function(model.train_step, jit_compile=True)
    batches = tuple(map(tf.constant, shuffled_batches(data, BATCH, 0, 0)))
    return lambda: train_step(batches)["loss"].numpy()


def attack_iterations(data: Interactions, count: int):
    """Return a function that runs `count` iterations of BIM.

    The triples are laid out once, here, outside of what is timed.
    """
    from advrec_tf import perturbations

    P, Q = factors(data)
    chunks = perturbations.chunk_triples(sample_triples(data, 0), data.n_users, data.n_items)
    return lambda: next(perturbations.trajectory(P, Q, chunks, read_at=(count,)))


def evaluate(data: Interactions):
    from advrec_tf import evaluation

    P, Q = factors(data)
    return lambda: evaluation.metrics(evaluation.top_k(P, Q, data), data)


def seconds(function) -> float:
    began = time.perf_counter()
    function()
    return time.perf_counter() - began


def compare(name: str, goal: str, memory: int, ours, floor, eager) -> None:
    """Time ours and the plain loop in turn, ROUNDS times, and print one row of the table.

    ours, floor, eager: a function, and the number of units of work in one call. The row has the
    median milliseconds of a unit and the median of the rounds' ratios.
    """
    ours[0](), floor[0]()  # compilation
    eager_seconds = seconds(eager[0]) / eager[1]
    rounds = [(seconds(ours[0]) / ours[1], seconds(floor[0]) / floor[1]) for _ in range(ROUNDS)]
    ratio = statistics.median(a / b for a, b in rounds)
    mine, bottom = (statistics.median(times) for times in zip(*rounds))
    cells = (
        f"{1e3 * mine:.3g}",
        f"{1e3 * bottom:.3g}",
        f"{1e3 * eager_seconds:.3g}",
        f"{ratio:.2f}",
        f"{eager_seconds / mine:.0f}",
        goal,
        f"{memory}",
    )
    print("| " + " | ".join((name, *cells)) + " |", flush=True)


def jobs(data: Interactions) -> dict:
    """Return the builder of each measured function, and the units of work in one call."""
    steps = len(data.train_users) // BATCH
    return {
        "BPR-MF mini-batch": (lambda: model_epoch(data, "BPR-MF"), steps),
        "AMF mini-batch": (lambda: model_epoch(data, "AMF"), steps),
        "attack iteration": (lambda: attack_iterations(data, 5), 5),
        "evaluation": (lambda: evaluate(data), 1),
    }


def floors(data: Interactions) -> dict:
    from benchmarks import floor

    P, Q = factors(data)
    moved, gradients = [np.zeros_like(x) for x in (P, Q)], [np.zeros_like(x) for x in (P, Q)]
    squares, batches = [np.full_like(x, 0.1) for x in (P, Q)], shuffled_batches(data, BATCH, 0, 0)
    deltas, triples, lists = (
        [np.zeros_like(x) for x in (P, Q)],
        sample_triples(data, 0),
        np.empty((len(P), 10), np.int32),
    )
    trained = [x * 0.03 for x in (P, Q)]
    return {
        "BPR-MF mini-batch": lambda: floor.bprmf_epoch(*trained, *squares, *gradients, *batches),
        "AMF mini-batch": lambda: floor.amf_epoch(*trained, *squares, *gradients, *moved, *batches),
        "attack iteration": lambda: floor.attack_iteration(
            P, Q, *deltas, *moved, *gradients, *triples
        ),
        "evaluation": lambda: floor.top_10(P, Q, data.indptr, data.train_items, lists),
    }


def eagers(data: Interactions) -> dict:
    from benchmarks.eager import Eager

    P, Q = factors(data)
    batches, triples = shuffled_batches(data, BATCH, 0, 0), sample_triples(data, 0)

    def run_batches(epsilon):
        model = Eager(P, Q, epsilon)
        model.batch([part[0] for part in batches])
        return lambda: [model.batch([part[s] for part in batches]) for s in range(20)]

    plain = Eager(P, Q)
    return {
        "BPR-MF mini-batch": (run_batches(None), 20),
        "AMF mini-batch": (run_batches(0.5), 20),
        "attack iteration": (
            lambda: plain.attack_iteration([np.zeros_like(P), np.zeros_like(Q)], triples),
            1,
        ),
        "evaluation": (lambda: plain.top_10(data), 1),
    }


def figures(data: Interactions) -> dict:
    """Return what makes the data of one figure for one attack on one model, and a defence.

    A figure needs perturbations, lists and metrics.
    """
    from advrec_tf import evaluation, perturbations
    from advrec_tf.recommenders import MarginMFConfig

    (P, Q), margin = factors(data), MarginMFConfig()

    def measure(triples, epsilon, read_at):
        for delta in perturbations.trajectory(P, Q, triples, epsilon, read_at=read_at):
            evaluation.metrics(evaluation.top_k(P + delta.user, Q + delta.item, data), data)

    def budgets():
        triples = perturbations.chunk_triples(sample_triples(data, 0), data.n_users, data.n_items)
        for epsilon in np.geomspace(1e-4, 10, 21):
            measure(triples, epsilon, (25,))

    return {
        "Figure 1: 300 iterations, 31 evaluations (goal: 180)": lambda: measure(
            sample_triples(data, 0), 0.5, (1, *range(10, 301, 10))
        ),
        "Figure 2: 21 budgets of 25 iterations (goal: 240)": budgets,
        "certificate, both balls (goal: 30)": lambda: [
            evaluation.certified_radii(P, Q, data, ball) for ball in ("l2", "linf")
        ],
        f"MarginMF: ALS and {margin.epochs} epochs from there on": lambda: margin.build(
            data, 0
        ).fit(data, epochs=margin.epochs, verbose=0),
    }


def scaling(millions: int) -> str:
    """The row of so many million interactions: an epoch of BPR-MF and an iteration of an attack."""
    large = interactions(USERS * 4, ITEMS * 4, millions * 10**6)
    epoch, iteration = model_epoch(large, "BPR-MF"), attack_iterations(large, 3)
    epoch(), iteration()
    times = (min(map(seconds, [epoch] * 2)), min(map(seconds, [iteration] * 2)) / 3)
    return f"| {millions} M | " + " | ".join(f"{t:.2f} | {t / millions:.3f}" for t in times) + " |"


def output_of(*arguments: str) -> str:
    """Run this module in a process of its own and return what it prints."""
    command = [sys.executable, "-m", "benchmarks.main", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def compare_operations(data: Interactions) -> None:
    """Print the table of mini-batches, attack iterations and evaluations beside two baselines."""
    memory = {name: int(output_of(name)) for name in jobs(data)}
    start_tensorflow()
    print(
        f"{data.n_users} users x {data.n_items} items, {len(data.train_users)} interactions, "
        f"dim {DIM}, batch {BATCH}, one thread each\n"
    )
    print(
        "| | ours, ms | plain loop, ms | eager dense, ms | ours / loop | eager / ours | goal "
        "| peak MB |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    goals = ("<= 1.3, >= 20", "<= 1.5, >= 20", "<= 1.5, >= 10", "< 2 s")
    floor_jobs, eager_jobs = floors(data), eagers(data)
    for goal, (name, (make, units)) in zip(goals, jobs(data).items()):
        floor = floor_jobs[name], units if "batch" in name else 1
        compare(name, goal, memory[name], (make(), units), floor, eager_jobs[name])


def main(argv: list[str]) -> None:
    """Print all tables, or measure one job for its peak memory or one size for its seconds."""
    if argv:
        start_tensorflow()
        if argv[0].isdecimal():
            print(scaling(int(argv[0])))
            return
        function = jobs(interactions())[argv[0]][0]()
        function(), function()
        print(peak_memory_mb())
        return
    data = interactions()
    compare_operations(data)
    print("\n| one model, one attack | s |\n| --- | --- |")
    for name, function in figures(data).items():
        print(f"| {name} | {seconds(function):.0f} |", flush=True)
    print(
        "\n| interactions | BPR-MF epoch, s | per million | attack iteration, s | per million |"
        "\n| --- | --- | --- | --- | --- |"
    )
    for millions in (1, 2, 5, 10):  # one process each: in one process, functions are traced anew
        print(output_of(str(millions)), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
