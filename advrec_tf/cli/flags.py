"""All flags in one table: what they mean, who reads them, and what they are where they are not given.  absl is told in command_line.py."""

import math
import os
from collections.abc import Callable
from typing import Any, NamedTuple

from advrec_tf.data import GROUPS, K_CORES, NAMES
from advrec_tf.defenses import CONVERSIONS, PARTIAL
from advrec_tf.defenses.low_rank import FLOOR
from advrec_tf.defenses.training_interactions import CHOICES
from advrec_tf.errors import UserError
from advrec_tf.execution.jobs import BACKENDS
from advrec_tf.perturbations import BALLS, EMBEDDING_ATTACKS, PGD_INIT, UNITS
from advrec_tf.poisoning import POISONING_ATTACKS
from advrec_tf.poisoning.settings import GOALS, DisguisedRecSys20Config, GanConfig
from advrec_tf.recommenders import RECOMMENDERS, AMFSettings, PMFSettings, WRMFSettings

MOST = 1e30  # of any number; single precision ends at 3e38
PRESETS = ("paper", "quick")


class Room(NamedTuple):
    """An experiment: its module below `experiments`, and what it measures."""

    module: str
    says: str


EXPERIMENTS = {
    "table1": Room("multistep.table1", "Table 1: six metrics before and after FGSM, BIM and PGD"),
    "iterations": Room("multistep.iterations", "Figure 1: performance over iterations"),
    "budget": Room(
        "multistep.budget", "Figure 2: performance over the budget, and certified bounds"
    ),
    "characteristics": Room(
        "multistep.characteristics", "Figure 3: density, size and shape of sub-samples"
    ),
    "low_rank_against_perturbations": Room(
        "low_rank_against_perturbations",
        "both papers: does projecting the factors stop FGSM, BIM and PGD?",
    ),
    "robustness": Room(
        "leaderboard",
        "a leaderboard of factors under an ensemble of attacks, in budgets that no scale can fake",
    ),
    "convergence": Room(
        "convergence", "whether the leaderboard's attack on held-out items has converged"
    ),
    "poison": Room("lowrank.poison", "fake profiles, and victims before and after"),
    "lowrank_table1": Room(
        "lowrank.table1",
        "Table I: fake users found by PCA and an SVM, and how detectors do on other attacks",
    ),
    "lowrank_table2": Room("lowrank.table2", "Table II: local low-rank reconstruction"),
    "lowrank_table3": Room(
        "lowrank.table3", "Table III: local low-rank reconstruction under several attacks"
    ),
    "lowrank_controls": Room(
        "lowrank.controls", "what explains Tables II and III: other seeds and orders of users"
    ),
    "lowrank_recsys19": Room(
        "lowrank.recsys19",
        "RecSys19 in its parts: GAN, zeroth-order steps, an ideal GAN, forced targets",
    ),
    "lowrank_adaptive": Room("lowrank.adaptive", "the defences under RecSys20 that knows of them"),
    "lowrank_younger": Room(
        "lowrank.younger",
        "younger defences: adversarial training by user, and a certified ensemble",
    ),
    "lowrank_figure1": Room("lowrank.figure1", "Figure 1: users on two principal components"),
    "lowrank_figure2": Room(
        "lowrank.figure2", "Figure 2: the SVM's recall over components and kernels"
    ),
    "lowrank_figure3": Room(
        "lowrank.figure3", "Figure 3: PMF on reconstructed ratings over the SVD rank"
    ),
    "lowrank_figure4": Room(
        "lowrank.figure4", "Figure 4: the same over the length of PMF's factors"
    ),
    "lowrank_figure5": Room("lowrank.figure5", "Figure 5: PMF's factors transformed"),
    "lowrank_figure6": Room("lowrank.figure6", "Figure 6: more and more new ratings"),
    "audit": Room("audit", "how much perturbation anyone's factors stand"),
    "claims": Room("claims", "the papers' statements, on what was measured"),
    "verdict": Room(
        "lowrank.verdict",
        "the low-rank paper's statements, what they come from, and all of its pages in one",
    ),
    "describe": Room("describe", "statistics of data and of fake profiles"),
}
# Flags that say where and how a run works, and nothing about a result.
OF_MACHINE = (
    "output_dir",
    "data_dir",
    "workers",
    "progress",
    "backend",
    "job_threads",
    "job_memory",
    "save_every",
)
PERTURBED = ("table1", "iterations", "budget", "characteristics", "low_rank_against_perturbations")
POISONED = tuple(name for name in EXPERIMENTS if name == "poison" or name.startswith("lowrank_"))
OF_PMF = ("lowrank_figure3", "lowrank_figure4", "lowrank_figure5", "lowrank_figure6")
WITH_VICTIMS = tuple(
    name for name in POISONED if name not in ("lowrank_figure1", "lowrank_figure2")
)
_OF_ML100K = ("lowrank_table3", "lowrank_recsys19", "lowrank_younger", *OF_PMF)
_BESIDE = (
    "lowrank_recsys19",
    "lowrank_adaptive",
    "lowrank_younger",
)  # neither their attacks nor their victims are a choice
_GIVEN = ("lowrank_table3", *_BESIDE)  # their attacks are none
_OF_GOWALLA = ("poison", "lowrank_table1", "lowrank_table2", "lowrank_figure1", "lowrank_figure2")
_BOARD = ("robustness", "convergence")
_TRAINING = (*PERTURBED, *_BOARD)  # of BPR-MF and AMF
_MEASURED = (*PERTURBED, *_BOARD, *POISONED)
_WITH_DATA = (*_MEASURED, "audit", "describe")
_SEEDS = 2**32 - 1  # the highest that every library takes
_GRID = [1, *range(10, 301, 10)]
_BUDGETS = [
    round(digits * 10.0**power, 6) for power in (-3, -2, -1, 0) for digits in (1, 2.5, 5, 7.5)
] + [10.0]


class Flag(NamedTuple):
    """One flag.

    kind: text, whole, number, yes_no, texts, wholes or numbers (several with commas between); default: where the flag is not given, and by
    preset, by experiment, or by both ((preset, experiment) first) in `other`; among: the texts there are; low, high: the bounds of numbers.
    """

    kind: str
    read_by: tuple[str, ...]
    says: str
    default: Any = None
    other: dict[Any, Any] = {}
    among: tuple[str, ...] = ()
    low: float = -math.inf
    high: float = math.inf


def _by(names: tuple[str, ...], value: Any, preset: str = "") -> dict:
    return {(preset, name) if preset else name: value for name in names}


FLAGS = {
    # What every run has
    "preset": Flag(
        "text",
        tuple(EXPERIMENTS),
        "the paper's setting, or one of minutes on synthetic data; single flags override it",
        "paper",
        among=PRESETS,
    ),
    "output_dir": Flag(
        "text",
        tuple(name for name in EXPERIMENTS if name != "describe"),
        "where results and trained weights are kept",
        "results",
    ),
    "progress": Flag(
        "yes_no", (*_WITH_DATA,), "show progress bars when the output is a terminal", True
    ),
    "workers": Flag(
        "whole",
        (*_MEASURED, "audit"),
        "processes here, side by side; of fewer jobs each has several threads",
        os.cpu_count(),
        low=1,
    ),
    "backend": Flag(
        "text",
        (*_MEASURED, "audit"),
        "processes here (loky), or a cluster that runs already, on its workers",
        "loky",
        among=BACKENDS,
    ),
    "job_threads": Flag(
        "whole",
        (*_MEASURED, "audit"),
        "threads of a job on a cluster; Ray keeps as many CPUs for it",
        1,
        low=1,
    ),
    "job_memory": Flag(
        "number",
        (*_MEASURED, "audit"),
        "GB kept for a job on a cluster: of Ray's memory, or of Dask's resource of that name",
        0,
        low=0,
    ),
    "save_every": Flag("whole", _TRAINING, "epochs between checkpoints", 50, low=1),
    # Data
    "dataset": Flag(
        "texts",
        (*_WITH_DATA, "claims"),
        f"names among {', '.join(NAMES)}, or paths of one's own tables or folders",
        ["ml-1m", "lastfm"],
        {
            **_by(_OF_GOWALLA, ["gowalla"], "paper"),
            **_by(_OF_ML100K, ["ml-100k"], "paper"),
            **_by(("lowrank_controls", "lowrank_adaptive"), ["gowalla", "ml-100k"], "paper"),
            **_by(("audit",), ["ml-1m"], "paper"),
            **_by(_BOARD, ["ml-1m", "ml-100k"], "paper"),
            "quick": ["synthetic"],
        },
    ),
    "data_dir": Flag(
        "text",
        _WITH_DATA,
        "holds one folder a data set [$ADVREC_DATA_DIR, else the user's cache folder]",
    ),
    "split": Flag(
        "text",
        _WITH_DATA,
        "what is held out of each user [last where there are timestamps]",
        None,
        _by(POISONED, "80:20"),
        among=("last", "random", "80:20"),
    ),
    "split_seed": Flag(
        "whole",
        _WITH_DATA,
        "seed of a random hold-out and of synthetic data; the same for all --seed",
        0,
        low=0,
        high=_SEEDS,
    ),
    "columns": Flag(
        "texts",
        _WITH_DATA,
        "where the fields of one's own table stand, as user=NAME_OR_POSITION,item=...,timestamp=...",
    ),
    "seed": Flag(
        "wholes",
        (*(name for name in _MEASURED if name != "lowrank_figure1"), "audit"),
        "seeds of training, negatives, PGD's start and Random; several give mean and deviation",
        [0],
        {
            **_by(WITH_VICTIMS, [0, 1, 2, 3, 4], "paper"),
            ("paper", "lowrank_recsys19"): [*range(16)],
            ("paper", "robustness"): [0, 1, 2],
            **_by(("audit", "lowrank_figure2"), [0], "quick"),
            "quick": [0, 1],
        },
        low=0,
        high=_SEEDS,
    ),
    "k": Flag(
        "whole", (*_MEASURED, "audit"), "length of the lists [10; on poisoned Gowalla 50]", low=1
    ),
    # Training of BPR-MF and AMF
    "epochs": Flag(
        "whole",
        _TRAINING,
        "epochs of BPR-MF, and the epoch at which AMF ends",
        2000,
        {"quick": 120, **_by(("characteristics", *_BOARD), 1300, "paper")},
        low=1,
    ),
    "bprmf_epochs": Flag(
        "whole",
        _TRAINING,
        "epochs of BPR-MF, if it is to end before AMF does [--epochs]",
        None,
        _by(("characteristics", *_BOARD), 1000, "paper"),
        low=1,
    ),
    "amf_start": Flag(
        "whole", _TRAINING, "epoch of BPR-MF from which AMF is trained", 1000, {"quick": 60}, low=1
    ),
    "embedding_dim": Flag(
        "whole",
        _TRAINING,
        "length of the embeddings",
        AMFSettings.embedding_dim,
        low=1,
        high=10_000,
    ),
    "learning_rate": Flag("number", _TRAINING, "of Adagrad", AMFSettings.learning_rate, low=0),
    "batch_size": Flag(
        "whole", _TRAINING, "triples in a mini-batch", AMFSettings.batch_size, low=1
    ),
    "eval_every": Flag(
        "whole",
        _TRAINING,
        "epochs between evaluations of HR@10 and nDCG@10; auto: so many that they take a tenth of the time",
        AMFSettings.eval_every,
        among=("auto",),
        low=1,
    ),
    "eval_users": Flag(
        "whole", _TRAINING, "users, drawn once, on whom training is evaluated [all]", low=1
    ),
    "keep_epochs": Flag(
        "wholes",
        _TRAINING,
        "further epochs whose weights are kept",
        [377, 1000, 1162],
        {"quick": []},
        low=0,
    ),
    "model_selection": Flag(
        "texts",
        PERTURBED,
        "which epochs are measured: best (by test HR@10), last, published (the paper's), epoch:N",
        ["best"],
        {"table1": ["best", "last", "published"], ("paper", "characteristics"): ["best", "last"]},
    ),
    "adversary": Flag(
        "text",
        _TRAINING,
        "AMF's inner adversary",
        AMFSettings.adversary,
        among=tuple(name for name, attack in EMBEDDING_ATTACKS.items() if not attack.draw),
    ),
    "adversary_epsilon": Flag("number", _TRAINING, "its budget", AMFSettings.epsilon, low=0),
    "adversary_weight": Flag(
        "number",
        _TRAINING,
        "weight lambda of AMF's adversarial loss",
        AMFSettings.adversarial_weight,
        low=0,
    ),
    "adversary_iterations": Flag(
        "whole", _TRAINING, "its iterations, where it has any", AMFSettings.iterations, low=1
    ),
    "adversary_step_size": Flag(
        "number", _TRAINING, "its step, where it has iterations [a quarter of its budget]", low=0
    ),
    "adversary_ball": Flag(
        "text", _TRAINING, "its ball, where it has iterations", AMFSettings.ball, among=BALLS
    ),
    # Perturbations that are measured
    "epsilon": Flag(
        "numbers",
        PERTURBED,
        "budgets of the perturbations that are measured",
        [0.5],
        {"budget": _BUDGETS, ("paper", "characteristics"): [0.25, 0.5, 1.0]},
        low=0,
    ),
    "step_size": Flag(
        "number",
        PERTURBED,
        "step of the attacks that have iterations [a quarter of epsilon]",
        low=0,
    ),
    "iterations": Flag(
        "wholes",
        PERTURBED,
        "iteration counts at which they are measured",
        _GRID,
        {
            "iterations": sorted([*_GRID, 25]),
            "characteristics": [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 30],
            **_by(("budget", "low_rank_against_perturbations"), [25]),
        },
        low=1,
    ),
    "pgd_init": Flag(
        "number", PERTURBED, "PGD starts uniform in plus or minus this", PGD_INIT, low=0
    ),
    "more_attacks": Flag(
        "texts",
        PERTURBED[:3],
        f"attacks beyond the paper's that are measured too, among {', '.join(EMBEDDING_ATTACKS)}",
        [],
    ),
    "attack_draws": Flag(
        "whole",
        ("table1", "characteristics"),
        "draws of negatives and of PGD's start for each model of the first selection",
        3,
        {"quick": 2},
        low=1,
    ),
    "save_lists": Flag(
        "yes_no",
        PERTURBED[:4],
        "write the lists of every point (user, item, rank, score) beside the results",
        False,
    ),
    "k_core": Flag(
        "text",
        ("characteristics",),
        "how sub-samples are cut [as the paper]",
        "single_pass",
        among=K_CORES,
    ),
    "cores": Flag(
        "wholes",
        ("characteristics",),
        "fewest interactions of a user or item in each of the sub-samples",
        list(range(10, 101, 10)),
        {"quick": [5, 10, 15, 20, 25]},
        low=0,
    ),
    # The leaderboard
    "entries": Flag(
        "texts",
        _BOARD,
        "what stands on it; '... at rank N', '... with equal users' (the same lists), or both",
        [
            "BPR-MF",
            "AMF",
            "rescaled BPR-MF",
            "iALS",
            "iALS 50",
            "iALS 100",
            "SVD",
            "SVD 16",
            "SVD 128",
            "MostPopular",
            "MarginMF",
            *(
                f"{name} with equal users"
                for name in (
                    "BPR-MF",
                    "AMF",
                    "iALS",
                    "iALS 50",
                    "SVD 16",
                    "AMF at rank 32",
                    "iALS at rank 32",
                    "wide iALS at rank 48",
                    "wide iALS at rank 64",
                )
            ),
        ],
        {
            ("paper", "convergence"): [
                "BPR-MF",
                "AMF",
                "iALS",
                "SVD 16 with equal users",
                "iALS at rank 32 with equal users",
                "wide iALS at rank 64 with equal users",
            ],
            ("quick", "convergence"): ["BPR-MF", "iALS"],
            "quick": [
                "BPR-MF",
                "AMF",
                "rescaled BPR-MF",
                "iALS",
                "SVD 16",
                "MostPopular",
                "MarginMF",
                "AMF with equal users",
                "iALS with equal users",
                "iALS at rank 8 with equal users",
                "SVD 16 with equal users",
            ],
        },
    ),
    "validation": Flag(
        "yes_no",
        _BOARD,
        "hold out each user's last training interaction in place of the test item, to choose among entries",
        False,
    ),
    "factors": Flag(
        "texts",
        _BOARD,
        "factors of one's own, as NAME:USERS.npy:ITEMS.npy, or NAME:MODEL (.npz, .safetensors, .pkl)",
        [],
    ),
    # Fake profiles
    "attack": Flag(
        "texts",
        tuple(n for n in POISONED if n not in _GIVEN),
        f"attacks among none, {', '.join(POISONING_ATTACKS)}, or several joined with + [unless --profiles are given]",
        ["recsys20"],
        {**_by(OF_PMF, ["recsys19"]), "lowrank_controls": []},
    ),
    "profiles": Flag(
        "texts",
        (*POISONED, "describe"),
        "files of fake profiles (.npz), each an attack of its own",
        [],
    ),
    "fakes": Flag(
        "whole",
        POISONED,
        "fake profiles of an attack [1% of the users; ML-100K: 125]",
        None,
        {"quick": 24},
        low=1,
    ),
    "targets": Flag(
        "wholes", POISONED, "item numbers that an attack promotes [some of --target_group]", low=0
    ),
    "target_group": Flag(
        "texts",
        POISONED,
        f"groups of items the targets are drawn from: {', '.join(GROUPS)}",
        ["head"],
    ),
    "target_count": Flag("whole", POISONED, "targets drawn [5, or all of a smaller group]", low=1),
    "target_seed": Flag("whole", POISONED, "seed of the targets drawn", 0, low=0, high=_SEEDS),
    "attack_seed": Flag("whole", POISONED, "seed of the attacks", 0, low=0, high=_SEEDS),
    "outer_epochs": Flag(
        "whole",
        POISONED,
        "steps of an attack on its profiles [recsys20: 30; recsys19: 10]",
        None,
        {"quick": 4},
        low=1,
    ),
    "clicks": Flag(
        "whole",
        POISONED,
        "most clicks of a fake profile [recsys20: no limit; heuristics: the users' mean]",
        low=1,
    ),
    "surrogate_epochs": Flag("whole", POISONED, "recsys20: epochs of its surrogate", 50, low=1),
    "surrogate_dim": Flag(
        "whole",
        POISONED,
        "recsys20: length of the surrogate's embeddings",
        WRMFSettings.embedding_dim,
        {"quick": 8},
        low=1,
        high=10_000,
    ),
    "surrogate_solver": Flag(
        "text", POISONED, "recsys20: how the surrogate is trained", "sgd", among=("sgd", "als")
    ),
    "surrogate_regularization": Flag(
        "number",
        POISONED,
        "recsys20: weight of the squared factors of a surrogate by als",
        WRMFSettings.regularization,
        low=0,
    ),
    "surrogate_weight": Flag(
        "number",
        POISONED,
        "recsys20: the surrogate's weight of what was clicked",
        WRMFSettings.weight,
        low=1e-9,
    ),
    "unrolled_epochs": Flag(
        "whole",
        POISONED,
        "recsys20: the surrogate's last epochs that are differentiated through",
        10,
        low=1,
    ),
    "click_limit": Flag(
        "whole",
        POISONED,
        "recsys20: the fakes start from the first users with at most this many clicks",
        100,
        low=1,
    ),
    "click_targets": Flag(
        "yes_no", POISONED, "recsys20, recsys19: every profile clicks all targets", False
    ),
    "fresh_seeds": Flag(
        "yes_no",
        POISONED,
        "recsys20: each outer epoch's surrogate has its own seed; --nofresh_seeds as in the public code",
        True,
        {"lowrank_controls": False},
    ),
    "most_changes": Flag(
        "whole",
        POISONED,
        "recsys20_disguised: most clicks in which a profile differs from the real one it started from",
        DisguisedRecSys20Config.most_changes,
        low=1,
    ),
    "aware_of": Flag(
        "text",
        POISONED,
        "recsys20_aware: the reconstruction it knows of, SIZExRANK [Gowalla: 150x20; ML-100K: 200x50; else 50x20]",
    ),
    "gan_epochs": Flag(
        "whole",
        POISONED,
        "recsys19: most epochs of the GAN, until its profiles look real",
        GanConfig.epochs,
        {"quick": 2},
        low=1,
    ),
    "mask": Flag(
        "whole",
        POISONED,
        "recsys19: random entries that a fake may have [as many as a random real user has, its strongest]",
        low=1,
    ),
    "zo_directions": Flag(
        "whole", POISONED, "recsys19: directions a zeroth-order step probes", 5, low=1
    ),
    "zo_smoothing": Flag("number", POISONED, "recsys19: length of a probe", 50.0, low=0),
    "zo_step": Flag(
        "number", POISONED, "recsys19: step size, times the length of a probe", 100.0, low=0
    ),
    "zo_largest_move": Flag(
        "number",
        POISONED,
        "recsys19: scale each step so that its largest entry moves by this [by --zo_step]",
        low=0,
    ),
    "zo_goal": Flag("text", POISONED, "recsys19: what its steps raise", GOALS[0], among=GOALS),
    "zo_recommender": Flag(
        "text",
        POISONED,
        "recsys19: the recommender it probes, in its default setting",
        "wrmf",
        among=("wrmf", "pmf"),
    ),
    "zo_solver": Flag(
        "text",
        POISONED,
        "recsys19: how that recommender is trained, if it is wrmf",
        "sgd",
        among=("sgd", "als"),
    ),
    # Victims
    "victim": Flag(
        "text",
        tuple(n for n in WITH_VICTIMS if n not in ("lowrank_controls", *_BESIDE)),
        "recommender that is trained on the poisoned data",
        "wrmf",
        _by(OF_PMF, "pmf"),
        among=tuple(RECOMMENDERS),
    ),
    "victim_epochs": Flag("whole", WITH_VICTIMS, "its epochs", 50, low=1),
    "victim_dim": Flag(
        "whole",
        tuple(name for name in WITH_VICTIMS if name != "lowrank_figure4"),
        "length of its embeddings [wrmf 128, pmf 10]",
        None,
        {"quick": 8},
        low=1,
        high=10_000,
    ),
    "solver": Flag(
        "text", WITH_VICTIMS, "how a victim wrmf is trained", "sgd", among=("sgd", "als")
    ),
    "als_regularization": Flag(
        "number",
        WITH_VICTIMS,
        "victim wrmf by als: weight of the squared factors",
        WRMFSettings.regularization,
        low=0,
    ),
    "positive_weight": Flag(
        "number",
        WITH_VICTIMS,
        "victim wrmf: weight of what was clicked; all else has 1",
        WRMFSettings.weight,
        low=1e-9,
    ),
    "pmf_regularization": Flag(
        "number",
        WITH_VICTIMS,
        "victim pmf: strength of the priors",
        PMFSettings.regularization,
        low=0,
    ),
    "pmf_learning_rate": Flag(
        "number", WITH_VICTIMS, "victim pmf: learning rate", PMFSettings.learning_rate, low=0
    ),
    "pmf_biases": Flag(
        "yes_no", WITH_VICTIMS, "victim pmf: with biases of users and items", PMFSettings.biases
    ),
    # Defences
    "patches": Flag(
        "texts",
        ("lowrank_table2", "lowrank_table3", "lowrank_controls"),
        "reconstructions as SIZExRANK or fullxRANK [lowrank_controls: those of the data set's table]",
        ["100x90", "300x80", "150x20", "fullx3500", "fullx5000"],
        {
            ("paper", "lowrank_table3"): ["200x50"],
            ("paper", "lowrank_controls"): None,
            "quick": ["50x20", "100x10", "fullx40"],
        },
    ),
    "enter": Flag(
        "text",
        ("lowrank_table2", "lowrank_table3"),
        "how reconstructed values enter WRMF",
        "binarize",
        among=CONVERSIONS[:-1],
    ),
    "threshold": Flag(
        "number",
        ("lowrank_table2", "lowrank_table3"),
        "reconstructed values above this count",
        0.5,
        low=FLOOR,
    ),
    "partial_patches": Flag(
        "text",
        ("lowrank_table2", "lowrank_table3"),
        "what becomes of users and items that are left for incomplete last patches",
        PARTIAL[0],
        among=PARTIAL,
    ),
    "shuffle_seed": Flag(
        "whole",
        ("lowrank_table2", "lowrank_table3"),
        "cut patches from rows and columns shuffled by this seed [in the order given]",
        low=0,
        high=_SEEDS,
    ),
    "svd_ranks": Flag(
        "wholes",
        ("lowrank_figure3", "lowrank_figure5", "low_rank_against_perturbations"),
        "ranks that are compared",
        [10, 20, 30, 50, 80, 100, 120, 150, 200],
        {"quick": [5, 20, 80]},
        low=1,
    ),
    "pmf_dims": Flag(
        "wholes",
        ("lowrank_figure4",),
        "lengths of PMF's factors",
        [5, 10, 20, 40, 60, 80, 100],
        {"quick": [4, 8]},
        low=1,
        high=10_000,
    ),
    "figure6_ranks": Flag(
        "wholes", ("lowrank_figure6",), "SVD ranks", [50, 150], {"quick": [20]}, low=1
    ),
    "shares": Flag(
        "numbers",
        ("lowrank_figure6",),
        "percentages of new ratings",
        [0.0, 20.0, 40.0, 60.0, 80.0, 100.0],
        {"quick": [0.0, 100.0]},
        low=0,
        high=100,
    ),
    "choose_ratings": Flag(
        "text",
        (
            "lowrank_table2",
            "lowrank_table3",
            "lowrank_figure3",
            "lowrank_figure4",
            "lowrank_figure6",
        ),
        "which new ratings are taken first",
        CHOICES[0],
        among=CHOICES,
    ),
    "svm_components": Flag(
        "wholes",
        ("lowrank_figure2",),
        "principal components",
        [5, *range(10, 101, 10)],
        {"quick": [2, 4]},
        low=1,
        high=10_000,
    ),
    "folds": Flag(
        "whole",
        ("lowrank_table1", "lowrank_figure2", "lowrank_adaptive"),
        "folds of the detectors' cross-validation",
        10,
        {"quick": 3},
        low=2,
    ),
    "other_outer_epochs": Flag(
        "whole",
        ("lowrank_table1",),
        "outer epochs of the attack run that detectors have not seen",
        10,
        {"quick": 2},
        low=1,
    ),
    # Audit
    "user_factors": Flag("text", ("audit",), ".npy of user factors [users, dim]"),
    "item_factors": Flag("text", ("audit",), ".npy of item factors [items, dim]"),
    "user_rows": Flag(
        "text",
        ("audit",),
        "CSV with columns row and id, where rows are not in the order of the sorted user ids",
    ),
    "item_rows": Flag("text", ("audit",), "the same for items"),
    "budget": Flag(
        "text",
        ("audit",),
        "what a budget is a share of: all rows' norms, the row's own, or nothing",
        "relative",
        among=UNITS,
    ),
    "train": Flag(
        "text",
        ("audit",),
        "the interactions the factors were trained on, a table or a name [--dataset]",
    ),
    "test": Flag("text", ("audit",), "the held-out interactions, a table beside --train"),
}


def values(experiment: str, given: dict[str, Any]) -> dict[str, Any]:
    """The value of every flag that an experiment reads: as it is given (texts, or lists of texts), or the default of preset and experiment.

    Raises UserError for a flag that the experiment does not read, and for a value that is none.
    """
    foreign = [name for name in given if experiment not in FLAGS[name].read_by]
    if foreign:
        readers = FLAGS[foreign[0]].read_by
        more = f"; {', '.join(readers)} do" if len(readers) < 8 else ""
        raise UserError(
            f"--{foreign[0]} is not read by --experiment={experiment}{more} (--experiment={experiment} --help lists what is)"
        )
    preset = _value("preset", given["preset"]) if "preset" in given else "paper"
    own = {name: flag for name, flag in FLAGS.items() if experiment in flag.read_by}
    found = {
        name: _value(name, given[name]) if name in given else default(flag, experiment, preset)
        for name, flag in own.items()
    }
    if found.get("profiles") and "attack" in found and "attack" not in given:
        found["attack"] = []
    return found


def default(flag: Flag, experiment: str, preset: str) -> Any:
    """What a flag is where it is not given."""
    keys = (
        ((preset, experiment), preset, experiment)
        if preset == "quick"
        else ((preset, experiment), experiment, preset)
    )
    return next((flag.other[key] for key in keys if key in flag.other), flag.default)


def command_of(experiment: str, values: dict[str, Any]) -> list[str]:
    """Return the words of the shortest command with these values, without flags in OF_MACHINE."""
    words = ["python", "-m", "experiments.main", f"--experiment={experiment}"]
    for name, value in values.items():
        if (
            name not in FLAGS
            or name in OF_MACHINE
            or value == default(FLAGS[name], experiment, values["preset"])
        ):
            continue
        listed = value if isinstance(value, list) else [value]
        words.append(f"--{name}={','.join(map(_word, listed))}")
    return words


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(name: str, given: Any) -> Any:
    flag = FLAGS[name]
    if flag.kind == "yes_no":
        return given
    if not flag.kind.endswith("s"):
        return _one(name, flag, given)
    found = [_one(name, flag, text) for text in given]
    if not found and name != "keep_epochs":
        raise UserError(f"--{name} is empty")
    if len(set(found)) < len(found):
        raise UserError(
            f"--{name} must be different {_what(flag)} with commas between, not {','.join(given)}"
        )
    return found


def _one(name: str, flag: Flag, text: str) -> Any:
    kind = flag.kind.removesuffix("s")
    if text in flag.among:
        return text
    if kind == "text":
        if not text:
            raise UserError(f"--{name} is empty")
        if flag.among:
            raise UserError(f"--{name} must be one of {', '.join(flag.among)}, not {text!r}")
        return text
    parse: Callable[[str], float] = int if kind == "whole" else float
    try:
        number = parse(text)
    except ValueError:
        number = math.nan
    if not (
        math.isfinite(number)
        and flag.low <= number <= flag.high
        and abs(number) < (MOST if kind == "number" else 2**63)
    ):
        several = "different " if flag.kind.endswith("s") else ""
        what = (
            "".join(f"{word} or " for word in flag.among)
            + f"{several}{_what(flag)}{' with commas between' if several else ''}"
        )
        raise UserError(f"--{name} must be {what}, not {text!r}")
    return number


def _what(flag: Flag) -> str:
    several = flag.kind.endswith("s")
    noun = {"text": "text", "whole": "whole number", "number": "number"}[
        flag.kind.removesuffix("s")
    ]
    noun = f"{noun}s" if several else f"a {noun}"
    if flag.kind.startswith("text"):
        return noun
    if flag.high < math.inf:
        return f"{noun} from {flag.low:.10g} to {flag.high:.10g}"
    return (
        noun
        if flag.low == -math.inf
        else f"{noun} from {flag.low:g} up"
        if flag.low in (0, 1) or flag.low >= 0.01
        else f"{noun} above 0"
    )


# Flags that may differ from the paper's setting, and what is measured still stands beside the print.
_FREE = {
    "experiment",
    "preset",
    "output_dir",
    "progress",
    "workers",
    "backend",
    "job_threads",
    "job_memory",
    "save_every",
    "dataset",
    "data_dir",
    "columns",
    "seed",
    "k",
    "split_seed",
    "epochs",
    "bprmf_epochs",
    "keep_epochs",
    "model_selection",
    "more_attacks",
    "attack_draws",
    "save_lists",
    "cores",
    "attack",
    "attack_seed",
    "target_group",
    "patches",
    "enter",
    "choose_ratings",
    "svd_ranks",
    "pmf_dims",
    "figure6_ranks",
    "shares",
    "svm_components",
    "folds",
}


def as_published(values: dict[str, Any], least_epochs: int | None = None) -> bool:
    """Whether these are the paper's settings in all that its numbers depend on, so that they may stand beside; of AMF's epochs there must be enough,
    which are those of the default if nothing is said."""
    experiment = values["experiment"]
    paper = {
        name: default(flag, experiment, "paper")
        for name, flag in FLAGS.items()
        if experiment in flag.read_by and name not in _FREE
    }
    least = default(FLAGS["epochs"], experiment, "paper") if least_epochs is None else least_epochs
    return (
        all(values[name] == value for name, value in paper.items())
        and values.get("epochs", least) >= least
    )
