"""The configurations of the two adversarially trained WRMFs."""

from dataclasses import dataclass

from advrec_tf.errors import UserError
from advrec_tf.options import option
from advrec_tf.recommenders.wrmf_config import WRMFConfig


@dataclass(frozen=True)
class FitWRMFConfig(WRMFConfig):
    """WRMF with an adversary that is stronger for users whose clicks are well explained."""

    epsilon: float = option(
        0.05, help="mean epsilon of the adversary, relative to row norms", low=0
    )
    adversarial_weight: float = option(1.0, help="weight of the adversarial loss", low=0)

    name = "WRMF, adversary by fit"
    implementation = "adversarial_wrmf:FitWRMF"
    version = 1

    def __post_init__(self):
        """Raise UserError for another solver than sgd."""
        super().__post_init__()
        if self.solver != "sgd":
            raise UserError(f"{self.name} is trained by sgd alone, not by {self.solver}")


@dataclass(frozen=True)
class NormWRMFConfig(FitWRMFConfig):
    """WRMF with an adversary that is stronger for users whose factors have a larger norm."""

    name = "WRMF, adversary by norm"
    implementation = "adversarial_wrmf:NormWRMF"
