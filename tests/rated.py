"""Tiny data of users who rate, for values by hand."""

import pandas as pd

from advrec_tf import data


def two_users(ratings=True):
    """User 0 rates items 0 and 1 with 5 and 1, user 1 item 0 with 5; items 2 and 3 are in test."""
    columns = ["user", "item", "rating"]
    train = pd.DataFrame([(0, 0, 5.0), (0, 1, 1.0), (1, 0, 5.0)], columns=columns)
    test = pd.DataFrame([(0, 2, 3.0), (1, 3, 4.0)], columns=columns)
    if not ratings:
        train, test = train[columns[:2]], test[columns[:2]]
    return data.Interactions.from_frames(train, test)
