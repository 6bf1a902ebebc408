"""The base of all configurations: fields with their help text and range, and how a model is built.

A configuration imports no TensorFlow, so that the command line can read its fields.
Only `model_class`, `optimizer` and `build` import it.
"""

import dataclasses
import math
from numbers import Integral, Real
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any, ClassVar, get_args

from advrec_tf.errors import UserError
from advrec_tf.options import option

if TYPE_CHECKING:
    import keras

    from advrec_tf.data import Interactions
    from advrec_tf.recommenders.factors import FactorModel

AUTO = "auto"  # evaluate as often as the sizes of the data allow
# Other values may select other best epochs, and so need a new version of BPR-MF and AMF.
SCORES_PER_CLICK = 150  # scores that are ranked in the time that training takes for a click
TRAINING_PER_EVALUATION = 10  # training takes at least this many times as long as evaluation
POSITIVE = 1e-9  # the `low` of a number that must be above 0
EMBEDDING_DIM: Any = {"help": "length of the embeddings", "low": 1, "high": 10_000}
LEARNING_RATE: Any = {"help": "learning rate", "low": 0}


@dataclasses.dataclass(frozen=True)
class RecommenderConfig:
    """All that trained weights depend on beside the data and the seed.

    The fields are part of the weights' identity; class attributes say the rest.
    Raises UserError for a value outside the range of its field.
    """

    embedding_dim: int = option(64, **EMBEDDING_DIM)
    learning_rate: float = option(0.05, **LEARNING_RATE)
    batch_size: int = option(512, help="examples in a mini-batch", low=1)

    name: ClassVar[str] = ""
    implementation: ClassVar[str] = ""  # "module:Class" in this package; imported when needed
    version: ClassVar[int] = 1  # one more whenever the algorithm's results change
    first_epoch: ClassVar[int] = 0
    eval_every: ClassVar[int | str] = 0  # epochs between evaluations of HR@10; 0: never
    eval_users: ClassVar[int | None] = None
    samples_negatives: ClassVar[bool] = False
    reads_times: ClassVar[bool] = False  # whether the weights depend on the timestamps

    def __post_init__(self):
        """Raise UserError for a value outside the range of its field."""
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if not _allowed(field, value):
                raise UserError(f"{self.name}: {field.name} must be {_range(field)}, not {value}")

    @property
    def reads_ratings(self) -> bool:
        """Whether the weights depend on the ratings, not on the clicks alone."""
        return False

    def fingerprint(self, data: "Interactions") -> str:
        """Return a hash of all that the weights depend on in the data."""
        if self.reads_times:
            return data.times_fingerprint
        return data.ratings_fingerprint if self.reads_ratings else data.fingerprint

    @property
    def start(self) -> "RecommenderConfig | None":
        """The configuration of the model from whose weights of `first_epoch` training starts."""
        return None

    @property
    def identity(self) -> dict:
        """All that the weights depend on beside the data and the seed, as plain values."""
        return {"model": self.name, "version": self.version, **dataclasses.asdict(self)}

    def epochs_between_evaluations(self, data: "Interactions") -> int:
        """Return `eval_every`, or what the sizes of the data give where it is "auto".

        It does not depend on the clock, so that the same flags evaluate the same epochs.
        """
        if self.eval_every != AUTO:
            return int(self.eval_every)
        scores = min(self.eval_users or data.n_users, data.n_users) * data.n_items
        training = SCORES_PER_CLICK * len(data.train_users)
        return math.ceil(TRAINING_PER_EVALUATION * scores / training)

    def model_class(self) -> "type[FactorModel]":
        """Import and return the model's class, that of `implementation`."""
        return resolve_name(f"advrec_tf.recommenders.{self.implementation}")

    def optimizer(self) -> "keras.Optimizer":
        """Return a new optimiser: Adam, unless the model has another."""
        import keras

        return keras.optimizers.Adam(self.learning_rate)

    def model(self, data: "Interactions", seed: int) -> "FactorModel":
        """Return the model for these data, untrained and not compiled."""
        model_class = self.model_class()
        options = {name: getattr(self, name) for name in model_class.options}
        model = model_class(data.n_users, data.n_items, self.embedding_dim, seed, **options)
        model.prepare(data)
        return model

    def build(self, data: "Interactions", seed: int) -> "FactorModel":
        """Return the compiled model for data of this size, untrained."""
        model = self.model(data, seed)
        model.compile(self.optimizer())
        return model


def with_cosine_decay(
    model: "FactorModel", data: "Interactions", config: Any, adam_epsilon: float = 1e-7
) -> "FactorModel":
    """Compile a model for Adam whose learning rate falls along a cosine to 0 over `config.epochs`.

    adam_epsilon: Adam's term that keeps it from dividing by 0, as a rule that of Keras
    """
    import keras

    steps = config.epochs * model.steps(data, config.batch_size)
    schedule = keras.optimizers.schedules.CosineDecay(config.learning_rate, steps)
    model.compile(keras.optimizers.Adam(schedule, epsilon=adam_epsilon))
    return model


def _allowed(field: dataclasses.Field, value: Any) -> bool:
    """Return whether the metadata of a field allow a value."""
    low, high = field.metadata.get("low"), field.metadata.get("high")
    choices = field.metadata.get("choices", ())
    if low is None:
        return not choices or value in choices
    if value in choices or (value is None and field.default is None):
        return True
    number = isinstance(value, Real if _is_real(field) else Integral)
    return number and math.isfinite(value) and low <= value and (high is None or value <= high)


def _is_real(field: dataclasses.Field) -> bool:
    """Return whether a field holds a number with a fraction."""
    return float in (field.type, *get_args(field.type))


def _range(field: dataclasses.Field) -> str:
    """Return in words which values the metadata of a field allow."""
    low, high, choices = (field.metadata[name] for name in ("low", "high", "choices"))
    if low is None:
        return f"one of {', '.join(choices)}"
    bounds = f"from {low} to {high}" if high else f"from {low} up"
    if low == POSITIVE:
        bounds = "above 0"
    number = "a number" if _is_real(field) else "a whole number"
    return " or ".join((*choices, f"{number} {bounds}"))
