"""Configurations of the attacks that learn their fake profiles. It imports no TensorFlow."""

from dataclasses import dataclass
from typing import Any, ClassVar

from advrec_tf.errors import UserError
from advrec_tf.options import option
from advrec_tf.recommenders.config import RecommenderConfig
from advrec_tf.recommenders.wrmf_config import WRMFConfig

GOALS = ("hit", "smoothed_hit", "score")


@dataclass(frozen=True)
class _Fakes:
    fakes: int

    name: ClassVar[str]
    version: ClassVar[int]  # of the algorithm; increase it whenever the profiles change


@dataclass(frozen=True)
class _Promotion(_Fakes):
    targets: tuple[int, ...]

    outer_epochs: ClassVar[int]

    def steps(self, requested: int | None) -> int:
        """Return the number of outer epochs: the requested one, or else the default."""
        return requested or self.outer_epochs


@dataclass(frozen=True)
class RecSys20Config(_Promotion):
    """RecSys20 (sections III-A and IV-A.1, and the public code of Tang et al.).

    Raises UserError when more epochs are unrolled than the surrogate has.
    """

    surrogate: WRMFConfig = WRMFConfig()
    epochs: int = option(50, help="epochs of its surrogate", low=1)
    unrolled_epochs: int = option(
        10, help="the surrogate's last epochs that are differentiated through", low=1
    )
    learning_rate: float = 1.0
    momentum: float = 0.95
    threshold: float = 0.05  # an entry above it is a click
    click_limit: int = option(
        100, help="the fakes start from the first users with at most this many clicks", low=1
    )
    clicks: int | None = option(None, help="most clicks of a fake profile", low=1)
    click_targets: bool = option(
        False, help="every profile clicks all targets, also those of recsys19"
    )
    fresh_seeds: bool = option(
        True,
        help="each outer epoch's surrogate has its own seed; --nofresh_seeds as in the public code",
    )
    most_changes: int | None = None  # of a profile, from the real one that it started from
    defense: Any = None  # a `defenses.Defense` that the attacker knows and applies first
    k: int = 50  # length of the lists

    name = "recsys20"
    version = 2
    outer_epochs = 30

    def __post_init__(self):
        """Raise UserError for more unrolled epochs than epochs."""
        if self.unrolled_epochs > self.epochs:
            raise UserError(
                f"--unrolled_epochs ({self.unrolled_epochs}) are more than"
                f" --surrogate_epochs ({self.epochs})"
            )

    @property
    def recommender(self) -> RecommenderConfig:
        """Return the configuration of the recommender that the attack trains."""
        return self.surrogate


@dataclass(frozen=True)
class DisguisedRecSys20Config(RecSys20Config):
    """RecSys20 against a detector: a profile differs from a real user's in a few clicks only."""

    most_changes: int | None = option(
        2, help="most clicks in which a profile differs from the real one it started from", low=1
    )

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
    epochs: int = option(128, help="most epochs of the GAN, until its profiles look real", low=1)
    mask: int | None = option(
        None,
        help="random entries that a fake may have "
        "[as many as a random real user has, its strongest]",
        low=1,
    )

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

    recommender: RecommenderConfig = WRMFConfig()  # that the steps probe
    gan_epochs: int = option(GanConfig.epochs, help="most epochs of the GAN", low=1)
    mask: int | None = option(None, help="random entries that a fake may have", low=1)
    click_targets: bool = option(False, help="every profile rates all targets highest")
    directions: int = option(5, help="directions a zeroth-order step probes", low=1)
    smoothing: float = option(50.0, help="length of a probe", low=0)
    step_size: float = option(100.0, help="step size, times the length of a probe", low=0)
    largest_move: float | None = option(
        None,
        help="scale each step so that its largest entry moves by this [by the step size]",
        low=0,
    )
    base_epochs: int = 50  # of training the recommender before every step
    probe_epochs: int = 5  # of training it for f(F + a Z) and for the f(F) to compare with
    goal: str = option("hit", help="what its steps raise", choices=GOALS)
    k: int = 10  # length of the lists

    name = "recsys19"
    version = 2
    outer_epochs = 10
    start: ClassVar[str] = "gan"  # the attack whose profiles the steps start from
    blind: ClassVar[bool] = False  # whether random differences replace those of the probes

    def __post_init__(self):
        """Raise UserError for an unknown goal."""
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

    largest_move: float | None = 1.0
    goal: str = "score"

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

# Rules for fake profiles: name -> "module:class", which is imported when it is asked for.
HEURISTICS = {
    "random": "advrec_tf.poisoning.heuristics:RandomFillers",
    "average": "advrec_tf.poisoning.heuristics:AverageFillers",
    "bandwagon": "advrec_tf.poisoning.heuristics:BandwagonFillers",
    "popular": "advrec_tf.poisoning.heuristics:PopularFillers",
    "bootstrap": "advrec_tf.poisoning.heuristics:Bootstrap",
    "bootstrap_targets": "advrec_tf.poisoning.heuristics:BootstrapWithTargets",
}
POISONING_ATTACKS = (*LEARNED, *HEURISTICS)
