"""A leaderboard made by hand: five entries, forty users."""

import numpy as np
import pandas as pd

from advrec_tf.leaderboard import Entry, comparison

ENTRIES = (
    Entry("iALS", 16, 8),
    Entry("AMF"),
    Entry("BPR-MF"),
    Entry("iALS", 16, user_normalized=True),
    Entry("MostPopular"),
)
FIRST, AMF, BPRMF, NORMALIZED, POPULAR = (entry.label for entry in ENTRIES)
USERS = 40
WAVE = np.sin(np.arange(USERS))
LEFT = dict(zip((FIRST, AMF, BPRMF, NORMALIZED, POPULAR), (0.9, 0.5, 0.4, 0.8, 0.3)))


def board(clean=None, left=None, seeds=None, noise=0.02) -> pd.DataFrame:
    """Return rows as of `worst_cases`.

    clean: mean nDCG by entry; left: the share of it that every attack leaves, half of which is
    certified; seeds: how many trainings; noise: of single users.  Each is a dictionary that changes
    some entries.
    """
    clean = {**dict.fromkeys(LEFT, 0.4), **(clean or {})}
    left = {**LEFT, **(left or {})}
    seeds = {**dict.fromkeys(LEFT, 2), **(seeds or {})}
    rows = []
    for entry in ENTRIES:
        for seed in range(seeds[entry.label]):
            shared = {**entry.columns, "seed": seed, "ICov": 100.0, "EFD": 0.1, "SE": 8.0}
            shared |= {"k": 10, "warnings": ""}
            users = clean[entry.label] + 0.1 * WAVE
            rows.append(shared | _values(comparison.CLEAN, users, None))
            # The wave of the noise differs between entries by the length of these names.
            shift = seed + {FIRST: 14, NORMALIZED: 21}.get(entry.label, len(entry.label))
            kept = left[entry.label] * users + noise * np.cos(np.arange(USERS) + shift)
            rows += [shared | _values(each, kept, kept / 2) for each in comparison.GOALS]
    return pd.DataFrame(rows)


def _values(condition, users, certified) -> dict:
    named = dict(zip(("threat_model", "ball", "epsilon"), condition))
    named |= {"users": users, "certified_users": certified, "nDCG": users.mean()}
    return named | {"certified_nDCG": np.nan if certified is None else certified.mean()}
