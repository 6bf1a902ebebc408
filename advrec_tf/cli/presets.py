"""The defaults of flags in each preset, where they are not those of the configurations."""

from typing import Any, NamedTuple

from advrec_tf.cli.experiments import (
    BOARD,
    EXPERIMENTS,
    POISONED,
    TODAY,
    WITH_GOWALLA,
    WITH_ML100K,
    WITH_PMF,
    WITH_VICTIMS,
)

PRESETS = ("paper", "quick")


class Override(NamedTuple):
    """Defaults of some flags in some presets and experiments."""

    presets: tuple[str, ...]
    experiments: tuple[str, ...]
    values: dict[str, Any]


_PAPER, _QUICK = ("paper",), ("quick",)
_ITERATIONS = [1, *range(10, 301, 10)]
_EPSILONS = [
    round(digits * 10.0**power, 6) for power in (-3, -2, -1, 0) for digits in (1, 2.5, 5, 7.5)
]

# The last row that names a flag wins.
OVERRIDES = (
    Override(PRESETS, ("table1",), {"model_selection": ["best", "last", "published"]}),
    Override(PRESETS, ("iterations",), {"iterations": sorted([*_ITERATIONS, 25])}),
    Override(PRESETS, ("budget",), {"epsilon": [*_EPSILONS, 10.0]}),
    Override(PRESETS, ("budget", "low_rank_against_perturbations"), {"iterations": [25]}),
    Override(
        PRESETS,
        ("characteristics",),
        {"iterations": [1, 2, 3, 4, 5, 6, 8, 10, 15, 20, 25, 30]},
    ),
    Override(PRESETS, POISONED, {"split": "80:20"}),
    Override(PRESETS, WITH_PMF, {"attack": ["recsys19"], "victim": "pmf"}),
    Override(PRESETS, ("lowrank_controls",), {"attack": [], "fresh_seeds": False}),
    Override(_PAPER, ("characteristics", *BOARD), {"epochs": 1300, "bprmf_epochs": 1000}),
    Override(
        _PAPER,
        ("characteristics",),
        {"epsilon": [0.25, 0.5, 1.0], "model_selection": ["best", "last"]},
    ),
    Override(_PAPER, BOARD, {"dataset": ["ml-1m", "ml-100k"]}),
    Override(_PAPER, ("robustness",), {"seed": [0, 1, 2]}),
    Override(
        _PAPER,
        ("stability",),
        {"seed": [0, 1, 2, 3, 4], "dataset": ["ml-1m", "ml-100k", "lastfm-2k"]},
    ),
    Override(
        _PAPER,
        ("convergence",),
        {
            "entries": [
                *("BPR-MF", "AMF", "iALS-64", "SVD-16:normalised"),
                *("iALS-64:32:normalised", "iALS-128:64:normalised"),
            ]
        },
    ),
    Override(_PAPER, ("baselines",), {"dataset": ["ml-1m", "gowalla-lightgcn"]}),
    Override(_PAPER, ("surfaces",), {"dataset": ["ml-1m", "ml-100k"]}),
    Override(_PAPER, TODAY, {"seed": [0, 1, 2]}),
    Override(_PAPER, WITH_VICTIMS, {"seed": [0, 1, 2, 3, 4]}),
    Override(_PAPER, ("lowrank_recsys19",), {"seed": [*range(16)]}),
    Override(_PAPER, WITH_GOWALLA, {"dataset": ["gowalla"]}),
    Override(_PAPER, WITH_ML100K, {"dataset": ["ml-100k"]}),
    Override(_PAPER, ("lowrank_controls", "lowrank_adaptive"), {"dataset": ["gowalla", "ml-100k"]}),
    Override(_PAPER, ("audit",), {"dataset": ["ml-1m"]}),
    Override(_PAPER, ("lowrank_table3",), {"patches": ["200x50"]}),
    Override(_PAPER, ("lowrank_controls",), {"patches": None}),
    Override(
        _QUICK,
        tuple(EXPERIMENTS),
        {
            "dataset": ["synthetic"],
            "seed": [0, 1],
            "epochs": 120,
            "lightgcn_epochs": 30,
            "sasrec_epochs": 8,
            "amf_start": 60,
            "keep_epochs": [],
            "attack_draws": 2,
            "cores": [5, 10, 15, 20, 25],
            "entries": [
                *("BPR-MF", "AMF", "rescaled BPR-MF", "iALS-64", "SVD-16", "MostPopular"),
                *("MarginMF", "AMF:normalised", "iALS-64:normalised", "iALS-64:8:normalised"),
                "SVD-16:normalised",
            ],
            "fakes": 24,
            "outer_epochs": 4,
            "surrogate_dim": 8,
            "gan_epochs": 2,
            "victim_dim": 8,
            "patches": ["50x20", "100x10", "fullx40"],
            "svd_ranks": [5, 20, 80],
            "pmf_dims": [4, 8],
            "figure6_ranks": [20],
            "shares": [0.0, 100.0],
            "svm_components": [2, 4],
            "folds": 3,
            "other_outer_epochs": 2,
        },
    ),
    Override(_QUICK, ("audit", "lowrank_figure2"), {"seed": [0]}),
    Override(_QUICK, ("convergence",), {"entries": ["BPR-MF", "iALS-64"]}),
)


def preset_default(name: str, default: Any, experiment: str, preset: str) -> Any:
    """Return the default of flag `name`, which is `default` unless a row of OVERRIDES says else."""
    for row in OVERRIDES:
        if preset in row.presets and experiment in row.experiments:
            default = row.values.get(name, default)
    return default
