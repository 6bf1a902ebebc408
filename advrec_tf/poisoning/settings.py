"""What fake profiles depend on, beside the data and the seed.  No TensorFlow."""

from dataclasses import dataclass
from typing import Any, ClassVar

from advrec_tf.errors import UserError
from advrec_tf.options import option
from advrec_tf.recommenders.config import RecommenderConfig
from advrec_tf.recommenders.wrmf_config import WRMFConfig

GOALS = ("hit", "smoothed_hit", "score")


@dataclass(frozen=True)
class RecSys20Settings:
    """Of RecSys20 (sections III-A and IV-A.1, Tang et al.'s public code).  Raises UserError for values that make no sense."""

    fakes: int
    targets: tuple[int, ...]
    surrogate: WRMFConfig = WRMFConfig()
    epochs: int = option(50, help="epochs of its surrogate", low=1)
    unrolled_epochs: int = option(
        10, help="the surrogate's last epochs that are differentiated through", low=1
    )
    learning_rate: float = 1.0
    momentum: float = 0.95
    threshold: float = 0.05
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
    defense: Any = None  # a `defenses.Defense` that the attacker knows of: what it makes of the data is what the surrogate sees
    k: int = 50

    name: ClassVar[str] = "recsys20"
    version: ClassVar[int] = 2  # of the algorithm: one more whenever its bytes change
    outer_epochs: ClassVar[int] = 30

    def __post_init__(self):
        if self.unrolled_epochs > self.epochs:
            raise UserError(
                f"--unrolled_epochs ({self.unrolled_epochs}) are more than --surrogate_epochs ({self.epochs})"
            )

    @property
    def recommender(self) -> RecommenderConfig:
        """The recommender that it trains."""
        return self.surrogate

    def steps(self, asked: int | None) -> int:
        """Its outer epochs: those asked for, or its own."""
        return asked or self.outer_epochs


@dataclass(frozen=True)
class DisguisedRecSys20Settings(RecSys20Settings):
    """RecSys20 against a detector: every profile is a real user's but for a few clicks."""

    most_changes: int | None = option(
        2, help="most clicks in which a profile differs from the real one it started from", low=1
    )

    name = "recsys20_disguised"


@dataclass(frozen=True)
class AwareRecSys20Settings(RecSys20Settings):
    """RecSys20 against a reconstruction that it knows of."""

    name = "recsys20_aware"


@dataclass(frozen=True)
class GanSettings:
    """Of the DCGAN that makes RecSys19's first profiles, and of these profiles (section III-A; the figures are those of a public
    re-implementation, but for the number of epochs)."""

    fakes: int
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

    name: ClassVar[str] = "gan"
    version: ClassVar[int] = 2
    recommender: ClassVar[None] = None

    def steps(self, asked: int | None) -> int:
        """Its epochs, whatever is asked of other attacks."""
        return self.epochs


@dataclass(frozen=True)
class RecSys19Settings:
    """Of RecSys19 (section III-A; the figures are those of a public re-implementation).  Raises UserError for values that make no sense."""

    fakes: int
    targets: tuple[int, ...]
    recommender: RecommenderConfig = WRMFConfig()
    gan_epochs: int = option(GanSettings.epochs, help="most epochs of the GAN", low=1)
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
    base_epochs: int = 50  # of a fresh recommender before every step
    probe_epochs: int = 5  # for f(F + a Z), and for the f(F) that it is compared with
    goal: str = option("hit", help="what its steps raise", choices=GOALS)
    k: int = 10

    name: ClassVar[str] = "recsys19"
    version: ClassVar[int] = 2
    outer_epochs: ClassVar[int] = 10
    start: ClassVar[str] = "gan"  # which profiles the steps start from
    blind: ClassVar[bool] = False  # whether the differences of a step are random ones

    def __post_init__(self):
        if self.goal not in GOALS:
            raise UserError(f"the goal must be one of {', '.join(GOALS)}, not {self.goal!r}")

    @property
    def gan(self) -> GanSettings:
        """Of the GAN that makes the first profiles."""
        return GanSettings(self.fakes, epochs=self.gan_epochs, mask=self.mask)

    def steps(self, asked: int | None) -> int:
        """Its outer epochs: those asked for, or its own."""
        return asked or self.outer_epochs


@dataclass(frozen=True)
class RefinedBootstrapSettings(RecSys19Settings):
    """RecSys19's steps on real users' profiles: what they would do to those of an ideal GAN."""

    name = "bootstrap_refined"
    start = "bootstrap"


@dataclass(frozen=True)
class ScoredBootstrapSettings(RefinedBootstrapSettings):
    """More and larger steps, towards the predicted score: the most that such steps reach."""

    largest_move: float | None = 1.0
    goal: str = "score"

    name = "bootstrap_scored"
    outer_epochs = 20


@dataclass(frozen=True)
class BlindBootstrapSettings(RefinedBootstrapSettings):
    """The same steps with random differences: what is changed, but not towards the goal."""

    name = "bootstrap_blind"
    blind = True


LearnedSettings = RecSys20Settings | RecSys19Settings | GanSettings

# Attacks that learn their profiles, each the function `attack` of the module of its name in MODULES.
_OF_RECSYS20 = (RecSys20Settings, DisguisedRecSys20Settings, AwareRecSys20Settings)
_OF_STEPS = (
    RecSys19Settings,
    RefinedBootstrapSettings,
    ScoredBootstrapSettings,
    BlindBootstrapSettings,
)
LEARNED = {kind.name: kind for kind in (*_OF_RECSYS20, *_OF_STEPS, GanSettings)}
MODULES = {
    **{kind.name: "bilevel" for kind in _OF_RECSYS20},
    **{kind.name: "zeroth_order" for kind in _OF_STEPS},
    GanSettings.name: "gan",
}

SAMPLED = ("bootstrap", "bootstrap_targets")  # profiles of real users
HEURISTICS = ("random", "average", "bandwagon", "popular", *SAMPLED)
POISONING_ATTACKS = (*LEARNED, *HEURISTICS)
