"""The flags of the experiments on poisoned data, and what they stand for."""

import math
from pathlib import Path

from absl import flags

from advrec_tf.data import GROUPS, Interactions, check_targets, choose_targets
from advrec_tf.errors import UserError
from advrec_tf.training import PMFSettings, Settings, WRMFSettings
from experiments.attacks import ATTACKS, Plan

FLAGS = flags.FLAGS
VICTIMS = ("wrmf", "pmf")
# What the papers' setting is where a flag does not say, and what serves a look on synthetic data.
PRESETS = {
    "paper": {
        "victim_epochs": 50,
        "victim_dim": None,
        "surrogate_epochs": 50,
        "surrogate_dim": 128,
        "unrolled_epochs": 10,
        "outer_epochs": None,
        "gan_epochs": 64,
    },
    "quick": {
        "victim_epochs": 25,
        "victim_dim": 8,
        "surrogate_epochs": 25,
        "surrogate_dim": 8,
        "unrolled_epochs": 10,
        "outer_epochs": 4,
        "gan_epochs": 2,
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
flags.DEFINE_enum("victim", "wrmf", list(VICTIMS), "recommender that is trained on the poisoned data")
flags.DEFINE_integer("victim_epochs", None, "its epochs [50]", lower_bound=1)
flags.DEFINE_integer("victim_dim", None, "length of its embeddings [128; PMF 10]", lower_bound=1)
flags.DEFINE_enum("solver", "sgd", ["sgd", "als"], "how the victim WRMF is trained")
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
flags.DEFINE_integer("gan_epochs", None, "recsys19: epochs of the GAN [64]", lower_bound=1)
flags.DEFINE_integer("zo_directions", 5, "recsys19: directions a zeroth-order step probes", lower_bound=1)
flags.DEFINE_float("zo_smoothing", 50.0, "recsys19: length of a probe")
flags.DEFINE_float("zo_step", 100.0, "recsys19: step size")
flags.DEFINE_enum("zo_goal", "hit_ratio", ["hit_ratio", "score"], "recsys19: what its steps raise")
flags.DEFINE_enum("zo_recommender", "wrmf", list(VICTIMS), "recsys19: the oblivious recommender it probes")

for _name in ("positive_weight", "pmf_regularization", "pmf_learning_rate", "zo_smoothing", "zo_step"):
    flags.register_validator(_name, lambda value: math.isfinite(value) and value >= 0, "must be a number from 0 up")


def setting(name: str):
    """A flag's value, or the preset's where the flag was not given."""
    return PRESETS[FLAGS.preset][name] if FLAGS[name].value is None else FLAGS[name].value


def victim() -> tuple[Settings, int]:
    """The recommender that is attacked, and its epochs."""
    return _recommender(FLAGS.victim, setting("victim_dim")), setting("victim_epochs")


def list_length(data: Interactions) -> int:
    """The papers' length of the lists: 50 on Gowalla, else 10."""
    return FLAGS.k or (50 if data.name == "gowalla" else 10)


def _recommender(name: str, dim: int | None = None) -> Settings:
    if name == "pmf":
        return PMFSettings(
            embedding_dim=dim or 10, learning_rate=FLAGS.pmf_learning_rate, regularization=FLAGS.pmf_regularization, biases=FLAGS.pmf_biases
        )
    return WRMFSettings(embedding_dim=dim or 128, weight=FLAGS.positive_weight, solver=FLAGS.solver)


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
    count = FLAGS.fakes or (125 if data.name == "ml-100k" else max(1, data.n_users // 100))
    if count > data.n_users:
        raise UserError(f"--fakes={count} are more than the {data.n_users} users of {data.name}")
    return count


def attack_plan(data: Interactions, group: str) -> Plan:
    """Everything the attacks of this run depend on."""
    surrogate = WRMFSettings(embedding_dim=setting("surrogate_dim"), weight=FLAGS.positive_weight, solver=FLAGS.surrogate_solver)
    recsys20 = {
        "surrogate": surrogate,
        "epochs": setting("surrogate_epochs"),
        "unrolled_epochs": setting("unrolled_epochs"),
        "click_limit": FLAGS.click_limit,
        "clicks": FLAGS.clicks,
        "click_targets": FLAGS.click_targets,
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


def attack_names() -> list[str]:
    """The attacks asked for.  Raises UserError for one that is not known."""
    names = FLAGS.attack if FLAGS.attack is not None else ([] if FLAGS.profiles else ["recsys20"])
    for name in names:
        unknown = [part for part in name.split("+") if part not in (*ATTACKS, *(["none"] if name == "none" else []))]
        if unknown:
            raise UserError(f"--attack must be of none, {', '.join(ATTACKS)}, or several of them joined with +, not {name!r}")
    return list(dict.fromkeys(names))
