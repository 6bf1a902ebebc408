"""The configuration of SASRec."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from advrec_tf.options import option
from advrec_tf.recommenders.config import LEARNING_RATE, RecommenderConfig, with_cosine_decay

if TYPE_CHECKING:
    from advrec_tf.data import Interactions
    from advrec_tf.recommenders.factors import FactorModel


@dataclass(frozen=True)
class SASRecConfig(RecommenderConfig):
    """SASRec with Adam, in mini-batches of rows of `length` slots.

    The learning rate falls along a cosine to 0 over `epochs`.
    """

    learning_rate: float = option(0.001, **LEARNING_RATE)
    batch_size: int = option(32, help="rows of slots in a mini-batch", low=1)
    length: int = option(100, help="slots of a sequence: the start and the last items", low=2)
    blocks: int = option(2, help="blocks of attention", low=1)
    dropout: float = option(0.2, help="share of the elements that are dropped", low=0, high=0.99)
    epsilon: float = option(0.0, help="relative epsilon of the adversary; 0: none", low=0)
    adversarial_weight: float = option(1.0, help="weight of the adversarial loss", low=0)

    epochs: int = option(100, help="epochs over which the learning rate falls to 0", low=1)

    name = "SASRec"
    implementation = "sasrec:SASRec"
    reads_times = True

    def build(self, data: "Interactions", seed: int) -> "FactorModel":
        """Return a compiled model whose learning rate falls along a cosine to 0."""
        return with_cosine_decay(self.model(data, seed), data, self)
