"""The configuration of MarginMF."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from advrec_tf.options import option
from advrec_tf.recommenders.config import (
    EMBEDDING_DIM,
    LEARNING_RATE,
    POSITIVE,
    RecommenderConfig,
    with_cosine_decay,
)

if TYPE_CHECKING:
    from advrec_tf.data import Interactions


@dataclass(frozen=True)
class MarginMFConfig(RecommenderConfig):
    """MarginMF with Adam, whose learning rate falls to 0 over `epochs`."""

    embedding_dim: int = option(32, **EMBEDDING_DIM)
    learning_rate: float = option(0.005, **LEARNING_RATE)
    rho: float = option(0.05, help="relative epsilon that the margins must withstand", low=0)
    exponent: float = option(0.1, help="exponent of the loss; 0: cross-entropy", low=0)
    regularization: float = option(
        30.0, help="weight of the squared factors in the ALS that training starts from", low=0
    )
    weight: float = option(
        2.0, help="weight of what was clicked in the ALS that training starts from", low=POSITIVE
    )
    epochs: int = option(30, help="epochs over which the learning rate falls to 0", low=1)

    name = "MarginMF"
    implementation = "margin_mf:MarginMF"

    def build(self, data: "Interactions", seed: int):
        """Return a compiled model whose learning rate falls along a cosine to 0."""
        return with_cosine_decay(self.model(data, seed), data, self)
