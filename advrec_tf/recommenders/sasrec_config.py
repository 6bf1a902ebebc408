"""The configuration of SASRec."""

from dataclasses import dataclass

from advrec_tf.options import option
from advrec_tf.recommenders.adversarial_config import AdversarialConfig
from advrec_tf.recommenders.config import LEARNING_RATE


@dataclass(frozen=True)
class SASRecConfig(AdversarialConfig):
    """SASRec in mini-batches of rows of `length` slots."""

    learning_rate: float = option(0.001, **LEARNING_RATE)
    batch_size: int = option(32, help="rows of slots in a mini-batch", low=1)
    length: int = option(100, help="slots of a sequence: the start and the last items", low=2)
    blocks: int = option(2, help="blocks of attention", low=1)
    dropout: float = option(0.2, help="share of the elements that are dropped", low=0, high=0.99)

    name = "SASRec"
    implementation = "sasrec:SASRec"
    reads_times = True
