"""The configuration of PMF."""

from dataclasses import dataclass

from advrec_tf.options import option
from advrec_tf.recommenders.config import EMBEDDING_DIM, LEARNING_RATE, RecommenderConfig


@dataclass(frozen=True)
class PMFConfig(RecommenderConfig):
    """PMF with SGD and momentum; the papers give no values, so these were chosen on ML-100K."""

    embedding_dim: int = option(10, **EMBEDDING_DIM)
    learning_rate: float = option(0.002, **LEARNING_RATE)
    batch_size: int = option(1000, help="ratings in a mini-batch", low=1)
    momentum: float = option(0.8, help="momentum of SGD", low=0, high=1)
    regularization: float = option(0.1, help="strength of the priors", low=0)
    biases: bool = option(False, help="with biases of users and items")

    name = "PMF"
    implementation = "pmf:PMF"

    @property
    def reads_ratings(self) -> bool:
        return True

    def optimizer(self):
        import keras

        return keras.optimizers.SGD(self.learning_rate, self.momentum)
