"""The configuration of the ensemble of small recommenders."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from advrec_tf.errors import UserError
from advrec_tf.options import option
from advrec_tf.recommenders.config import EMBEDDING_DIM, POSITIVE, RecommenderConfig

if TYPE_CHECKING:
    from advrec_tf.data import Interactions

MAX_VOTES = 50_000_000  # elements of the largest array that an ensemble holds


def check_size(n_users: int, n_items: int) -> None:
    """Raise UserError where users x items or items x items are more than MAX_VOTES."""
    if max(n_users, n_items) * n_items > MAX_VOTES:
        raise UserError(
            f"an ensemble holds at most {MAX_VOTES} votes, not {n_users} users x {n_items} items, "
            "or items x items"
        )


@dataclass(frozen=True)
class EnsembleConfig(RecommenderConfig):
    """An ensemble of recommenders that learn from a few users each; an epoch trains BASES."""

    embedding_dim: int = option(16, **EMBEDDING_DIM)  # of a base recommender
    users: int = option(50, help="users that a base recommender learns from", low=1)
    votes: int = option(10, help="votes of a base recommender for each user", low=1)
    weight: float = option(20.0, help="weight of what was clicked; all else has 1", low=POSITIVE)
    regularization: float = option(10.0, help="weight of the squared factors", low=0)
    sweeps: int = option(5, help="sweeps of ALS over users and items", low=1)

    name = "Ensemble"
    implementation = "ensemble:Ensemble"
    BASES: ClassVar[int] = 10

    def optimizer(self):
        import keras

        return keras.optimizers.SGD()  # Keras asks for one; votes have no gradient

    def build(self, data: "Interactions", seed: int):
        """Return the model. Raises UserError if its votes would not fit in memory."""
        check_size(data.n_users, data.n_items)
        return super().build(data, seed)
