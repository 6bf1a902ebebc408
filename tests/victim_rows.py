"""Rows of recommenders on poisoned data, made by hand."""

import numpy as np


def row(target_HR, **more):
    base = {
        "dataset": "gowalla",
        "model": "WRMF",
        "group": "head",
        "attack": "recsys20",
        "seed": 0,
        "k": 50,
        "defense": "none",
        "patch": "",
    }
    return (
        base
        | {
            "rank": np.nan,
            "order": "as made",
            "draw": 0,
            "emptied_users": 0,
            "emptied_fakes": 0,
            "target_HR": target_HR,
        }
        | more
    )


def low_rank(target_HR, **more):
    return row(target_HR, **{"defense": "low_rank", "patch": "100", "rank": 90.0} | more)
