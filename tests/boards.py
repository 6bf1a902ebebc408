"""A leaderboard made by hand: five entries, forty users."""

import numpy as np
import pandas as pd

from advrec_tf.leaderboard import comparison, summary

FIRST = "iALS at rank 8"
USERS = 40
WAVE = np.sin(np.arange(USERS))
LEFT = {FIRST: 0.9, "AMF": 0.5, "BPR-MF": 0.4, "iALS with equal users": 0.8, "MostPopular": 0.3}
SPECS = {
    FIRST: ("iALS", 8, False),
    "AMF": ("AMF", None, False),
    "BPR-MF": ("BPR-MF", None, False),
    "iALS with equal users": ("iALS", None, True),
    "MostPopular": ("MostPopular", None, False),
}


def board(clean=None, left=None, seeds=None, noise=0.02) -> pd.DataFrame:
    """Return rows as of `summary.tidy`.

    clean: mean nDCG by entry; left: the share of it that every attack leaves, half of which is
    certified; seeds: how many trainings; noise: of single users.  Each is a dictionary that changes
    some entries.
    """
    clean = {**dict.fromkeys(LEFT, 0.4), **(clean or {})}
    left = {**LEFT, **(left or {})}
    seeds = {**dict.fromkeys(LEFT, 2), **(seeds or {})}
    rows = []
    for entry in LEFT:
        for seed in range(seeds[entry]):
            users = clean[entry] + 0.1 * WAVE
            base = {
                "entry": entry,
                **dict(zip(summary.SPEC, SPECS[entry])),
                "seed": seed,
                "ICov": 100.0,
                "EFD": 0.1,
                "SE": 8.0,
                "k": 10,
                "masked": "",
            }
            rows.append(
                {
                    **base,
                    "threat": "",
                    "ball": "",
                    "rho": 0.0,
                    "users": users,
                    "certified_users": None,
                }
            )
            for threat, ball, rho in comparison.GOALS:
                own = left[entry] * users + noise * np.cos(np.arange(USERS) + seed + len(entry))
                rows.append(
                    {
                        **base,
                        "threat": threat,
                        "ball": ball,
                        "rho": rho,
                        "users": own,
                        "certified_users": own / 2,
                    }
                )
    frame = pd.DataFrame(rows)
    for name, users in (("nDCG", "users"), ("certified_nDCG", "certified_users")):
        frame[name] = frame[users].map(lambda each: np.nan if each is None else each.mean())
    return frame
