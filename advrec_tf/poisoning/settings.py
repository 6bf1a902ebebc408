"""What fake profiles depend on, beside the data and the seed.  No TensorFlow."""

from dataclasses import dataclass
from typing import ClassVar

from advrec_tf.errors import UserError
from advrec_tf.training.settings import Settings, WRMFSettings

GOALS = ("hit_ratio", "score")


@dataclass(frozen=True)
class RecSys20Settings:
    """Of RecSys20 (sections III-A and IV-A.1, Tang et al.'s public code).  Raises UserError for values that make no sense."""

    fakes: int
    targets: tuple[int, ...]
    surrogate: WRMFSettings = WRMFSettings()
    epochs: int = 50
    unrolled_epochs: int = 10
    learning_rate: float = 1.0
    momentum: float = 0.95
    threshold: float = 0.05
    click_limit: int = 100  # of the real users whose profiles the fakes start from
    clicks: int | None = None  # most clicks of a profile
    click_targets: bool = False  # whether every profile clicks all targets
    fresh_seeds: bool = True  # whether each outer epoch's surrogate has a seed of its own; in the public code all have the same
    k: int = 50

    name: ClassVar[str] = "recsys20"
    version: ClassVar[int] = 2  # of the algorithm: one more whenever its bytes change
    outer_epochs: ClassVar[int] = 30

    def __post_init__(self):
        if self.unrolled_epochs > self.epochs:
            raise UserError(f"--unrolled_epochs ({self.unrolled_epochs}) are more than --surrogate_epochs ({self.epochs})")

    @property
    def recommender(self) -> Settings:
        """The recommender that it trains."""
        return self.surrogate


@dataclass(frozen=True)
class RecSys19Settings:
    """Of RecSys19 (section III-A; the figures are those of a public re-implementation).  Raises UserError for values that make no sense."""

    fakes: int
    targets: tuple[int, ...]
    recommender: Settings = WRMFSettings()
    gan_epochs: int = 64
    batch_size: int = 64
    learning_rate: float = 2e-4
    beta_1: float = 0.5
    directions: int = 5
    smoothing: float = 50.0  # a, the length of a probe
    step_size: float = 100.0  # eta
    warm_epochs: int = 50  # of the recommender before the first step
    base_epochs: int = 10  # for f(F)
    probe_epochs: int = 5  # for f(F + a Z)
    goal: str = "hit_ratio"
    k: int = 10

    name: ClassVar[str] = "recsys19"
    version: ClassVar[int] = 1
    outer_epochs: ClassVar[int] = 10

    def __post_init__(self):
        if self.goal not in GOALS:
            raise UserError(f"the goal must be one of {', '.join(GOALS)}, not {self.goal!r}")


# Attacks that learn their profiles, each the function `attack` of the module of its name in MODULES.
LEARNED = {kind.name: kind for kind in (RecSys20Settings, RecSys19Settings)}
MODULES = {"recsys20": "bilevel", "recsys19": "gan"}
