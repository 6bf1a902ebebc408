"""The configuration of WRMF."""

from dataclasses import dataclass

from advrec_tf.options import option
from advrec_tf.recommenders.config import EMBEDDING_DIM, LEARNING_RATE, POSITIVE, RecommenderConfig

SOLVERS = ("sgd", "als")
FEEDBACK = ("binary", "values", "weights")


@dataclass(frozen=True)
class WRMFConfig(RecommenderConfig):
    """WRMF with the values of Tang et al.'s public code (RecSys 2020)."""

    embedding_dim: int = option(128, **EMBEDDING_DIM)
    learning_rate: float = option(0.01, **LEARNING_RATE)
    batch_size: int = option(2048, help="users in a mini-batch", low=1)
    decay: float = option(1e-5, help="weight decay in the gradient of sgd", low=0)
    regularization: float = option(10.0, help="weight of the squared factors in als", low=0)
    weight: float = option(20.0, help="weight of what was clicked; all else has 1", low=POSITIVE)
    feedback: str = option("binary", help="what the ratings mean to the model", choices=FEEDBACK)
    solver: str = option("sgd", help="how the model is trained", choices=SOLVERS)

    name = "WRMF"
    implementation = "wrmf:WRMF"
    version = 2

    @property
    def reads_ratings(self) -> bool:
        return self.feedback != "binary"

    def optimizer(self):
        from advrec_tf.recommenders.adam import CoupledAdam

        return CoupledAdam(self.learning_rate, self.decay)
