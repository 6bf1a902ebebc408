"""Measure speed and memory of poisoning attacks and low-rank defences at Gowalla's size.

It is a part of `make bench`. `python -m benchmarks.poisoning ROW` measures one row.
"""

import subprocess
import sys
import time

from advrec_tf.execution.startup import one_thread_for_numpy, peak_memory_mb, start_tensorflow

one_thread_for_numpy()

import numpy as np  # noqa: E402

from benchmarks.main import interactions  # noqa: E402

USERS, ITEMS, PAIRS, FAKES = 13_149, 14_007, 433_356, 131  # Gowalla
PATCHES_TIMED = 300  # of the plain loop, spread over the matrix


def gowalla():
    """Random pairs of Gowalla's size and skew, so that no download is needed."""
    return interactions(USERS, ITEMS, PAIRS)


def wrmf():
    """Time 50 epochs of WRMF by SGD, and the compiled gradient of a dense users x items block.

    The dense step computes all scores, errors and two products of 2048 users.
    """
    import tensorflow as tf

    from advrec_tf.recommenders import WRMF

    data = gowalla()
    model = WRMF(data.n_users, data.n_items)
    model.compile()
    seconds = timed(lambda: model.fit(data, epochs=50, verbose=0))
    memory = peak_memory_mb()
    X = np.zeros((2048, ITEMS), np.float32)
    known = data.train_users < 2048
    X[data.train_users[known], data.train_items[known]] = 1

    @tf.function(jit_compile=True)
    def dense_step(p, q, x):
        with tf.GradientTape() as tape:
            tape.watch([p, q])
            loss = tf.reduce_sum(
                tf.where(x > 0, 20.0, 1.0) * tf.square(x - tf.matmul(p, q, transpose_b=True))
            )
        return tape.gradient(loss, [p, q])

    p, q, x = model.user_embedding.value[:2048], model.item_embedding.value, tf.constant(X)
    dense_step(p, q, x)
    dense = min(timed(lambda: dense_step(p, q, x)[0].numpy()) for _ in range(3))
    steps = 50 * model.steps(data, 2048)
    return (
        "WRMF by SGD, 50 epochs (goal: 60 s, 1 GB)",
        seconds,
        memory,
        f"dense gradient of one step {dense / (seconds / steps):.1f} x ours with its update",
    )


def recsys20():
    """Time one outer epoch of the bi-level attack with 10 and with 20 unrolled epochs.

    Compilation is not counted.
    """
    from advrec_tf.poisoning.bilevel import RecSys20Config, Surrogate, initial_profiles

    data, found = gowalla(), []
    X = initial_profiles(data, FAKES, 100)
    for unrolled in (10, 20):
        surrogate = Surrogate(
            data, RecSys20Config(FAKES, (1, 2, 3, 4, 5), unrolled_epochs=unrolled), 0
        )
        surrogate.train_and_differentiate(X)
        found.append((timed(surrogate.train_and_differentiate, X), peak_memory_mb()))
    return (
        "RecSys20, one outer epoch, 10 unrolled (goal: 120 s, 6 GB)",
        *found[0],
        "20 unrolled: {:.0f} s, {} MB".format(*found[1]),
    )


def patches(size: int, rank: int):
    """Time the reconstruction of all patches, and of some by a loop of `numpy.linalg.svd`.

    The loop keeps the empty rows and columns.
    """
    from advrec_tf.defenses import reconstruct

    matrix = gowalla().matrix()
    seconds = timed(lambda: reconstruct(matrix, size, rank, 0.1))
    memory = peak_memory_mb()
    starts = [(r, c) for r in range(0, USERS, size) for c in range(0, ITEMS, size)]
    some = starts[:: max(1, len(starts) // PATCHES_TIMED)]

    def plain():
        for row, column in some:
            U, s, Vt = np.linalg.svd(
                matrix[row : row + size, column : column + size].toarray(), full_matrices=False
            )
            (U[:, :rank] * s[:rank]) @ Vt[:rank]

    loop = timed(plain) / len(some) * len(starts)
    return (
        f"[{size}, {rank}], {len(starts)} patches (goal: 180 s, 2 GB)",
        seconds,
        memory,
        f"plain loop {loop:.0f} s, {loop / seconds:.0f} x",
    )


def detectors():
    """Figure 2: one fold of each sampling, all kernels and dimensions, times ten."""
    from advrec_tf.defenses.detection import KERNELS, SAMPLINGS, fold_scores, labels_of
    from advrec_tf.poisoning import heuristic

    data = gowalla()
    poisoned = heuristic("bandwagon", data, FAKES, (1, 2, 3, 4, 5)).stacked_on(data)
    common, seconds = (poisoned.matrix(), labels_of(poisoned, USERS)), 0.0
    for sampling in SAMPLINGS:
        base = {"sampling": sampling, "fold": 0, "seed": 0}
        points = [
            {**base, "kernel": kernel, "components": n}
            for n in (5, *range(10, 101, 10))
            for kernel in KERNELS
        ]
        seconds += timed(fold_scores, points, *common)
    return "Figure 2, one fold of ten (goal: 60 s)", seconds, peak_memory_mb(), ""


def gan_epoch():
    """Time an epoch of RecSys19's GAN, 14 mini-batches, at ML-100K's size and at Gowalla's.

    The last cell has the minutes of 128 such epochs.
    """
    import tensorflow as tf

    from advrec_tf.poisoning.dcgan import DCGAN, NOISE, image_shape

    found = []
    for users, items in ((943, 1682), (USERS, ITEMS)):
        gan, size = DCGAN(*image_shape(items), 0), image_shape(items)
        batch = (
            tf.random.stateless_normal((64, *size, 1), [0, 0]),
            tf.random.stateless_normal((64, NOISE), [0, 1]),
        )
        gan.step(*batch)
        found.append(
            (min(timed(gan.step, *batch) for _ in range(3)) * (users // 64), peak_memory_mb())
        )
    (seconds, memory), (wide, _) = found
    return (
        "RecSys19's GAN, an epoch of ML-100K",
        seconds,
        memory,
        f"128: {128 * seconds / 60:.0f} min (goal: 20); of Gowalla: {128 * wide / 3600:.0f} h",
    )


def younger():
    """Time 50 epochs of the robust recommenders at ML-100K's size, without compilation."""
    from advrec_tf.recommenders import recommender_config

    data, seconds = interactions(943, 1682, 80_000), {}
    for name in ("wrmf", "wrmf_fit", "wrmf_norm", "ensemble"):
        model = recommender_config(name)().build(data, 0)
        model.fit(data, epochs=1, verbose=0)
        seconds[name] = timed(lambda model=model: model.fit(data, epochs=50, verbose=0))
    beside = ", ".join(
        f"{name} {value / seconds['wrmf']:.1f} x"
        for name, value in seconds.items()
        if name != "wrmf"
    )
    return "WRMF at ML-100K's size, 50 epochs", seconds["wrmf"], peak_memory_mb(), beside


ROWS = {
    "gan": gan_epoch,
    "younger": younger,
    "wrmf": wrmf,
    "recsys20": recsys20,
    "100x90": lambda: patches(100, 90),
    "300x80": lambda: patches(300, 80),
    "150x20": lambda: patches(150, 20),
    "figure2": detectors,
}


def timed(function, *args) -> float:
    began = time.perf_counter()
    function(*args)
    return time.perf_counter() - began


def main(argv: list[str]) -> None:
    if argv:
        start_tensorflow()
        name, seconds, memory, beside = ROWS[argv[0]]()
        print(f"| {name} | {seconds:.1f} | {memory} | {beside} |")
        return
    print(
        f"\n{USERS} users x {ITEMS} items, {PAIRS} interactions, one thread, "
        "each row in a process of its own\n"
    )
    print("| | s | peak MB | beside it |\n| --- | --- | --- | --- |")
    for name in ROWS:
        print(
            subprocess.run(
                [sys.executable, "-m", "benchmarks.poisoning", name],
                capture_output=True,
                text=True,
                check=True,
            ).stdout.strip(),
            flush=True,
        )


if __name__ == "__main__":
    main(sys.argv[1:])
