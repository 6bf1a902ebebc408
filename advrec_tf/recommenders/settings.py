"""What trained weights depend on, the models they build, and where the weights live.

A model joins with a dataclass here: its fields are what the weights depend on, its class attributes say the rest.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.options import option

if TYPE_CHECKING:  # settings need no TensorFlow, and no pandas
    import keras

    from advrec_tf.data import Interactions


EMBEDDING_DIM: Any = {"help": "length of the embeddings", "low": 1, "high": 10_000}
AUTO = "auto"
# By which "auto" is known; another value of one, and so other epochs that may be best, needs a new version of BPR-MF and AMF.
CLICK = 150  # scores that are ranked in the time that training takes for a click, at least
SHARE = 10  # evaluations take at most one part in so many of the time of training


@dataclass(frozen=True)
class Settings:
    """What every kind of settings has.  Raises UserError for a value that makes no sense."""

    embedding_dim: int = option(64, **EMBEDDING_DIM)
    learning_rate: float = option(0.05, help="learning rate of Adagrad", low=0)
    batch_size: int = option(512, help="triples in a mini-batch", low=1)

    name: ClassVar[str]
    version: ClassVar[int] = 1  # of the algorithm: one more whenever its bytes change
    first_epoch: ClassVar[int] = 0
    eval_every: ClassVar[int | str] = 0  # epochs between evaluations of HR@10; never
    eval_users: ClassVar[int | None] = None
    samples_negatives: ClassVar[bool] = False

    def __post_init__(self):
        for field in fields(self):
            value = getattr(self, field.name)
            if isinstance(value, float) and not (math.isfinite(value) and value >= 0):
                raise UserError(
                    f"{self.name}: {field.name} must be a number from 0 up, not {value}"
                )
            if field.name in (
                "embedding_dim",
                "batch_size",
                "iterations",
                "eval_every",
                "eval_users",
            ) and value not in (AUTO, None):
                if not isinstance(value, int) or value < 1:
                    raise UserError(f"{self.name}: {field.name} must be at least 1, not {value}")

    @property
    def reads_ratings(self) -> bool:
        """Whether weights depend on the ratings, or on the clicks alone."""
        return False

    @property
    def start(self) -> Settings | None:
        """The settings of the model whose weights of `first_epoch` it goes on from."""
        return None

    @property
    def identity(self) -> dict:
        """All that the weights depend on, beside data and seed, as plain values."""
        return {"model": self.name, "version": self.version, **asdict(self)}

    def epochs_between_evaluations(self, data: Interactions) -> int:
        """`eval_every`; where that is "auto" what the sizes of the data give, not the clock, so that the same flags evaluate the same epochs."""
        if self.eval_every != AUTO:
            return int(self.eval_every)
        scores = min(self.eval_users or data.n_users, data.n_users) * data.n_items
        return math.ceil(SHARE * scores / (CLICK * len(data.train_users)))

    def build(self, data: Interactions, seed: int) -> keras.Model:
        """The compiled model of these settings for data of this size, untrained."""
        raise NotImplementedError


@dataclass(frozen=True)
class BPRMFSettings(Settings):
    """BPR-MF (section 4.4 and the authors' code)."""

    eval_every: int | str = option(  # type: ignore[misc]
        1,
        help="epochs between evaluations of HR@10 and nDCG@10; "
        "auto: so many that they take a tenth of the time",
        low=1,
        choices=(AUTO,),
    )
    eval_users: int | None = option(  # type: ignore[misc]
        None, help="users, drawn once, on whom training is evaluated [all]", low=1
    )

    name = "BPR-MF"
    samples_negatives = True

    @property
    def identity(self) -> dict:
        return {
            name: value
            for name, value in super().identity.items()
            if name != "eval_users" or value is not None
        }

    def build(self, data: Interactions, seed: int) -> keras.Model:
        """BPRMF with Adagrad on the rows of a mini-batch."""
        from advrec_tf.recommenders.adagrad import RowAdagrad
        from advrec_tf.recommenders.bprmf import BPRMF

        model = BPRMF(data.n_users, data.n_items, self.embedding_dim, seed)
        model.compile(RowAdagrad(self.learning_rate))
        return model


@dataclass(frozen=True)
class AMFSettings(BPRMFSettings):
    """AMF: goes on from the weights and the optimiser state that BPR-MF of the same settings has at `first_epoch` (section 4.4)."""

    first_epoch: int = option(  # type: ignore[misc]
        1000, help="epoch of BPR-MF from which AMF is trained", low=1
    )
    adversary: str = "fgsm"
    epsilon: float = 0.5
    adversarial_weight: float = 1.0
    iterations: int = 5
    step_size: float | None = None
    ball: str = "linf"

    name = "AMF"

    @property
    def start(self) -> BPRMFSettings:
        return BPRMFSettings(
            **{field.name: getattr(self, field.name) for field in fields(BPRMFSettings)}
        )

    @property
    def identity(self) -> dict:
        return {**super().identity, "start": self.start.identity}

    def build(self, data: Interactions, seed: int) -> keras.Model:
        """AMF with BPR-MF's optimiser."""
        from advrec_tf.recommenders.adagrad import RowAdagrad
        from advrec_tf.recommenders.amf import AMF

        own = {
            name: getattr(self, name)
            for name in (
                "adversary",
                "epsilon",
                "adversarial_weight",
                "iterations",
                "step_size",
                "ball",
            )
        }
        model = AMF(data.n_users, data.n_items, self.embedding_dim, seed, **own)
        model.compile(RowAdagrad(self.learning_rate))
        return model


@dataclass(frozen=True)
class WRMFSettings(Settings):
    """WRMF (Tang et al.'s, for which see `models.WRMF`)."""

    embedding_dim: int = option(128, **EMBEDDING_DIM)
    learning_rate: float = 0.01
    batch_size: int = 2048
    decay: float = 1e-5  # by sgd in Adam's gradient
    regularization: float = option(10.0, help="weight of the squared factors in als", low=0)
    weight: float = option(20.0, help="weight of what was clicked; all else has 1", low=1e-9)
    feedback: str = "binary"
    solver: str = option("sgd", help="how the model is trained", choices=("sgd", "als"))

    name = "WRMF"
    version = 2

    @property
    def reads_ratings(self) -> bool:
        return self.feedback != "binary"

    def build(self, data: Interactions, seed: int) -> keras.Model:
        """WRMF with Adam and coupled weight decay."""
        from advrec_tf.recommenders.adam import CoupledAdam
        from advrec_tf.recommenders.wrmf import WRMF

        own = {
            name: getattr(self, name) for name in ("weight", "feedback", "solver", "regularization")
        }
        model = WRMF(data.n_users, data.n_items, self.embedding_dim, seed, **own)
        model.compile(CoupledAdam(self.learning_rate, self.decay))
        return model


@dataclass(frozen=True)
class PMFSettings(Settings):
    """PMF; the papers do not say, so these are what served ML-100K (`models.PMF`)."""

    embedding_dim: int = option(10, **EMBEDDING_DIM)
    learning_rate: float = option(0.002, help="learning rate", low=0)
    batch_size: int = 1000
    momentum: float = 0.8
    regularization: float = option(0.1, help="strength of the priors", low=0)
    biases: bool = option(False, help="with biases of users and items")

    name = "PMF"

    @property
    def reads_ratings(self) -> bool:
        return True

    def build(self, data: Interactions, seed: int) -> keras.Model:
        """PMF with SGD and momentum."""
        import keras

        from advrec_tf.recommenders.pmf import PMF

        model = PMF(
            data.n_users,
            data.n_items,
            self.embedding_dim,
            seed,
            regularization=self.regularization,
            biases=self.biases,
        )
        model.compile(keras.optimizers.SGD(self.learning_rate, self.momentum))
        return model


@dataclass(frozen=True)
class FitWRMFSettings(WRMFSettings):
    """WRMF with an adversary that is stronger for users who are well fitted (`models.AdversarialWRMF`)."""

    epsilon: float = 0.05
    adversarial_weight: float = 1.0

    name = "WRMF, adversary by fit"
    version = 1
    sizes: ClassVar[str] = "fit"

    def __post_init__(self):
        super().__post_init__()
        if self.solver != "sgd":
            raise UserError(f"{self.name} is trained by sgd alone, not by {self.solver}")

    def build(self, data: Interactions, seed: int) -> keras.Model:
        """AdversarialWRMF with WRMF's optimiser."""
        from advrec_tf.recommenders.adam import CoupledAdam
        from advrec_tf.recommenders.adversarial_wrmf import AdversarialWRMF

        own = {
            name: getattr(self, name)
            for name in ("weight", "feedback", "sizes", "epsilon", "adversarial_weight")
        }
        model = AdversarialWRMF(data.n_users, data.n_items, self.embedding_dim, seed, **own)
        model.compile(CoupledAdam(self.learning_rate, self.decay))
        return model


@dataclass(frozen=True)
class NormWRMFSettings(FitWRMFSettings):
    """The same, stronger for users whose factors are long."""

    name = "WRMF, adversary by norm"
    sizes = "norm"


@dataclass(frozen=True)
class MarginMFSettings(Settings):
    """MarginMF, whose learning rate falls to 0 over its epochs (`models.MarginMF`)."""

    embedding_dim: int = 32
    learning_rate: float = 0.005
    rho: float = 0.05
    exponent: float = 0.1
    regularization: float = 30.0  # of the ALS it starts from
    weight: float = 2.0
    epochs: int = 30

    name = "MarginMF"

    def build(self, data: Interactions, seed: int) -> keras.Model:
        """MarginMF with Adam."""
        import keras

        from advrec_tf.recommenders.margin_mf import MarginMF

        own = {
            name: getattr(self, name) for name in ("rho", "exponent", "regularization", "weight")
        }
        model = MarginMF(data.n_users, data.n_items, self.embedding_dim, seed, **own)
        steps = self.epochs * model.steps(data, self.batch_size)
        model.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(self.learning_rate, steps))
        )
        return model


MOST_VOTES = 50_000_000  # that an ensemble holds


def check_size(n_users: int, n_items: int) -> None:
    """Raises UserError for more than MOST_VOTES users x items or items x items, which an ensemble holds."""
    if max(n_users, n_items) * n_items > MOST_VOTES:
        raise UserError(
            f"an ensemble holds at most {MOST_VOTES} votes, not {n_users} users x {n_items} items, or items x items"
        )


@dataclass(frozen=True)
class EnsembleSettings(Settings):
    """An ensemble of recommenders of a few users each (`models.Ensemble`); an epoch is ten of them."""

    embedding_dim: int = 16  # of a base
    users: int = 50  # that a base learns from
    votes: int = 10  # of a base for every user
    weight: float = 20.0
    regularization: float = 10.0
    sweeps: int = 5

    name = "Ensemble"
    BASES: ClassVar[int] = 10  # in an epoch

    def build(self, data: Interactions, seed: int) -> keras.Model:
        """Ensemble, without any votes yet."""
        from advrec_tf.recommenders.ensemble import Ensemble

        check_size(data.n_users, data.n_items)
        own = {
            name: getattr(self, name)
            for name in ("users", "votes", "weight", "regularization", "sweeps")
        }
        model = Ensemble(
            data.n_users, data.n_items, seed, dim=self.embedding_dim, bases=self.BASES, **own
        )
        model.compile()
        return model


# What can be poisoned, by the name that flags give it.
RECOMMENDERS: dict[str, type[Settings]] = {
    "wrmf": WRMFSettings,
    "pmf": PMFSettings,
    "wrmf_fit": FitWRMFSettings,
    "wrmf_norm": NormWRMFSettings,
    "ensemble": EnsembleSettings,
}


def model_folder(models_dir: Path | str, data: Interactions, settings: Settings, seed: int) -> Path:
    """models_dir/<data set>/<hash of data and settings>/seed=N, where the weights of one training live."""
    fingerprint = data.ratings_fingerprint if settings.reads_ratings else data.fingerprint
    return (
        Path(models_dir)
        / data.name
        / storage.hashed({"data": fingerprint, **settings.identity}, 12)
        / f"seed={seed}"
    )


def epoch_file(folder: Path | str, epoch: int) -> Path:
    """Where the weights and the optimiser state of a kept epoch are."""
    return Path(folder) / f"epoch-{epoch:04d}.npz"
