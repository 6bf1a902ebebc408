"""The configuration of AMF."""

from dataclasses import dataclass, fields

from advrec_tf.options import option
from advrec_tf.perturbations import BALLS, EMBEDDING_ATTACKS
from advrec_tf.recommenders.bprmf_config import BPRMFConfig

ADVERSARIES = tuple(name for name, attack in EMBEDDING_ATTACKS.items() if not attack.draw)


@dataclass(frozen=True)
class AMFConfig(BPRMFConfig):
    """AMF, which starts from the weights and the optimiser state of BPR-MF (section 4.4).

    BPR-MF has the same configuration and is at `first_epoch`.
    """

    first_epoch: int = option(  # type: ignore[misc]  # a class attribute of the base
        1000, help="epoch of BPR-MF from which AMF is trained", low=1
    )
    adversary: str = option("fgsm", help="AMF's inner adversary", choices=ADVERSARIES)
    epsilon: float = option(0.5, help="epsilon of AMF's adversary", low=0)
    adversarial_weight: float = option(1.0, help="weight lambda of AMF's adversarial loss", low=0)
    iterations: int = option(5, help="iterations of AMF's adversary, if it has any", low=1)
    step_size: float | None = option(
        None, help="step of AMF's adversary, if it has iterations [a quarter of epsilon]", low=0
    )
    ball: str = option("linf", help="ball of AMF's adversary, if it has iterations", choices=BALLS)

    name = "AMF"
    implementation = "amf:AMF"

    @property
    def start(self) -> BPRMFConfig:
        """The configuration of the BPR-MF that AMF starts from."""
        return BPRMFConfig(
            **{field.name: getattr(self, field.name) for field in fields(BPRMFConfig)}
        )

    @property
    def identity(self) -> dict:
        """All fields, and the identity of the BPR-MF that AMF starts from."""
        return {**super().identity, "start": self.start.identity}
