"""Options of runs that belong to no configuration of a model or an attack, each a flag."""

import os
from dataclasses import dataclass

from advrec_tf.cli.presets import PRESETS
from advrec_tf.data.choices import GROUPS, K_CORES, SPLITS
from advrec_tf.data.sources import NAMES
from advrec_tf.defenses.choices import CHOICES, CONVERSIONS, FLOOR, PARTIAL
from advrec_tf.options import option
from advrec_tf.perturbations import EMBEDDING_ATTACKS, PGD_INIT
from advrec_tf.poisoning.settings import POISONING_ATTACKS
from advrec_tf.recommenders import RECOMMENDERS

MAX_SEED = 2**32 - 1  # the highest that every library takes
MAX_DIM = 10_000


@dataclass(frozen=True)
class RunOptions:
    """Where and how a run works; apart from the preset, nothing here changes a result."""

    preset: str = option(
        "paper",
        help="the paper's setting, or one of minutes on synthetic data; single flags override it",
        choices=PRESETS,
    )
    output_dir: str = option("results", help="where results and trained weights are stored")
    progress: bool = option(
        True, help="show progress: bars in a terminal, a line a minute in a log"
    )
    workers: int = option(
        os.cpu_count(),
        help="processes on this machine; each has several threads if there are fewer jobs",
        low=1,
    )
    backend: str = option(
        "loky",
        help="processes on this machine (loky), or the workers of a running cluster",
        choices=("loky", "dask", "ray"),
    )
    job_threads: int = option(
        1, help="threads of a job on a cluster; Ray reserves as many CPUs for it", low=1
    )
    job_memory: float = option(
        0,
        help="GB reserved for a job on a cluster: of Ray's memory, or of Dask's resource memory",
        low=0,
    )
    save_every: int = option(50, help="epochs between checkpoints", low=1)


@dataclass(frozen=True)
class DataOptions:
    """Which interactions are read, how they are split, and what is drawn."""

    dataset: tuple[str, ...] = option(
        ("ml-1m", "lastfm"),
        help=f"names among {', '.join(NAMES)}, or paths of your own tables or folders",
    )
    data_dir: str | None = option(
        None, help="holds one folder a data set [$ADVREC_DATA_DIR, else the user's cache folder]"
    )
    split: str | None = option(
        None,
        help="what is held out of each user [last where there are timestamps]",
        choices=SPLITS,
    )
    split_seed: int = option(
        0,
        help="seed of a random hold-out and of synthetic data; the same for all --seed",
        low=0,
        high=MAX_SEED,
    )
    columns: tuple[str, ...] | None = option(
        None,
        help="columns of your own table, as user=NAME_OR_POSITION,item=...,timestamp=...",
    )
    seed: tuple[int, ...] = option(
        (0,),
        help="seeds of training, negatives, PGD's start and Random; "
        "several give mean and deviation",
        low=0,
        high=MAX_SEED,
    )
    k: int | None = option(None, help="length of the lists [10; on poisoned Gowalla 50]", low=1)


@dataclass(frozen=True)
class EpochOptions:
    """How long BPR-MF and AMF are trained."""

    epochs: int = option(2000, help="epochs of BPR-MF, and the epoch at which AMF ends", low=1)
    bprmf_epochs: int | None = option(
        None, help="epochs of BPR-MF, if it is to end before AMF does [--epochs]", low=1
    )


@dataclass(frozen=True)
class TodayOptions:
    """Which recommenders of today are trained, and for how long."""

    models: tuple[str, ...] = option(
        ("LightGCN", "LightGCN-APR", "SASRec", "SASRec-APR"),
        help="BPR-MF, iALS, LightGCN, SASRec, and the last two with -APR (trained adversarially); "
        "SASRec is left out where there are no timestamps. surfaces also takes changed factors, "
        "as LightGCN:normalised or LightGCN:32:normalised",
    )
    lightgcn_epochs: int | None = option(
        None,
        help="epochs of LightGCN and BPR-MF [100; gowalla-lightgcn 240, 160; ml-100k 30]",
        low=1,
    )
    sasrec_epochs: int | None = option(None, help="epochs of SASRec [100; ml-1m 50]", low=1)


@dataclass(frozen=True)
class SelectionOptions:
    """Which epochs are kept and measured."""

    keep_epochs: tuple[int, ...] = option(
        (377, 1000, 1162), help="further epochs whose weights are kept", low=0
    )
    model_selection: tuple[str, ...] = option(
        ("best",),
        help="which epochs are measured: best (by test HR@10), last, "
        "published (the paper's), epoch:N",
    )


@dataclass(frozen=True)
class PerturbationOptions:
    """The perturbations that are measured, and on which sub-samples."""

    epsilon: tuple[float, ...] = option(
        (0.5,), help="epsilons of the perturbations that are measured", low=0
    )
    step_size: float | None = option(
        None, help="step of the attacks that have iterations [a quarter of epsilon]", low=0
    )
    iterations: tuple[int, ...] = option(
        (1, *range(10, 301, 10)), help="iteration counts at which they are measured", low=1
    )
    pgd_init: float = option(PGD_INIT, help="PGD starts uniform in plus or minus this", low=0)
    more_attacks: tuple[str, ...] = option(
        (),
        help="attacks beyond the paper's that are measured too, among "
        + ", ".join(EMBEDDING_ATTACKS),
    )
    attack_draws: int = option(
        3,
        help="draws of negatives and of PGD's start for each model of the first selection",
        low=1,
    )
    save_lists: bool = option(
        False, help="write the lists of every point (user, item, rank, score) beside the results"
    )
    k_core: str = option(
        "single_pass", help="how sub-samples are cut [as the paper]", choices=K_CORES
    )
    cores: tuple[int, ...] = option(
        tuple(range(10, 101, 10)),
        help="fewest interactions of a user or item in each of the sub-samples",
        low=0,
    )


@dataclass(frozen=True)
class PoisoningOptions:
    """Which fake profiles there are."""

    attack: tuple[str, ...] = option(
        ("recsys20",),
        help=f"attacks among none, {', '.join(POISONING_ATTACKS)}, or several joined with + "
        "[unless --profiles are given]",
    )
    profiles: tuple[str, ...] = option(
        (),
        help="files of fake profiles, each an attack of its own: .npz, .csv, .json, or .txt with a "
        "fake and its items on each line",
    )
    fakes: int | None = option(
        None, help="fake profiles of an attack [1% of the users; ML-100K: 125]", low=1
    )
    targets: tuple[int, ...] | None = option(
        None, help="item numbers that an attack promotes [some of --target_group]", low=0
    )
    target_ids: tuple[str, ...] | None = option(
        None, help="the same by the ids of the data, in place of --targets"
    )
    target_group: tuple[str, ...] = option(
        ("head",), help=f"groups of items the targets are drawn from: {', '.join(GROUPS)}"
    )
    target_count: int | None = option(
        None, help="targets drawn [5, or all of a smaller group]", low=1
    )
    target_seed: int = option(0, help="seed of the targets drawn", low=0, high=MAX_SEED)
    attack_seed: tuple[int, ...] = option(
        (0,), help="seeds of the attacks; poison alone takes several", low=0, high=MAX_SEED
    )
    outer_epochs: int | None = option(
        None, help="steps of an attack on its profiles [recsys20: 30; recsys19: 10]", low=1
    )
    clicks: int | None = option(
        None,
        help="most clicks of a fake profile [recsys20: no limit; heuristics: the users' mean]",
        low=1,
    )


@dataclass(frozen=True)
class PoisonedRecommenderOptions:
    """The recommender that is trained on the poisoned data."""

    recommender: str = option(
        "wrmf",
        help="recommender that is trained on the poisoned data",
        choices=tuple(RECOMMENDERS),
    )
    epochs: int = option(50, help="its epochs", low=1)
    embedding_dim: int | None = option(
        None, help="length of its embeddings [wrmf 128, pmf 10]", low=1, high=MAX_DIM
    )


@dataclass(frozen=True)
class DefenseOptions:
    """The defences against poisoned data."""

    patches: tuple[str, ...] | None = option(
        ("100x90", "300x80", "150x20", "fullx3500", "fullx5000"),
        help="reconstructions as SIZExRANK or fullxRANK "
        "[lowrank_controls: those of the data set's table]",
    )
    enter: str = option(
        "binarize",
        help="how reconstructed values become WRMF's training data",
        choices=CONVERSIONS[:-1],
    )
    threshold: float = option(0.5, help="reconstructed values above this count", low=FLOOR)
    partial_patches: str = option(
        PARTIAL[0],
        help="what happens to users and items that are left for incomplete last patches",
        choices=PARTIAL,
    )
    shuffle_seed: int | None = option(
        None,
        help="cut patches from rows and columns shuffled by this seed [in the order given]",
        low=0,
        high=MAX_SEED,
    )
    svd_ranks: tuple[int, ...] = option(
        (10, 20, 30, 50, 80, 100, 120, 150, 200), help="ranks that are compared", low=1
    )
    pmf_dims: tuple[int, ...] = option(
        (5, 10, 20, 40, 60, 80, 100), help="lengths of PMF's factors", low=1, high=MAX_DIM
    )
    figure6_ranks: tuple[int, ...] = option((50, 150), help="SVD ranks", low=1)
    shares: tuple[float, ...] = option(
        (0.0, 20.0, 40.0, 60.0, 80.0, 100.0), help="percentages of new ratings", low=0, high=100
    )
    choose_ratings: str = option(
        CHOICES[0], help="which new ratings are taken first", choices=CHOICES
    )
    svm_components: tuple[int, ...] = option(
        (5, *range(10, 101, 10)), help="principal components", low=1, high=MAX_DIM
    )
    folds: int = option(10, help="folds of the detectors' cross-validation", low=2)
    other_outer_epochs: int = option(
        10, help="outer epochs of the attack run that detectors have not seen", low=1
    )
