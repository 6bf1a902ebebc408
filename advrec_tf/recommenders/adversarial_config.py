"""The base of configurations of models that can be trained adversarially."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from advrec_tf.options import option
from advrec_tf.recommenders.config import RecommenderConfig, with_cosine_decay

if TYPE_CHECKING:
    from advrec_tf.data import Interactions
    from advrec_tf.recommenders.factors import FactorModel


@dataclass(frozen=True)
class AdversarialConfig(RecommenderConfig):
    """APR's adversary, and Adam with a learning rate that falls along a cosine to 0."""

    epsilon: float = option(0.0, help="relative epsilon of the adversary; 0: none", low=0)
    adversarial_weight: float = option(1.0, help="weight of the adversarial loss", low=0)
    epochs: int = option(100, help="epochs over which the learning rate falls to 0", low=1)

    def build(self, data: "Interactions", seed: int) -> "FactorModel":
        """Return a compiled model whose learning rate falls."""
        return with_cosine_decay(self.model(data, seed), data, self)
