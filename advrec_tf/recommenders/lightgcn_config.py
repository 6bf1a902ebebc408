"""The configuration of LightGCN."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from advrec_tf.options import option
from advrec_tf.recommenders.config import LEARNING_RATE, RecommenderConfig, with_cosine_decay

if TYPE_CHECKING:
    from advrec_tf.data import Interactions
    from advrec_tf.recommenders.factors import FactorModel


@dataclass(frozen=True)
class LightGCNConfig(RecommenderConfig):
    """LightGCN with Adam, in larger mini-batches and steps than the paper's 2048 and 0.001.

    The propagation is most of the work of a mini-batch, whatever its size.
    """

    learning_rate: float = option(0.02, **LEARNING_RATE)
    batch_size: int = option(32768, help="triples in a mini-batch", low=1)
    propagation_layers: int = option(3, help="propagations; 0: matrix factorisation", low=0)
    regularization: float = option(1e-4, help="weight of the squared rows of a triple", low=0)
    epsilon: float = option(0.0, help="relative epsilon of the adversary; 0: none", low=0)
    adversarial_weight: float = option(1.0, help="weight of the adversarial loss", low=0)

    epochs: int = option(100, help="epochs over which the learning rate falls to 0", low=1)

    name = "LightGCN"
    implementation = "lightgcn:LightGCN"
    samples_negatives = True

    def build(self, data: "Interactions", seed: int) -> "FactorModel":
        """Return a compiled model whose learning rate falls along a cosine to 0."""
        return with_cosine_decay(self.model(data, seed), data, self)
