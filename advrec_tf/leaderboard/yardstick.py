"""How much models of a public data set withstand, beside which an epsilon means something.

yardstick.csv is made from the published leaderboard of ML-1M by `make publish`.
"""

from functools import cache
from pathlib import Path

import pandas as pd

TABLE = Path(__file__).with_suffix(".csv")
DATASET = "ml-1m"
SHOWN = ("BPR-MF", "AMF", "iALS-64", "SVD-16, user-normalised")


@cache
def half() -> pd.Series:
    """Return the epsilon at which an attacker of held-out items takes half of nDCG, by entry."""
    return pd.read_csv(TABLE, index_col="entry")["epsilon"]


def sentence() -> str:
    """Return what some models of ML-1M withstand, as percentages of the typical length."""
    texts = [f"{entry} {half()[entry]:.1%}" for entry in SHOWN]
    return f"ML-1M: {', '.join(texts)}"
