"""Command line of the experiments: python -m experiments.main --experiment=table1 --dataset=ml-1m --preset=paper"""

import importlib
import math
import os
import sys
from collections.abc import Callable
from pathlib import Path

from advrec_tf.startup import one_thread_for_numpy

one_thread_for_numpy()  # before numpy is imported

from absl import app, flags  # noqa: E402

from advrec_tf import data  # noqa: E402
from advrec_tf.errors import UserError  # noqa: E402
from advrec_tf.training import AMFSettings, BPRMFSettings  # noqa: E402
from experiments import attack_runs, poison_flags  # noqa: E402

FLAGS = flags.FLAGS
GRID = [1, *range(10, 301, 10)]
BUDGETS = [round(digits * 10.0**power, 6) for power in (-3, -2, -1, 0) for digits in (1, 2.5, 5, 7.5)] + [10.0]
PRESETS = {
    "quick": {"dataset": ["synthetic"], "seed": [0, 1], "epochs": 120, "amf_start": 60, "keep_epochs": [], "cores": [5, 10, 15, 20, 25]},
    "paper": {
        "dataset": ["ml-1m", "lastfm"],
        "seed": [0],
        "epochs": 2000,
        "amf_start": 1000,
        "keep_epochs": [377, 1000, 1162],
        "cores": list(range(10, 101, 10)),
    },
}
# What an experiment measures where the flags do not say.
EXPERIMENTS = {
    "table1": {"epsilon": [0.5], "iterations": GRID, "model_selection": ["best", "last", "published"]},
    "iterations": {"epsilon": [0.5], "iterations": sorted([*GRID, 25]), "model_selection": ["best"]},
    "budget": {"epsilon": BUDGETS, "iterations": [25], "model_selection": ["best"]},
    "characteristics": {"epsilon": [0.5], "iterations": [1, 5, 10, 15, 20, 25, 30, 40, 50], "model_selection": ["best"]},
    "low_rank_against_perturbations": {"epsilon": [0.5], "iterations": [25], "model_selection": ["best"]},
    "claims": {},
    "audit": {},
    "describe": {},
    **{name: {} for name in poison_flags.EXPERIMENTS},
}

flags.DEFINE_enum("experiment", "table1", list(EXPERIMENTS), "what to run")
flags.DEFINE_enum("preset", "paper", list(PRESETS), "the paper's setting, or one of minutes on synthetic data; single flags override it")
flags.DEFINE_list("dataset", None, f"names among {', '.join(data.NAMES)}, or paths of one's own tables or folders")
flags.DEFINE_string("data_dir", None, "holds one folder a data set [$ADVREC_DATA_DIR, else the user's cache folder]")
flags.DEFINE_string("output_dir", "results", "where results and trained weights are kept")
flags.DEFINE_list("seed", None, "seeds of training, negatives, PGD's start and random recommenders; several give mean and deviation")
flags.DEFINE_enum("split", None, ["last", "random", "80:20"], "what is held out of each user [last where there are timestamps; poison: 80:20]")
flags.DEFINE_integer("split_seed", 0, "seed of a random hold-out and of synthetic data; the same for all --seed")
flags.DEFINE_list("columns", None, "where the fields of one's own table stand, as user=NAME_OR_POSITION,item=...,timestamp=...")
flags.DEFINE_string("user_factors", None, "audit: .npy of user factors [users, dim]")
flags.DEFINE_string("item_factors", None, "audit: .npy of item factors [items, dim]")
flags.DEFINE_string("user_rows", None, "audit: CSV with columns row and id, where rows are not in the order of the sorted user ids")
flags.DEFINE_string("item_rows", None, "audit: the same for items")
flags.DEFINE_string("train", None, "audit: the interactions the factors were trained on, a table or a name [--dataset]")
flags.DEFINE_string("test", None, "audit: the held-out interactions, a table beside --train")
flags.DEFINE_enum("k_core", "single_pass", data.K_CORES, "how the characteristics experiment cuts its sub-samples [as the paper]")
flags.DEFINE_list("cores", None, "fewest interactions of a user or item in each of its sub-samples [10, 20, ..., 100; quick: 5, ..., 25]")
flags.DEFINE_integer("epochs", None, "epochs of BPR-MF, and the epoch at which AMF ends", lower_bound=1)
flags.DEFINE_integer("amf_start", None, "epoch of BPR-MF from which AMF is trained", lower_bound=1)
flags.DEFINE_integer("embedding_dim", 64, "length of the embeddings", lower_bound=1)
flags.DEFINE_float("learning_rate", 0.05, "of Adagrad")
flags.DEFINE_integer("batch_size", 512, "triples in a mini-batch", lower_bound=1)
flags.DEFINE_integer("eval_every", 1, "epochs between evaluations of HR@10 and nDCG@10", lower_bound=1)
flags.DEFINE_integer("save_every", 50, "epochs between checkpoints", lower_bound=1)
flags.DEFINE_list("keep_epochs", None, "further epochs whose weights are kept")
flags.DEFINE_list("model_selection", None, "which epochs are measured: best (by test HR@10), last, published (the paper's), epoch:N")
flags.DEFINE_enum("adversary", "fgsm", ["fgsm", "bim", "pgd"], "AMF's inner adversary")
flags.DEFINE_float("adversary_epsilon", 0.5, "its budget")
flags.DEFINE_float("adversary_weight", 1.0, "weight lambda of AMF's adversarial loss")
flags.DEFINE_integer("adversary_iterations", 5, "its iterations, of bim and pgd", lower_bound=1)
flags.DEFINE_float("adversary_step_size", None, "its step, of bim and pgd [a quarter of its budget]")
flags.DEFINE_enum("adversary_ball", "linf", ["linf", "l2"], "its ball, of bim and pgd")
flags.DEFINE_list("epsilon", None, "budgets of the perturbations that are measured [0.5; of the budget experiment .001 to 10]")
flags.DEFINE_float("step_size", None, "step of BIM and PGD [epsilon / 4]")
flags.DEFINE_list("iterations", None, "iteration counts at which BIM and PGD are measured [1, 10, 20, ..., 300; of the budget experiment 25]")
flags.DEFINE_float("pgd_init", 0.05, "PGD starts uniform in plus or minus this")
flags.DEFINE_integer("k", None, "length of the lists [10; on poisoned Gowalla 50]", lower_bound=1)
flags.DEFINE_bool("save_lists", False, "write the lists of every point (user, item, rank, score) beside the results")
flags.DEFINE_enum("backend", "loky", ["loky", "dask", "ray"], "joblib's backend: processes here, or a cluster that runs already")
flags.DEFINE_integer("workers", os.cpu_count(), "processes side by side", lower_bound=1)
flags.DEFINE_bool("progress", True, "show progress bars when the output is a terminal")

_NOT_NEGATIVE = ("adversary_epsilon", "adversary_weight", "adversary_step_size", "step_size", "pgd_init", "learning_rate")
for name in _NOT_NEGATIVE:
    flags.register_validator(name, lambda value: value is None or (math.isfinite(value) and value >= 0), "must be a number from 0 up")


def _setting(name: str):
    """A flag's value, or that of the preset or the experiment where the flag was not given."""
    value = FLAGS[name].value
    if value is not None:
        return value
    paper = poison_flags.EXPERIMENTS.get(FLAGS.experiment, {}) if FLAGS.preset == "paper" else {}
    return {**PRESETS[FLAGS.preset], **EXPERIMENTS[FLAGS.experiment], **paper}[name]


def _numbers(name: str, kind: type = float) -> list:
    """A list flag as different numbers from 0 up."""
    texts = list(map(str, _setting(name)))
    try:
        numbers = [kind(text) for text in texts]
    except ValueError:
        numbers = [-1]
    if not numbers and name != "keep_epochs":
        raise UserError(f"--{name} is empty")
    if any(not (math.isfinite(number) and number >= 0) for number in numbers) or len(set(numbers)) < len(numbers):
        what = "whole numbers" if kind is int else "numbers"
        raise UserError(f"--{name} must be different {what} from 0 up with commas between, not {','.join(texts)}")
    return numbers


def _columns() -> dict[str, str | int] | None:
    if FLAGS.columns is None:
        return None
    pairs = [text.partition("=") for text in FLAGS.columns]
    return {field: int(where) if where.isdecimal() else where for field, _, where in pairs}


def _model_selection() -> list[str]:
    for text in _setting("model_selection"):
        if text not in ("best", "last", "published") and not (text.startswith("epoch:") and text[6:].isdecimal()):
            raise UserError(f"--model_selection must be of best, last, published and epoch:N, not {text!r}")
    return _setting("model_selection")


def _k() -> int:
    return FLAGS.k or 10


def _loaded(name: str) -> data.Interactions:
    test = FLAGS.test if FLAGS.experiment == "audit" else None
    split = FLAGS.split or ("80:20" if FLAGS.experiment in poison_flags.EXPERIMENTS else None)
    loaded = data.load(name, FLAGS.data_dir, FLAGS.split_seed, test=test, split=split, columns=_columns(), progress=FLAGS.progress)
    if FLAGS.experiment != "describe" and _k() > loaded.n_items:
        raise UserError(f"--k={_k()} is more than the {loaded.n_items} items of {name}")
    return loaded


def _datasets() -> tuple[list[data.Interactions], int]:
    """What can be had, and how many cannot; each of those is told in one line."""
    if not _setting("dataset"):
        raise UserError("--dataset is empty")
    return _those_that_work(_loaded, _setting("dataset"))


def _those_that_work(make: Callable, names: list) -> tuple[list, int]:
    found = []
    for name in names:
        try:
            found.append(make(name))
        except (UserError, OSError) as error:
            print(f"advrec: {name} is skipped: {error}", file=sys.stderr)
    return found, len(names) - len(found)


def _own_flags() -> dict:
    modules = sys.argv[0], poison_flags
    return {flag.name: flag.value for module in modules for flag in FLAGS.get_key_flags_for_module(module)}


def _attack_settings() -> tuple[attack_runs.TrainingPlan, dict]:
    """What is trained and what is measured, from the flags alone."""
    epochs, amf_start = _setting("epochs"), _setting("amf_start")
    if not amf_start < epochs:
        raise UserError(f"--amf_start ({amf_start}) must be less than --epochs ({epochs})")
    bprmf = BPRMFSettings(FLAGS.embedding_dim, FLAGS.learning_rate, FLAGS.batch_size, FLAGS.eval_every)
    amf = AMFSettings(
        start=bprmf,
        first_epoch=amf_start,
        adversary=FLAGS.adversary,
        epsilon=FLAGS.adversary_epsilon,
        adversarial_weight=FLAGS.adversary_weight,
        iterations=FLAGS.adversary_iterations,
        step_size=FLAGS.adversary_step_size,
        ball=FLAGS.adversary_ball,
    )
    options = {
        "epsilons": sorted(_numbers("epsilon")),
        "step_size": FLAGS.step_size,
        "iterations": sorted(_numbers("iterations", int)),
        "pgd_init": FLAGS.pgd_init,
        "k": _k(),
    }
    single = {"budget": ["iterations"], "low_rank_against_perturbations": ["epsilon", "iterations"]}.get(FLAGS.experiment, ["epsilon"])
    for name in single:
        if len(_numbers(name)) > 1:
            raise UserError(f"--{name} takes one value in the {FLAGS.experiment} experiment")
    if FLAGS.experiment != "table1" and len(_model_selection()) > 1:
        raise UserError(f"--model_selection takes one value in the {FLAGS.experiment} experiment")
    return attack_runs.TrainingPlan(bprmf, amf, epochs, _model_selection(), _numbers("keep_epochs", int)), options


def _run_attacks(seeds: list[int]) -> int:
    """Table 1 and the figures: the same trained models, other attacks and grids.  Returns how many data sets could not be had."""
    plan, options = _attack_settings()
    cores = sorted(_numbers("cores", int))
    datasets, missing = _datasets()
    experiment = importlib.import_module(f"experiments.{FLAGS.experiment}")
    if FLAGS.experiment == "low_rank_against_perturbations":
        if datasets:
            experiment.run(datasets, seeds, FLAGS.output_dir, plan, {**options, "svd_ranks": poison_flags.svd_ranks()}, _running())
        return missing
    if FLAGS.experiment == "characteristics":
        parts = [_those_that_work(lambda k, whole=whole: data.k_core(whole, k, FLAGS.k_core, FLAGS.split_seed), cores) for whole in datasets]
        datasets, missing = [core for found, _ in parts for core in found], missing + sum(failed for _, failed in parts)
    if datasets:
        attack_runs.run(FLAGS.experiment, experiment.ATTACKS, datasets, seeds, FLAGS.output_dir, plan, options, _running(), experiment.report)
    return missing


def _running() -> attack_runs.Running:
    return attack_runs.Running(FLAGS.workers, FLAGS.backend, FLAGS.save_every, FLAGS.save_lists, FLAGS.progress, _own_flags())


def _run_poisoned(seeds: list[int]) -> int:
    """Attacks by fake profiles, and defences against them.  Returns how many data sets could not be had."""
    attacks = poison_flags.attack_names()
    given = [importlib.import_module("advrec_tf.poisoning").Profiles.load(Path(path)) for path in FLAGS.profiles or []]
    datasets, missing = _datasets()
    experiment = importlib.import_module(f"experiments.{FLAGS.experiment}")
    for loaded in datasets:
        experiment.run(poison_flags.setting_of(loaded, seeds), attacks, given, _running())
    return missing


def _run_audit(seed: int) -> None:
    for name in ("user_factors", "item_factors"):
        if FLAGS[name].value is None:
            raise UserError(f"--{name} is needed")
    if FLAGS.train is None and not _setting("dataset"):
        raise UserError("--train is needed")
    interactions = _loaded(FLAGS.train or _setting("dataset")[0])
    rows = FLAGS.user_rows, FLAGS.item_rows
    audit = importlib.import_module("experiments.audit")
    audit.run(interactions, FLAGS.user_factors, FLAGS.item_factors, *rows, FLAGS.output_dir, _k(), seed)


def main(argv: list[str]) -> int:
    try:
        if len(argv) > 1:
            raise UserError(f"unexpected argument {argv[1]!r}: flags start with --")
        if FLAGS.experiment == "claims":
            importlib.import_module("experiments.claims").run([Path(name).stem for name in _setting("dataset")], FLAGS.output_dir)
            return 0
        seeds, missing = _numbers("seed", int), 0
        if FLAGS.experiment == "audit":
            _run_audit(seeds[0])
        elif FLAGS.experiment == "describe":
            datasets, missing = _datasets()
            importlib.import_module("experiments.describe").run(datasets, [Path(path) for path in FLAGS.profiles or []])
        elif FLAGS.experiment in poison_flags.EXPERIMENTS:
            missing = _run_poisoned(seeds)
        else:
            missing = _run_attacks(seeds)
        return 1 if missing else 0
    except (UserError, OSError) as error:
        print(f"advrec: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("advrec: interrupted; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130


def _parse_flags(argv: list[str]) -> list[str]:
    try:
        return FLAGS(argv)
    except flags.Error as error:
        sys.exit(f"advrec: {' '.join(str(error).split())} (--help lists all flags)")


if __name__ == "__main__":
    app.run(main, flags_parser=_parse_flags)
