"""The configuration of BPR-MF."""

from dataclasses import dataclass

from advrec_tf.options import option
from advrec_tf.recommenders.config import AUTO, LEARNING_RATE, RecommenderConfig


@dataclass(frozen=True)
class BPRMFConfig(RecommenderConfig):
    """BPR-MF with Adagrad (section 4.4 of the multi-step paper and its authors' code)."""

    learning_rate: float = option(0.05, **LEARNING_RATE | {"help": "learning rate of Adagrad"})
    batch_size: int = option(512, help="triples in a mini-batch", low=1)
    eval_every: int | str = option(  # type: ignore[misc]  # a class attribute of the base
        1,
        help="epochs between evaluations of HR@10 and nDCG@10; "
        "auto: evaluations take a tenth of the training time",
        low=1,
        choices=(AUTO,),
    )
    eval_users: int | None = option(  # type: ignore[misc]
        None, help="users, drawn once, on whom training is evaluated [all]", low=1
    )

    name = "BPR-MF"
    implementation = "bprmf:BPRMF"
    samples_negatives = True

    @property
    def identity(self) -> dict:
        """Return what the weights depend on, as plain values; unused fields are left out."""
        identity = super().identity
        if self.eval_users is None:  # weights of versions without this field keep their folder
            del identity["eval_users"]
        return identity

    def optimizer(self):
        from advrec_tf.recommenders.adagrad import RowAdagrad

        return RowAdagrad(self.learning_rate)
