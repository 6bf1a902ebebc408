"""Commands of the experiments on poisoned data that take seconds."""

import numpy as np
import pandas as pd

from advrec_tf.cli.experiments import WITH_PMF

from running import OF_VICTIMS, TINY


def flags_of(experiment):
    """TINY without what an experiment does not read."""
    unread = {
        "lowrank_figure1": (*OF_VICTIMS, "--seed"),
        "lowrank_figure2": OF_VICTIMS,
        **dict.fromkeys(WITH_PMF, ("--solver",)),
        "lowrank_figure4": ("--solver", "--victim_dim"),
    }
    own = [flag for flag in TINY if not flag.startswith(unread.get(experiment, "-no-"))]
    more = {
        "lowrank_table1": ["--other_outer_epochs=1"],
        "lowrank_table2": ["--patches=50x20,fullx30"],
        "lowrank_table3": ["--patches=50x20"],
        "lowrank_figure3": ["--svd_ranks=5,20"],
        "lowrank_figure5": ["--svd_ranks=5,20"],
        "lowrank_controls": ["--patches=50x20"],
        "lowrank_younger": ["--solver=sgd"],
    }
    return own + more.get(experiment, [])


def shop_flag(folder, ratings=False, text=True):
    """Write shop.csv, a table of 60 users and 30 items, and return its flag."""
    rng = np.random.default_rng(0)
    pairs = [
        (f"user{u}" if text else u, f"item{i}" if text else i)
        for u in range(60)
        for i in rng.choice(30, 8, replace=False)
    ]
    frame = pd.DataFrame(pairs, columns=["user", "item"])
    if ratings:
        frame["rating"] = rng.integers(1, 11, len(frame))
    frame.to_csv(folder / "shop.csv", index=False)
    return f"--dataset={folder / 'shop.csv'}"
