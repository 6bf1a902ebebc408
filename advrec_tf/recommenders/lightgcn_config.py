"""The configuration of LightGCN."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from advrec_tf.options import option
from advrec_tf.recommenders.adversarial_config import AdversarialConfig
from advrec_tf.recommenders.config import LEARNING_RATE, with_cosine_decay

if TYPE_CHECKING:
    from advrec_tf.data import Interactions
    from advrec_tf.recommenders.factors import FactorModel


@dataclass(frozen=True)
class LightGCNConfig(AdversarialConfig):
    """LightGCN in larger mini-batches and steps than the paper's 2048 and 0.001.

    The propagation is most of the work of a mini-batch, whatever its size.  But one triple in so
    many moves the mean loss little: its gradient falls below the 1e-7 that Adam adds to its divisor
    in Keras, and training slows down where the loss is small.
    """

    learning_rate: float = option(0.02, **LEARNING_RATE)
    batch_size: int = option(32768, help="triples in a mini-batch", low=1)
    propagation_layers: int = option(3, help="propagations; 0: matrix factorisation", low=0)
    regularization: float = option(1e-4, help="weight of the squared rows of a triple", low=0)
    adam_epsilon: float = option(1e-12, help="what Adam adds to its divisor", low=0)

    version = 2
    name = "LightGCN"
    implementation = "lightgcn:LightGCN"
    samples_negatives = True

    def build(self, data: "Interactions", seed: int) -> "FactorModel":
        """Return a compiled model whose learning rate falls."""
        return with_cosine_decay(self.model(data, seed), data, self, self.adam_epsilon)
