"""Measure LightGCN's propagation and its epochs at Gowalla's size, beside SciPy and TensorFlow.

It is a part of `make bench`. All parts use one thread.
"""

from advrec_tf.execution.startup import one_thread_for_numpy, peak_memory_mb, start_tensorflow

one_thread_for_numpy()

import numpy as np  # noqa: E402
from scipy import sparse  # noqa: E402

from benchmarks.main import DIM, interactions  # noqa: E402
from benchmarks.poisoning import timed  # noqa: E402

USERS, ITEMS, PAIRS, LAYERS = 29_858, 40_981, 810_128, 3  # gowalla-lightgcn
BATCH, ROUNDS = 131_072, 5


def programs(data):
    """Return functions that propagate the same tables LAYERS times, by name."""
    import tensorflow as tf

    from advrec_tf.recommenders.lightgcn import propagation

    map_ = propagation(data, LAYERS)
    rng = np.random.default_rng(0)
    tables = [rng.normal(size=(n, DIM)).astype(np.float32) for n in (USERS, ITEMS)]
    stacked, nodes = np.concatenate(tables), USERS + ITEMS
    coo = tf.sparse.SparseTensor(map_.indices, map_.elements, [nodes, nodes])
    rows, columns = map_.indices.numpy().T
    csr = sparse.csr_matrix((map_.elements.numpy(), (rows, columns)), (nodes, nodes))

    def by_scipy():
        total = layer = stacked
        for _ in range(LAYERS):
            layer = csr @ layer
            total = total + layer
        return total / (LAYERS + 1)

    @tf.function
    def by_coo(layer):
        total = layer
        for _ in range(LAYERS):
            layer = tf.sparse.sparse_dense_matmul(coo, layer)
            total += layer
        return total / (LAYERS + 1)

    ours = tf.function(lambda *tables: tf.concat(map_(*tables), axis=0))
    constants = list(map(tf.constant, tables))
    np.testing.assert_allclose(ours(*constants), by_scipy(), atol=1e-4)
    np.testing.assert_allclose(by_coo(tf.constant(stacked)), by_scipy(), atol=1e-4)
    return {
        "advrec_tf": lambda: ours(*constants).numpy(),
        "SciPy": by_scipy,
        "TensorFlow's SparseTensor": lambda: by_coo(tf.constant(stacked)).numpy(),
    }


def seconds_of_epoch(data) -> float:
    """Return what an epoch of LightGCN takes, without compilation."""
    from advrec_tf.recommenders import LightGCNConfig

    model = LightGCNConfig(batch_size=BATCH).build(data, 0)
    model.fit(data, BATCH, epochs=1, verbose=0)
    return timed(lambda: model.fit(data, BATCH, epochs=3, initial_epoch=1, verbose=0)) / 2


def main() -> None:
    """Print what the propagations take, and an epoch."""
    start_tensorflow()
    data = interactions(USERS, ITEMS, PAIRS)
    compared = programs(data)
    seconds = {name: [] for name in compared}
    for _ in range(ROUNDS):  # in turn, so that a busy moment meets all
        for name, program in compared.items():
            seconds[name].append(timed(program))
    epoch = seconds_of_epoch(data)
    first = np.median(seconds["advrec_tf"])
    print(f"\n{LAYERS} propagations of {USERS} users, {ITEMS} items, {PAIRS} interactions\n")
    print("| | ms | x advrec_tf |\n| --- | --- | --- |")
    for name, values in seconds.items():
        print(f"| {name} | {1000 * np.median(values):.0f} | {np.median(values) / first:.1f} |")
    print(
        f"\nAn epoch of LightGCN, {len(data.train_users) // BATCH} mini-batches of {BATCH}: "
        f"{epoch:.1f} s; peak memory {peak_memory_mb()} MB"
    )


if __name__ == "__main__":
    main()
