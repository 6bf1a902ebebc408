"""What trained weights depend on, and where they live."""

import hashlib
import json
from dataclasses import asdict, dataclass
from pathlib import Path

from advrec_tf.data import Interactions


@dataclass(frozen=True)
class BPRMFSettings:
    """What BPR-MF's weights at an epoch depend on, beside the data and the seed (section 4.4 and the authors' code)."""

    embedding_dim: int = 64
    learning_rate: float = 0.05
    batch_size: int = 512
    eval_every: int = 1

    name = "BPR-MF"
    first_epoch = 0


@dataclass(frozen=True)
class AMFSettings:
    """AMF goes on from BPR-MF's weights and optimiser state of `first_epoch` (section 4.4)."""

    start: BPRMFSettings = BPRMFSettings()
    first_epoch: int = 1000
    adversary: str = "fgsm"
    epsilon: float = 0.5
    adversarial_weight: float = 1.0
    iterations: int = 5
    step_size: float | None = None
    ball: str = "linf"

    name = "AMF"


@dataclass(frozen=True)
class WRMFSettings:
    """What WRMF's weights depend on, beside the data and the seed (Tang et al.'s WRMF, for which see `models.WRMF`)."""

    embedding_dim: int = 128
    learning_rate: float = 0.01
    decay: float = 1e-5  # by sgd in Adam's gradient, by als the regularization
    weight: float = 20.0
    batch_size: int = 2048
    feedback: str = "binary"
    solver: str = "sgd"
    eval_every: int = 0  # never

    name = "WRMF"
    first_epoch = 0


@dataclass(frozen=True)
class PMFSettings:
    """What PMF's weights depend on, beside the data and the seed; the papers do not say, so these are what served ML-100K (`models.PMF`)."""

    embedding_dim: int = 10
    learning_rate: float = 0.002
    momentum: float = 0.8
    regularization: float = 0.1
    biases: bool = False
    batch_size: int = 1000
    eval_every: int = 0  # never

    name = "PMF"
    first_epoch = 0


Settings = BPRMFSettings | AMFSettings | WRMFSettings | PMFSettings


def model_folder(models_dir: Path, data: Interactions, settings: Settings, seed: int) -> Path:
    """models_dir/<data set>/<hash of data and settings>/seed=N, where the weights of one training live."""
    reads_ratings = isinstance(settings, PMFSettings) or getattr(settings, "feedback", "binary") != "binary"
    fingerprint = data.ratings_fingerprint if reads_ratings else data.fingerprint
    identity = json.dumps({"model": settings.name, "data": fingerprint, **asdict(settings)}, sort_keys=True)
    return Path(models_dir) / data.name / hashlib.sha256(identity.encode()).hexdigest()[:12] / f"seed={seed}"


def epoch_file(folder: Path, epoch: int) -> Path:
    """Where the weights and the optimiser state of a kept epoch are."""
    return Path(folder) / f"epoch-{epoch:04d}.npz"
