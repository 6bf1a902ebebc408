"""Which fields of which configurations are flags, and which experiments read them."""

from dataclasses import fields
from typing import Any, NamedTuple, get_type_hints

from advrec_tf.cli.experiments import (
    BOARD,
    EXPERIMENTS,
    FIXED_ATTACKS,
    FIXED_VICTIMS,
    MEASURED,
    PERTURBED,
    POISONED,
    TODAY,
    TRAINING,
    WITH_DATA,
    WITH_VICTIMS,
)
from advrec_tf.cli.factor_options import (
    AuditOptions,
    BoardOptions,
    CompareOptions,
    OtherOptions,
    RowOptions,
)
from advrec_tf.cli.options import (
    DataOptions,
    DefenseOptions,
    EpochOptions,
    PerturbationOptions,
    PoisonedRecommenderOptions,
    PoisoningOptions,
    RunOptions,
    SelectionOptions,
    TodayOptions,
)
from advrec_tf.cli.parsing import Flag, flag_of
from advrec_tf.data.reading import Reading
from advrec_tf.poisoning.settings import (
    DisguisedRecSys20Config,
    GanConfig,
    RecSys19Config,
    RecSys20Config,
)
from advrec_tf.recommenders import AMFConfig, PMFConfig, WRMFConfig


class Section(NamedTuple):
    """The flags of one configuration.

    names: flag -> field that it sets; without it, every field is the flag of its name.
    only: flag -> the experiments that read it, where these are not all of `read_by`.
    about: what the help texts begin with.
    """

    config: type
    read_by: tuple[str, ...]
    names: dict[str, str] = {}
    only: dict[str, tuple[str, ...]] = {}
    about: str = ""

    def flags(self) -> list[Flag]:
        """Return the flags in the order of `names`, or else of the fields."""
        by_name = {field.name: field for field in fields(self.config)}
        hints, flags = get_type_hints(self.config), []
        for name, field in (self.names or _same(*by_name)).items():
            read_by = self.only.get(name, self.read_by)
            flags.append(flag_of(name, by_name[field], hints[field], read_by, self.about))
        return flags

    def fields(self, values: dict[str, Any]) -> dict[str, Any]:
        """Return the fields of the configuration that the flags set."""
        return {field: values[flag] for flag, field in self.names.items()}


def _same(*names: str) -> dict[str, str]:
    """Return a map from flags to the fields of the same names."""
    return dict(zip(names, names))


def _without(experiments: tuple[str, ...], *left_out: str) -> tuple[str, ...]:
    """Return the experiments that are not left out."""
    return tuple(name for name in experiments if name not in left_out)


MEASURED_OR_AUDITED = (*MEASURED, "audit")
GIVEN = ("audit", "compare")
RECONSTRUCTED = ("lowrank_table2", "lowrank_table3")
AMF = Section(
    AMFConfig,
    TRAINING,
    {
        "amf_start": "first_epoch",
        "adversary": "adversary",
        "adversary_epsilon": "epsilon",
        "adversary_weight": "adversarial_weight",
        "adversary_iterations": "iterations",
        "adversary_step_size": "step_size",
        "adversary_ball": "ball",
    }
    | _same("embedding_dim", "learning_rate", "batch_size", "eval_every", "eval_users"),
)
SURROGATE = Section(
    WRMFConfig,
    POISONED,
    {
        "surrogate_dim": "embedding_dim",
        "surrogate_solver": "solver",
        "surrogate_regularization": "regularization",
        "surrogate_weight": "weight",
    },
    about="recsys20's surrogate",
)
RECSYS20 = Section(
    RecSys20Config,
    POISONED,
    {"surrogate_epochs": "epochs"}
    | _same("unrolled_epochs", "click_limit", "clicks", "click_targets", "fresh_seeds"),
    about="recsys20",
)
DISGUISED = Section(
    DisguisedRecSys20Config, POISONED, _same("most_changes"), about="recsys20_disguised"
)
GAN = Section(GanConfig, POISONED, {"gan_epochs": "epochs", "mask": "mask"}, about="recsys19")
RECSYS19 = Section(
    RecSys19Config,
    POISONED,
    {
        "zo_directions": "directions",
        "zo_smoothing": "smoothing",
        "zo_step": "step_size",
        "zo_largest_move": "largest_move",
        "zo_goal": "goal",
    }
    | _same("gan_epochs", "mask", "click_targets"),
    about="recsys19",
)
PROBED = Section(WRMFConfig, POISONED, {"zo_solver": "solver"}, about="what recsys19 probes")
VICTIM_WRMF = Section(
    WRMFConfig,
    WITH_VICTIMS,
    {"solver": "solver", "als_regularization": "regularization", "positive_weight": "weight"},
    about="victim wrmf",
)
VICTIM_PMF = Section(
    PMFConfig,
    WITH_VICTIMS,
    {
        "pmf_regularization": "regularization",
        "pmf_learning_rate": "learning_rate",
        "pmf_biases": "biases",
    },
    about="victim pmf",
)
VICTIMS = (VICTIM_WRMF, VICTIM_PMF)
# A flag of several sections is declared by the first of them.
SECTIONS = (
    Section(
        RunOptions,
        MEASURED_OR_AUDITED,
        only={
            "preset": tuple(EXPERIMENTS),
            "output_dir": _without(tuple(EXPERIMENTS), "describe"),
            "progress": WITH_DATA,
            "save_every": (*TRAINING, *TODAY),
        },
    ),
    Section(
        DataOptions,
        WITH_DATA,
        only={
            "dataset": (*WITH_DATA, "claims"),
            "seed": _without(MEASURED_OR_AUDITED, "lowrank_figure1"),
            "k": (*MEASURED_OR_AUDITED, "compare"),
        },
    ),
    Section(Reading, WITH_DATA),
    Section(EpochOptions, TRAINING),
    AMF,
    Section(SelectionOptions, TRAINING, only={"model_selection": PERTURBED}),
    Section(
        PerturbationOptions,
        PERTURBED,
        only={
            "more_attacks": ("table1", "iterations", "budget"),
            "attack_draws": ("table1", "characteristics"),
            "save_lists": _without(PERTURBED, "low_rank_against_perturbations"),
            "k_core": ("characteristics",),
            "cores": ("characteristics",),
        },
    ),
    Section(TodayOptions, TODAY),
    Section(BoardOptions, BOARD),
    Section(
        PoisoningOptions,
        POISONED,
        only={
            "attack": _without(POISONED, *FIXED_ATTACKS),
            "profiles": (*POISONED, "describe", "detect", "stability"),
        },
    ),
    Section(RecSys20Config, POISONED, {"surrogate_epochs": "epochs"}, about="recsys20"),
    SURROGATE,
    RECSYS20,
    DISGUISED,
    GAN,
    RECSYS19,
    PROBED,
    Section(
        PoisonedRecommenderOptions,
        WITH_VICTIMS,
        {
            "victim": "recommender",
            "victim_epochs": "epochs",
            "victim_dim": "embedding_dim",
        },
        only={
            "victim": _without(WITH_VICTIMS, *FIXED_VICTIMS),
            "victim_dim": _without(WITH_VICTIMS, "lowrank_figure4"),
        },
    ),
    VICTIM_WRMF,
    VICTIM_PMF,
    Section(
        DefenseOptions,
        RECONSTRUCTED,
        only={
            "patches": (*RECONSTRUCTED, "lowrank_controls"),
            "svd_ranks": ("lowrank_figure3", "lowrank_figure5", "low_rank_against_perturbations"),
            "pmf_dims": ("lowrank_figure4",),
            "figure6_ranks": ("lowrank_figure6",),
            "shares": ("lowrank_figure6",),
            "choose_ratings": (
                *RECONSTRUCTED,
                *("lowrank_figure3", "lowrank_figure4", "lowrank_figure6"),
            ),
            "svm_components": ("lowrank_figure2",),
            "folds": ("lowrank_table1", "lowrank_figure2", "lowrank_adaptive"),
            "other_outer_epochs": ("lowrank_table1",),
        },
    ),
    Section(RowOptions, (*BOARD, "audit", "compare")),
    Section(AuditOptions, ("audit",), only={"train": GIVEN, "test": GIVEN}),
    Section(OtherOptions, ("stability", "audit")),
    Section(CompareOptions, ("compare",)),
)
