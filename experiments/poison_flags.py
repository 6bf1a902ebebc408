"""The flags of the experiments on poisoned data, and what they stand for."""

import math
from pathlib import Path

from absl import flags

from advrec_tf.data import GROUPS, Interactions, check_targets, choose_targets
from advrec_tf.defenses.low_rank import CHOICES, ENTER
from advrec_tf.errors import UserError
from advrec_tf.training import PMFSettings, Settings, WRMFSettings
from experiments.attacks import ATTACKS, Plan
from experiments.defended import Setting

FLAGS = flags.FLAGS
VICTIMS = ("wrmf", "pmf")
# What the paper's setting of each experiment is measured on, and against what.
_GOWALLA = {"dataset": ["gowalla"], "seed": [0, 1, 2, 3, 4], "attack": ["recsys20"]}
_ML100K = {"dataset": ["ml-100k"], "seed": [0, 1, 2, 3, 4], "attack": ["recsys19"]}
EXPERIMENTS = {
    "poison": _GOWALLA,
    **{f"lowrank_{name}": _GOWALLA for name in ("table1", "table2", "figure1", "figure2")},
    **{f"lowrank_{name}": _ML100K for name in ("table3", "figure3", "figure4", "figure5", "figure6")},
}
PMF_EXPERIMENTS = ("lowrank_figure3", "lowrank_figure4", "lowrank_figure5", "lowrank_figure6")
# What the papers' setting is where a flag does not say, and what serves a look on synthetic data.
PRESETS = {
    "paper": {
        "fakes": None,
        "victim_epochs": 50,
        "victim_dim": None,
        "surrogate_epochs": 50,
        "surrogate_dim": 128,
        "unrolled_epochs": 10,
        "outer_epochs": None,
        "gan_epochs": 64,
        "patches": None,
        "svd_ranks": [10, 20, 30, 50, 80, 100, 120, 150, 200],
        "pmf_dims": [5, 10, 20, 40, 60, 80, 100],
        "figure6_ranks": [50, 150],
        "shares": [0, 20, 40, 60, 80, 100],
        "svm_components": [5, *range(10, 101, 10)],
        "folds": 10,
        "other_outer_epochs": 10,
    },
    "quick": {
        "fakes": 24,
        "victim_epochs": 50,
        "victim_dim": 8,
        "surrogate_epochs": 50,
        "surrogate_dim": 8,
        "unrolled_epochs": 10,
        "outer_epochs": 4,
        "gan_epochs": 2,
        "patches": ["50x20", "100x10", "fullx40"],
        "svd_ranks": [5, 20, 80],
        "pmf_dims": [4, 8],
        "figure6_ranks": [20],
        "shares": [0, 100],
        "svm_components": [2, 4],
        "folds": 3,
        "other_outer_epochs": 2,
    },
}

flags.DEFINE_list("attack", None, f"poison: attacks among none, {', '.join(ATTACKS)}, or several joined with + [recsys20]")
flags.DEFINE_list("profiles", None, "poison, describe: files of fake profiles (.npz), as an attack of their own")
flags.DEFINE_integer("fakes", None, "fake profiles of an attack [1% of the users; ML-100K: 125]", lower_bound=1)
flags.DEFINE_list("targets", None, "item numbers that an attack promotes [five of --target_group]")
flags.DEFINE_list("target_group", ["head"], f"groups of items the targets are drawn from: {', '.join(GROUPS)}")
flags.DEFINE_integer("target_count", 5, "targets drawn", lower_bound=1)
flags.DEFINE_integer("target_seed", 0, "seed of the targets drawn")
flags.DEFINE_integer("attack_seed", 0, "seed of the attacks")
flags.DEFINE_enum("victim", None, list(VICTIMS), "recommender that is trained on the poisoned data [wrmf; of Figures 3 to 6 pmf]")
flags.DEFINE_integer("victim_epochs", None, "its epochs [50]", lower_bound=1)
flags.DEFINE_integer("victim_dim", None, "length of its embeddings [128; PMF 10]", lower_bound=1)
flags.DEFINE_enum("solver", "sgd", ["sgd", "als"], "how the victim WRMF is trained")
flags.DEFINE_float("als_regularization", 10.0, "WRMF by als: weight of the squared factors")
flags.DEFINE_float("positive_weight", 20.0, "WRMF: weight of what was clicked; all else has 1")
flags.DEFINE_float("pmf_regularization", 0.1, "PMF: strength of the priors")
flags.DEFINE_float("pmf_learning_rate", 0.002, "PMF: learning rate")
flags.DEFINE_bool("pmf_biases", False, "PMF: with biases of users and items")
flags.DEFINE_integer("outer_epochs", None, "steps of an attack on its profiles [recsys20: 30; recsys19: 10]", lower_bound=1)
flags.DEFINE_integer("surrogate_epochs", None, "recsys20: epochs of the surrogate [50]", lower_bound=1)
flags.DEFINE_integer("surrogate_dim", None, "recsys20: length of the surrogate's embeddings [128]", lower_bound=1)
flags.DEFINE_enum("surrogate_solver", "sgd", ["sgd", "als"], "recsys20: how the surrogate is trained")
flags.DEFINE_integer("unrolled_epochs", None, "recsys20: its last epochs that are differentiated through [10]", lower_bound=1)
flags.DEFINE_integer("click_limit", 100, "recsys20: the fakes start from the first users with at most this many clicks", lower_bound=1)
flags.DEFINE_integer("clicks", None, "most clicks of a fake profile [recsys20: no limit; heuristics: the users' mean]", lower_bound=1)
flags.DEFINE_bool("click_targets", False, "recsys20: every profile clicks all targets")
flags.DEFINE_bool("fresh_seeds", True, "recsys20: each outer epoch's surrogate has a seed of its own; --nofresh_seeds as in the public code")
flags.DEFINE_integer("gan_epochs", None, "recsys19: epochs of the GAN [64]", lower_bound=1)
flags.DEFINE_integer("zo_directions", 5, "recsys19: directions a zeroth-order step probes", lower_bound=1)
flags.DEFINE_float("zo_smoothing", 50.0, "recsys19: length of a probe")
flags.DEFINE_float("zo_step", 100.0, "recsys19: step size")
flags.DEFINE_enum("zo_goal", "hit_ratio", ["hit_ratio", "score"], "recsys19: what its steps raise")
flags.DEFINE_enum("zo_recommender", "wrmf", list(VICTIMS), "recsys19: the oblivious recommender it probes")

flags.DEFINE_list("patches", None, "reconstructions as SIZExRANK or fullxRANK [as the paper's table]")
flags.DEFINE_enum("enter", "binarize", list(ENTER[:-1]), "how reconstructed values enter WRMF")
flags.DEFINE_float("threshold", 0.5, "reconstructed values above this count", lower_bound=0.1)
flags.DEFINE_integer("shuffle_seed", None, "cut patches from rows and columns shuffled by this seed [in the order given]")
flags.DEFINE_list("svd_ranks", None, "ranks of Figures 3 to 6 and of the experiment on perturbations")
flags.DEFINE_list("pmf_dims", None, "lengths of PMF's factors in Figure 4")
flags.DEFINE_list("figure6_ranks", None, "SVD ranks of Figure 6 [50, 150]")
flags.DEFINE_list("shares", None, "percentages of new ratings in Figure 6 [0, 20, ..., 100]")
flags.DEFINE_enum("choose_ratings", "magnitude", list(CHOICES), "which new ratings are taken first")
flags.DEFINE_list("svm_components", None, "principal components in Figure 2")
flags.DEFINE_integer("folds", None, "folds of the detectors' cross-validation [10]", lower_bound=2)
flags.DEFINE_integer("other_outer_epochs", None, "outer epochs of the attack run that detectors have not seen [10]", lower_bound=1)

flags.register_validator("positive_weight", lambda value: 0 < value < math.inf, "must be a number above 0")
for _name in ("als_regularization", "pmf_regularization", "pmf_learning_rate", "zo_smoothing", "zo_step"):
    flags.register_validator(_name, lambda value: math.isfinite(value) and value >= 0, "must be a number from 0 up")


def setting(name: str):
    """A flag's value, or the preset's where the flag was not given."""
    return PRESETS[FLAGS.preset][name] if FLAGS[name].value is None else FLAGS[name].value


def _recommender(name: str, dim: int | None = None) -> Settings:
    if name == "pmf":
        return PMFSettings(
            embedding_dim=dim or 10, learning_rate=FLAGS.pmf_learning_rate, regularization=FLAGS.pmf_regularization, biases=FLAGS.pmf_biases
        )
    return _wrmf(dim or 128, FLAGS.solver)


def _wrmf(dim: int, solver: str) -> WRMFSettings:
    decay = FLAGS.als_regularization if solver == "als" else WRMFSettings.decay
    return WRMFSettings(embedding_dim=dim, decay=decay, weight=FLAGS.positive_weight, solver=solver)


def targets(data: Interactions, group: str) -> tuple[int, ...]:
    """The items that are promoted.  Raises UserError for one that is not in the data."""
    if FLAGS.targets is None:
        if group not in GROUPS:
            raise UserError(f"--target_group must be of {', '.join(GROUPS)}, not {group!r}")
        return choose_targets(data, group, FLAGS.target_count, FLAGS.target_seed)
    if not all(text.isdecimal() for text in FLAGS.targets):
        raise UserError(f"--targets must be item numbers with commas between, not {','.join(FLAGS.targets)}")
    chosen = tuple(map(int, FLAGS.targets))
    check_targets(data, chosen)
    return chosen


def fakes(data: Interactions) -> int:
    """How many fake profiles an attack makes.  Raises UserError when they are more than the users."""
    count = setting("fakes") or (125 if data.name == "ml-100k" else max(1, data.n_users // 100))
    if count > data.n_users:
        raise UserError(f"--fakes={count} are more than the {data.n_users} users of {data.name}")
    return count


def attack_plan(data: Interactions, group: str) -> Plan:
    """Everything the attacks of this run depend on."""
    surrogate = _wrmf(setting("surrogate_dim"), FLAGS.surrogate_solver)
    recsys20 = {
        "surrogate": surrogate,
        "epochs": setting("surrogate_epochs"),
        "unrolled_epochs": setting("unrolled_epochs"),
        "click_limit": FLAGS.click_limit,
        "clicks": FLAGS.clicks,
        "click_targets": FLAGS.click_targets,
        "fresh_seeds": FLAGS.fresh_seeds,
    }
    if recsys20["unrolled_epochs"] > recsys20["epochs"]:
        raise UserError(f"--unrolled_epochs ({recsys20['unrolled_epochs']}) are more than --surrogate_epochs ({recsys20['epochs']})")
    recsys19 = {
        "recommender": _recommender(FLAGS.zo_recommender),
        "gan_epochs": setting("gan_epochs"),
        "directions": FLAGS.zo_directions,
        "smoothing": FLAGS.zo_smoothing,
        "step_size": FLAGS.zo_step,
        "goal": FLAGS.zo_goal,
    }
    options = {"recsys20": recsys20, "recsys19": recsys19}
    return Plan(
        fakes(data), targets(data, group), options, FLAGS.clicks, setting("outer_epochs"), FLAGS.attack_seed, Path(FLAGS.output_dir) / "profiles"
    )


def setting_of(data: Interactions, seeds: list[int]) -> Setting:
    """What the experiments on these data depend on."""
    if not FLAGS.target_group or (FLAGS.targets is not None and len(FLAGS.target_group) > 1):
        raise UserError("--target_group must name a group, and one only beside --targets")
    plans = {group: attack_plan(data, group) for group in FLAGS.target_group}
    k = FLAGS.k or (50 if data.name == "gowalla" else 10)
    victim = _recommender(FLAGS.victim or ("pmf" if FLAGS.experiment in PMF_EXPERIMENTS else "wrmf"), setting("victim_dim"))
    return Setting(data, plans, victim, setting("victim_epochs"), seeds, k, Path(FLAGS.output_dir), _options(data))


def _options(data: Interactions) -> dict:
    """What single experiments on defences need."""
    others = ["bandwagon", "random", "recsys20", *(["recsys19"] if data.n_items < 5000 else [])]  # the GAN of a large catalogue takes a day
    numbers = {name: _numbers(name) for name in ("svd_ranks", "pmf_dims", "svm_components", "figure6_ranks")}
    reconstruction = {"enter": FLAGS.enter, "threshold": FLAGS.threshold, "shuffle_seed": FLAGS.shuffle_seed}
    ratings = {"choose": FLAGS.choose_ratings}
    given = [_patch(text) for text in setting("patches") or []]
    numbers |= {"shares": _numbers("shares", float, 0, 100)}
    return {"patches": given, "reconstruction": reconstruction, "ratings": ratings, "other_attacks": others, **numbers} | {
        name: setting(name) for name in ("other_outer_epochs", "folds")
    }


def svd_ranks() -> list[int]:
    """The ranks of the experiment on perturbations."""
    return sorted(_numbers("svd_ranks"))


def _numbers(name: str, kind: type = int, low: float = 1, high: float = math.inf) -> list:
    """A list flag as different numbers within bounds."""
    texts = list(map(str, setting(name)))
    try:
        numbers = [kind(text) for text in texts]
    except ValueError:
        numbers = []
    if not numbers or len(set(numbers)) < len(numbers) or not all(low <= number <= high for number in numbers):
        what, bounds = "whole numbers" if kind is int else "numbers", f"from {low} up" if high == math.inf else f"from {low} to {high}"
        raise UserError(f"--{name} must be different {what} {bounds} with commas between, not {','.join(texts)}")
    return numbers


def _patch(text: str) -> tuple[int | None, int]:
    """SIZExRANK or fullxRANK."""
    size, _, rank = text.partition("x")
    if not (rank.isdecimal() and (size == "full" or size.isdecimal())):
        raise UserError(f"--patches must be SIZExRANK or fullxRANK with commas between, not {text!r}")
    if int(rank) < 1 or (size != "full" and int(rank) > int(size)):
        raise UserError(f"--patches: the rank {rank} must lie in 1 ... {'the size of the matrix' if size == 'full' else size}")
    return None if size == "full" else int(size), int(rank)


def attack_names() -> list[str]:
    """The attacks asked for.  Raises UserError for one that is not known."""
    names = FLAGS.attack if FLAGS.attack is not None else [] if FLAGS.profiles else EXPERIMENTS[FLAGS.experiment]["attack"]
    for name in names:
        unknown = [part for part in name.split("+") if part not in (*ATTACKS, *(["none"] if name == "none" else []))]
        if unknown:
            raise UserError(f"--attack must be of none, {', '.join(ATTACKS)}, or several of them joined with +, not {name!r}")
    return list(dict.fromkeys(names))
