"""Data sets and tables that tests make by hand."""

import io
import zipfile

import numpy as np
import pandas as pd

from advrec_tf import data


def write(path, text):
    """Write a text file and its folders; return the path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def frame_of(rows, *columns):
    """Return a table of users, items and further columns."""
    return pd.DataFrame(rows, columns=["user", "item", *columns])


def interactions(train, test):
    """Return a data set of train pairs and test pairs."""
    return data.Interactions.from_frames(frame_of(train), frame_of(test))


def pairs(users, items):
    """Return (user, item) pairs as a list."""
    return list(zip(users.tolist(), items.tolist()))


def by_ids(built, part, values):
    """Return the values of the train or test pairs by the ids of their users and items."""
    users, items = getattr(built, f"{part}_users"), getattr(built, f"{part}_items")
    return dict(zip(pairs(built.user_ids[users], built.item_ids[items]), values.tolist()))


def random_problem(seed, n_users=9, n_items=14, ties=True):
    """Return random P, Q [n, 2] and a data set; with `ties`, the factors are -1, 0 or 1."""
    rng = np.random.default_rng(seed)
    known = [
        (user, item)
        for user in range(n_users)
        for item in rng.choice(n_items, rng.integers(2, 7), replace=False)
    ]
    last = frame_of(known).groupby("user").tail(rng.integers(1, 3))
    held_out = set(last.itertuples(index=False, name=None))
    train = {*known} - held_out | {(user, n_items - 1) for user in range(n_users)}
    built = interactions(sorted(train), sorted(held_out - train))
    shape = n_users + n_items, 2
    values = rng.integers(-1, 2, shape) if ties else rng.normal(size=shape)
    return values[:n_users].astype(np.float32), values[-built.n_items :].astype(np.float32), built


def zipped(**files):
    """Return a .zip of these texts."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(f"{name}.csv", text)
    return content.getvalue()
