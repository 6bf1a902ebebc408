"""Accuracies that others have published, with the same data, split and full ranking."""

from typing import NamedTuple


class Published(NamedTuple):
    """An accuracy: of which model on which data set, at which list length, and where it stands."""

    dataset: str
    model: str
    k: int
    RE: float | None
    nDCG: float
    source: str


BARS = "BARS benchmark"
ACCURACIES = (
    Published("gowalla-lightgcn", "BPR-MF", 20, 0.1627, 0.1378, BARS),
    Published("gowalla-lightgcn", "EASE", 20, 0.1765, 0.1467, BARS),
    Published("gowalla-lightgcn", "LightGCN", 20, 0.1820, 0.1547, BARS),
    Published("ml-1m", "BERT4Rec", 10, None, 0.1516, "a reproduction study of BERT4Rec"),
)
# What ours stands beside, where the same model has no published number.
COUNTERPARTS = {("gowalla-lightgcn", "iALS"): "EASE", ("ml-1m", "SASRec"): "BERT4Rec"}


def beside(dataset: str, model: str, k: int) -> Published | None:
    """Return the published accuracy that a measured one stands beside, None if there is none."""
    name = COUNTERPARTS.get((dataset, model), model)
    for published in ACCURACIES:
        if (published.dataset, published.model, published.k) == (dataset, name, k):
            return published
    return None
