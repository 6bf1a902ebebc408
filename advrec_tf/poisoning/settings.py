"""Configurations of the attacks that learn their fake profiles.  This module needs no TensorFlow.

The metadata of a field holds what its flag needs: the help text and, where they exist, the lowest
value (`low`) and the choices.
"""

from dataclasses import MISSING, dataclass, field
from typing import Any, ClassVar

from advrec_tf.errors import UserError
from advrec_tf.recommenders.settings import Settings, WRMFSettings

GOALS = ("hit", "smoothed_hit", "score")


def _flag(help: str, default: Any = MISSING, **bounds: Any) -> Any:
    return field(default=default, metadata={"help": help, **bounds})


def _click_targets() -> Any:
    return _flag("every profile clicks all targets", False)


def _most_changes(default: int | None) -> Any:
    return _flag(
        "most clicks in which a profile differs from the real one it started from", default, low=1
    )


def _gan_epochs() -> Any:
    return _flag("most epochs of the GAN, until its profiles look real", 128, low=1)


def _mask() -> Any:
    return _flag(
        "random entries that a fake may have [as many as a random real user has, its strongest]",
        None,
        low=1,
    )


def _largest_move(default: float | None) -> Any:
    return _flag(
        "scale each step so that its largest entry moves by this [by the step size]", default, low=0
    )


def _goal(default: str) -> Any:
    return _flag("what its steps raise", default, choices=GOALS)


@dataclass(frozen=True)
class _Fakes:
    fakes: int = _flag("fake profiles of an attack", low=1)

    name: ClassVar[str]
    version: ClassVar[int]  # of the algorithm; increase it whenever the profiles change


@dataclass(frozen=True)
class _Promotion(_Fakes):
    targets: tuple[int, ...] = _flag("item numbers that an attack promotes", low=0)

    outer_epochs: ClassVar[int]

    def steps(self, requested: int | None) -> int:
        """Return the number of outer epochs: the requested one, or else the default."""
        return requested or self.outer_epochs


@dataclass(frozen=True)
class RecSys20Config(_Promotion):
    """RecSys20 (sections III-A and IV-A.1, and the public code of Tang et al.).

    Raises UserError when more epochs are unrolled than the surrogate has.
    """

    surrogate: WRMFSettings = WRMFSettings()
    epochs: int = _flag("epochs of its surrogate", 50, low=1)
    unrolled_epochs: int = _flag(
        "the surrogate's last epochs that are differentiated through", 10, low=1
    )
    learning_rate: float = 1.0
    momentum: float = 0.95
    threshold: float = 0.05  # an entry above it is a click
    click_limit: int = _flag(
        "the fakes start from the first users with at most this many clicks", 100, low=1
    )
    clicks: int | None = _flag("most clicks of a fake profile [no limit]", None, low=1)
    click_targets: bool = _click_targets()
    fresh_seeds: bool = _flag(
        "each outer epoch's surrogate has its own seed; the public code gives all the same", True
    )
    most_changes: int | None = _most_changes(None)
    defense: Any = None  # a `defenses.Defense` that the attacker knows and applies first
    k: int = _flag("length of the lists", 50, low=1)

    name = "recsys20"
    version = 2
    outer_epochs = 30

    def __post_init__(self):
        if self.unrolled_epochs > self.epochs:
            raise UserError(
                f"--unrolled_epochs ({self.unrolled_epochs}) are more than"
                f" --surrogate_epochs ({self.epochs})"
            )

    @property
    def recommender(self) -> Settings:
        """Return the configuration of the recommender that the attack trains."""
        return self.surrogate


@dataclass(frozen=True)
class DisguisedRecSys20Config(RecSys20Config):
    """RecSys20 against a detector: a profile differs from a real user's in a few clicks only."""

    most_changes: int | None = _most_changes(2)

    name = "recsys20_disguised"


@dataclass(frozen=True)
class AwareRecSys20Config(RecSys20Config):
    """RecSys20 against a reconstruction that the attacker knows."""

    name = "recsys20_aware"


@dataclass(frozen=True)
class GanConfig(_Fakes):
    """The DCGAN that makes RecSys19's first profiles, and these profiles (section III-A).

    The defaults are those of a public re-implementation, except for the number of epochs.
    """

    batch_size: int = 64
    learning_rate: float = 2e-4
    beta_1: float = 0.5
    epochs: int = _gan_epochs()
    mask: int | None = _mask()

    name = "gan"
    version = 2
    recommender: ClassVar[None] = None

    def steps(self, requested: int | None) -> int:
        """Return the number of epochs, which does not depend on the requested outer epochs."""
        return self.epochs


@dataclass(frozen=True)
class RecSys19Config(_Promotion):
    """RecSys19 (section III-A).  The defaults are those of a public re-implementation.

    Raises UserError for an unknown goal.
    """

    recommender: Settings = WRMFSettings()  # that the steps probe
    gan_epochs: int = _gan_epochs()
    mask: int | None = _mask()
    click_targets: bool = _click_targets()
    directions: int = _flag("directions a zeroth-order step probes", 5, low=1)
    smoothing: float = _flag("length of a probe", 50.0, low=0)
    step_size: float = _flag("step size, times the length of a probe", 100.0, low=0)
    largest_move: float | None = _largest_move(None)
    base_epochs: int = 50  # of training the recommender before every step
    probe_epochs: int = 5  # of training it for f(F + a Z) and for the f(F) to compare with
    goal: str = _goal("hit")
    k: int = _flag("length of the lists", 10, low=1)

    name = "recsys19"
    version = 2
    outer_epochs = 10
    start: ClassVar[str] = "gan"  # the attack whose profiles the steps start from
    blind: ClassVar[bool] = False  # whether random differences replace those of the probes

    def __post_init__(self):
        if self.goal not in GOALS:
            raise UserError(f"the goal must be one of {', '.join(GOALS)}, not {self.goal!r}")

    @property
    def gan(self) -> GanConfig:
        """Return the configuration of the GAN that makes the first profiles."""
        return GanConfig(self.fakes, epochs=self.gan_epochs, mask=self.mask)


@dataclass(frozen=True)
class RefinedBootstrapConfig(RecSys19Config):
    """RecSys19's steps on profiles of real users, which stand for those of an ideal GAN."""

    name = "bootstrap_refined"
    start = "bootstrap"


@dataclass(frozen=True)
class ScoredBootstrapConfig(RefinedBootstrapConfig):
    """More and larger steps towards the predicted score: the most that such steps reach."""

    largest_move: float | None = _largest_move(1.0)
    goal: str = _goal("score")

    name = "bootstrap_scored"
    outer_epochs = 20


@dataclass(frozen=True)
class BlindBootstrapConfig(RefinedBootstrapConfig):
    """The same steps with random differences: they change as much, but not towards the goal."""

    name = "bootstrap_blind"
    blind = True


LearnedConfig = RecSys20Config | RecSys19Config | GanConfig

# The configurations that the function `attack` of each module takes.
_KINDS: dict[str, tuple[type[LearnedConfig], ...]] = {
    "bilevel": (RecSys20Config, DisguisedRecSys20Config, AwareRecSys20Config),
    "zeroth_order": (
        RecSys19Config,
        RefinedBootstrapConfig,
        ScoredBootstrapConfig,
        BlindBootstrapConfig,
    ),
    "gan": (GanConfig,),
}
LEARNED = {kind.name: kind for kinds in _KINDS.values() for kind in kinds}
MODULES = {kind.name: module for module, kinds in _KINDS.items() for kind in kinds}
