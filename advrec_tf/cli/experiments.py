"""The experiments by name, and groups of them that read the same flags."""

from typing import NamedTuple


class Entry(NamedTuple):
    """An experiment.

    module: below `experiments`.  kind: perturbed, board or poisoned, which says most of its flags.
    """

    module: str
    help: str
    kind: str = ""


EXPERIMENTS = {
    "table1": Entry(
        "multistep.table1", "Table 1: six metrics before and after FGSM, BIM and PGD", "perturbed"
    ),
    "iterations": Entry(
        "multistep.iterations", "Figure 1: performance over iterations", "perturbed"
    ),
    "budget": Entry(
        "multistep.budget", "Figure 2: performance over epsilon, and certified bounds", "perturbed"
    ),
    "characteristics": Entry(
        "multistep.characteristics",
        "Figure 3: density, size and shape of sub-samples",
        "perturbed",
    ),
    "low_rank_against_perturbations": Entry(
        "low_rank_against_perturbations",
        "both papers: does projecting the factors stop FGSM, BIM and PGD?",
        "perturbed",
    ),
    "robustness": Entry(
        "leaderboard",
        "a leaderboard of factors under an ensemble of attacks, in units that no scale can fake",
        "board",
    ),
    "convergence": Entry(
        "convergence",
        "whether the leaderboard's attack on held-out items has converged",
        "board",
    ),
    "stability": Entry(
        "stability",
        "what storage, another training, new data and fake users do to factors and lists",
        "board",
    ),
    "promotion": Entry(
        "promotion",
        "how far rows of factors must move before an item enters many lists",
        "board",
    ),
    "baselines": Entry(
        "today.baselines",
        "LightGCN, SASRec and others beside published accuracies, with learning curves",
        "today",
    ),
    "surfaces": Entry(
        "today.surfaces",
        "LightGCN and SASRec attacked at their factors and at the tables before them",
        "today",
    ),
    "compare": Entry("compare", "a gate for releases: two trainings of your model, and bounds"),
    "poison": Entry(
        "lowrank.poison", "fake profiles, and recommenders before and after", "poisoned"
    ),
    "lowrank_table1": Entry(
        "lowrank.table1",
        "Table I: fake users found by PCA and an SVM, and detectors on other attacks",
        "poisoned",
    ),
    "lowrank_table2": Entry(
        "lowrank.table2", "Table II: local low-rank reconstruction", "poisoned"
    ),
    "lowrank_table3": Entry(
        "lowrank.table3",
        "Table III: local low-rank reconstruction under several attacks",
        "poisoned",
    ),
    "lowrank_controls": Entry(
        "lowrank.controls",
        "what explains Tables II and III: other seeds and orders of users",
        "poisoned",
    ),
    "lowrank_recsys19": Entry(
        "lowrank.recsys19",
        "RecSys19 in its parts: GAN, zeroth-order steps, an ideal GAN, forced targets",
        "poisoned",
    ),
    "lowrank_adaptive": Entry(
        "lowrank.adaptive", "the defences under RecSys20 that knows of them", "poisoned"
    ),
    "lowrank_younger": Entry(
        "lowrank.later_defenses",
        "later defences: adversarial training by user, and a certified ensemble",
        "poisoned",
    ),
    "lowrank_figure1": Entry(
        "lowrank.figure1", "Figure 1: users on two principal components", "poisoned"
    ),
    "lowrank_figure2": Entry(
        "lowrank.figure2", "Figure 2: the SVM's recall over components and kernels", "poisoned"
    ),
    "lowrank_figure3": Entry(
        "lowrank.figure3", "Figure 3: PMF on reconstructed ratings over the SVD rank", "poisoned"
    ),
    "lowrank_figure4": Entry(
        "lowrank.figure4", "Figure 4: the same over the length of PMF's factors", "poisoned"
    ),
    "lowrank_figure5": Entry("lowrank.figure5", "Figure 5: PMF's factors transformed", "poisoned"),
    "lowrank_figure6": Entry("lowrank.figure6", "Figure 6: more and more new ratings", "poisoned"),
    "audit": Entry("audit", "how much perturbation anyone's factors withstand"),
    "claims": Entry("claims", "the papers' statements, on what was measured"),
    "verdict": Entry(
        "lowrank.verdict",
        "the low-rank paper's statements, what they come from, and all of its pages in one",
    ),
    "detect": Entry("detect", "how many of the fake users in files are found"),
    "split": Entry("split", "train and test of your own table as files, for any library"),
    "describe": Entry("describe", "statistics of data and of fake profiles"),
}


def _of_kind(kind: str) -> tuple[str, ...]:
    """Return the names of the experiments of a kind."""
    return tuple(name for name, entry in EXPERIMENTS.items() if entry.kind == kind)


PERTURBED = _of_kind("perturbed")
BOARD = _of_kind("board")
POISONED = _of_kind("poisoned")
TODAY = _of_kind("today")
TRAINING = (*PERTURBED, *BOARD)  # experiments that train BPR-MF and AMF
MEASURED = (*TRAINING, *TODAY, *POISONED)
WITH_DATA = (*MEASURED, "audit", "compare", "split", "detect", "describe")
WITH_VICTIMS = tuple(
    name for name in POISONED if name not in ("lowrank_figure1", "lowrank_figure2")
)
WITH_PMF = ("lowrank_figure3", "lowrank_figure4", "lowrank_figure5", "lowrank_figure6")
WITH_ML100K = ("lowrank_table3", "lowrank_recsys19", "lowrank_younger", *WITH_PMF)
WITH_GOWALLA = (
    "poison",
    "lowrank_table1",
    "lowrank_table2",
    "lowrank_figure1",
    "lowrank_figure2",
)
# The experiments that choose their attacks themselves; all but the first also their recommenders.
FIXED_ATTACKS = ("lowrank_table3", "lowrank_recsys19", "lowrank_adaptive", "lowrank_younger")
FIXED_VICTIMS = (*FIXED_ATTACKS[1:], "lowrank_controls")
