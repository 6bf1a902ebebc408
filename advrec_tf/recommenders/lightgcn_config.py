"""The configuration of LightGCN."""

from dataclasses import dataclass

from advrec_tf.options import option
from advrec_tf.recommenders.adversarial_config import AdversarialConfig
from advrec_tf.recommenders.config import LEARNING_RATE


@dataclass(frozen=True)
class LightGCNConfig(AdversarialConfig):
    """LightGCN in larger mini-batches and steps than the paper's 2048 and 0.001.

    The propagation is most of the work of a mini-batch, whatever its size.
    """

    learning_rate: float = option(0.02, **LEARNING_RATE)
    batch_size: int = option(32768, help="triples in a mini-batch", low=1)
    propagation_layers: int = option(3, help="propagations; 0: matrix factorisation", low=0)
    regularization: float = option(1e-4, help="weight of the squared rows of a triple", low=0)

    name = "LightGCN"
    implementation = "lightgcn:LightGCN"
    samples_negatives = True
