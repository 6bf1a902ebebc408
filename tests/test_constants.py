"""Numbers that results and pages depend on, and that no formula gives.

Whoever changes one changes it here too, and thinks of the version that it belongs to.
"""

from importlib import import_module

import pytest

from advrec_tf.cli import flags

CONSTANTS = {
    "advrec_tf.data.choices": {
        "GROUPS": {
            "head": (95, 100),
            "upper_torso": (75, 95),
            "lower_torso": (50, 75),
            "tail": (0, 50),
        },
    },
    "advrec_tf.defenses.choices": {"FLOOR": 0.1},
    "advrec_tf.evaluation.certificate": {"ROUNDING": 2.0**-24},
    "advrec_tf.evaluation.verdicts": {"ALPHA": 0.05},
    "advrec_tf.leaderboard.auditing": {"NORMS": (1e-6, 1e6)},
    "advrec_tf.leaderboard.comparison": {
        "ACCURACY": 0.97,
        "BOUND": 1.5,
        "COVERAGE": 0.5,
        "LEVEL": 0.05,
        "CERTIFIED": ("certificate", "l2", 0.01),
        "GOALS": (
            *(("test", "l2", 0.01), ("test", "l2", 0.02), ("test", "l2", 0.05)),
            *(("train", "l2", 0.1), ("train", "l2", 0.2), ("train", "l2", 0.4)),
            ("train", "linf", 0.11),
        ),
    },
    "advrec_tf.leaderboard.convergence": {
        "CONVERGENCE_EPSILONS": (0.01, 0.02, 0.05),
        "EFFORTS": ((1, 1), (10, 1), (1, 10)),
    },
    "advrec_tf.leaderboard.convergence_page": {"CLOSE": 2},
    "advrec_tf.leaderboard.measuring": {"MIN_SHIFT": 0.001},
    "advrec_tf.leaderboard.protection": {"MIN_HITS": 10},
    "advrec_tf.leaderboard.summary": {"VERDICT_EPSILON": 0.05},
    "advrec_tf.leaderboard.user_ranks": {"MAX_RANK": 255},
    "advrec_tf.leaderboard.worst_case": {"MAX_P": 0.01, "MAX_IDLE": 0.5},
    "advrec_tf.perturbations.ensemble": {
        "BIM_STEPS": 25,
        "SOFTMAX_STEPS": 10,
        "SOFTMAX_MOMENTUM": 0.5,
        "FREE_SCORES": 131_072,
        "RESTARTS": 64,
        "SCHEDULES": {"lists": (12, 6, 1), "test": (24, 4, 0.2), "user": (24, 4, 0.2)},
        "ALSO": {"train": ("lists",), "user": ("test",)},
    },
    "advrec_tf.perturbations.losses": {
        "RIVALS": 20,
        "CUTOFF": 4,
        "FADE": 3,
        "MOMENTA": (0.5, 0.85),
    },
    "advrec_tf.perturbations.presets": {"PGD_INIT": 0.05},
    "advrec_tf.poisoning.dcgan": {"NOISE": 100, "FILTERS": (64, 128, 256, 512)},
    "advrec_tf.poisoning.gan": {
        "MAX_CLICKS": 1.25,
        "MAX_JACCARD": 2,
        "COLLAPSED": 0.95,
        "SETTLED": 32,
    },
    "advrec_tf.poisoning.profiles": {"HIGHEST": 5},
    "advrec_tf.poisoning.similarity": {"MAX_LEVELS": 10, "MAX_PROFILES": 1000},
    "advrec_tf.poisoning.zeroth_order": {"SOFTNESS": 0.1},
    "advrec_tf.recommenders.config": {"SCORES_PER_CLICK": 150, "TRAINING_PER_EVALUATION": 10},
    "advrec_tf.recommenders.margin_mf": {
        "SWEEPS": 15,
        "INITIAL_ITEM_NORM": 3,
        "INITIAL_INPUT_SIZE": 0.05,
        "EMPTY": 0.001,
    },
    "advrec_tf.reporting.verdict_table": {"SHOWN_PARTS": 6},
    "experiments.lowrank.controls": {"DRAWS": 5},
    "experiments.lowrank.pmf_claims": {"GAINS_TO": 120},
    "experiments.lowrank.later_defenses": {"CERTIFIED": (1, 2, 5, 10, 25, 125)},
    "experiments.multistep.curve_claims": {"DESTROYED_FROM": 70},
    "experiments.multistep.curves": {"REFERENCE_EPSILON": 0.5},
    "experiments.multistep.loss_slopes": {
        "SCALES": {"density": 1, "size": 1_000_000, "shape": 1},
        "SHOWN_ITERATIONS": 25,
        "PAPER_EPSILON": 0.5,
    },
    "experiments.multistep.paper": {"EPOCHS": {"ml-1m": {"BPR-MF": 377, "AMF": 1162}}},
    "experiments.multistep.table1_tables": {"NEAR": 5},
}

TENS = [*range(10, 301, 10)]
# What an experiment has in the paper preset, beside the defaults of the configurations.
PAPER = {
    "table1": {
        "dataset": ["ml-1m", "lastfm"],
        "seed": [0],
        "epsilon": [0.5],
        "iterations": [1, *TENS],
        "attack_draws": 3,
        "epochs": 2000,
        "model_selection": ["best", "last", "published"],
    },
    "iterations": {"iterations": sorted([1, 25, *TENS]), "model_selection": ["best"]},
    "budget": {
        "iterations": [25],
        "epsilon": [
            *(0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.075),
            *(0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10),
        ],
    },
    "characteristics": {
        "iterations": [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 30],
        "epsilon": [0.25, 0.5, 1],
        "cores": [*range(10, 101, 10)],
        "epochs": 1300,
        "bprmf_epochs": 1000,
    },
    "low_rank_against_perturbations": {"iterations": [25]},
    "robustness": {
        "dataset": ["ml-1m", "ml-100k"],
        "seed": [0, 1, 2],
        "epochs": 1300,
        "bprmf_epochs": 1000,
    },
    "convergence": {"dataset": ["ml-1m", "ml-100k"], "seed": [0]},
    "poison": {"dataset": ["gowalla"], "seed": [0, 1, 2, 3, 4], "split": "80:20"},
    "lowrank_table1": {"dataset": ["gowalla"], "folds": 10, "other_outer_epochs": 10},
    "lowrank_table2": {"patches": ["100x90", "300x80", "150x20", "fullx3500", "fullx5000"]},
    "lowrank_table3": {"dataset": ["ml-100k"], "patches": ["200x50"]},
    "lowrank_controls": {"dataset": ["gowalla", "ml-100k"], "patches": None, "fresh_seeds": False},
    "lowrank_recsys19": {"dataset": ["ml-100k"], "seed": [*range(16)]},
    "lowrank_adaptive": {"dataset": ["gowalla", "ml-100k"], "fresh_seeds": True},
    "lowrank_younger": {"dataset": ["ml-100k"], "seed": [0, 1, 2, 3, 4]},
    "lowrank_figure2": {"dataset": ["gowalla"], "svm_components": [5, *range(10, 101, 10)]},
    "lowrank_figure3": {
        "attack": ["recsys19"],
        "victim": "pmf",
        "svd_ranks": [10, 20, 30, 50, 80, 100, 120, 150, 200],
    },
    "lowrank_figure4": {"victim": "pmf", "pmf_dims": [5, 10, 20, 40, 60, 80, 100]},
    "lowrank_figure5": {"victim": "pmf", "seed": [0, 1, 2, 3, 4]},
    "lowrank_figure6": {"figure6_ranks": [50, 150], "shares": [0, 20, 40, 60, 80, 100]},
    "audit": {"dataset": ["ml-1m"], "unit": "relative"},
}


@pytest.mark.parametrize("module", CONSTANTS)
def test_constants_are_what_they_were(module):
    for name, value in CONSTANTS[module].items():
        assert getattr(import_module(module), name) == value, name


@pytest.mark.parametrize("experiment", PAPER)
def test_the_paper_preset_has_the_papers_values(experiment):
    values = flags.values(experiment, {})
    assert {name: values[name] for name in PAPER[experiment]} == PAPER[experiment]
