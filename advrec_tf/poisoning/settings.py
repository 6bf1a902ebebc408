"""What fake profiles depend on, beside the data and the seed.  No TensorFlow."""

from dataclasses import dataclass
from typing import Any, ClassVar

from advrec_tf.errors import UserError
from advrec_tf.recommenders import RecommenderConfig, WRMFConfig

GOALS = ("hit", "smoothed_hit", "score")


@dataclass(frozen=True)
class RecSys20Settings:
    """Of RecSys20 (sections III-A and IV-A.1, Tang et al.'s public code).  Raises UserError for values that make no sense."""

    fakes: int
    targets: tuple[int, ...]
    surrogate: WRMFConfig = WRMFConfig()
    epochs: int = 50
    unrolled_epochs: int = 10
    learning_rate: float = 1.0
    momentum: float = 0.95
    threshold: float = 0.05
    click_limit: int = 100  # of the real users whose profiles the fakes start from
    clicks: int | None = None  # most clicks of a profile
    click_targets: bool = False  # whether every profile clicks all targets
    fresh_seeds: bool = True  # whether each outer epoch's surrogate has a seed of its own; in the public code all have the same
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

    most_changes: int | None = 2

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
    epochs: int = 128  # at most
    mask: int | None = (
        None  # random entries that a profile may have; else it has as many as a random real user
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
    gan_epochs: int = GanSettings.epochs
    mask: int | None = None
    click_targets: bool = False  # whether every profile rates all targets highest
    directions: int = 5
    smoothing: float = 50.0  # a, the length of a probe
    step_size: float = 100.0  # eta
    largest_move: float | None = None  # what the largest change of an entry in a step is scaled to
    base_epochs: int = 50  # of a fresh recommender before every step
    probe_epochs: int = 5  # for f(F + a Z), and for the f(F) that it is compared with
    goal: str = "hit"
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
