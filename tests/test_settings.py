"""Every flag counts: it changes what a folder is bound to, and parts with the paper's numbers."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from advrec_tf.cli import flags
from advrec_tf.cli.experiments import EXPERIMENTS
from advrec_tf.data import synthetic
from advrec_tf.execution.inputs import load_datasets
from experiments.main import experiment_named

from specs import shop, values

# Flags that may differ within a folder, each for its own reason.
OF_MACHINE = {"output_dir", "data_dir", "workers", "progress", "backend", "save_every"}
OF_MACHINE |= {"job_threads", "job_memory"}
OF_DATA = {"dataset", "columns", "split", "split_seed", "validation", "k_core", "cores"}
OF_DATA |= {"ids", "encoding", "layout", "positive_from", "cold"}
OF_KEYS = {"seed", "attack", "more_attacks", "attack_draws", "entries", "factors", "profiles"}
OF_KEYS |= {"user_rows", "item_rows"}  # rows tell factors apart by a digest
OF_KEYS |= {"other"}  # whose digest is in the configuration: test_stability.py changes it
OF_KEYS |= {"patches", "svd_ranks", "pmf_dims", "figure6_ranks", "shares", "svm_components"}
OF_KEYS |= {"models", "lightgcn_epochs", "sasrec_epochs"}  # rows tell trainings apart
OF_FILES = {"preset", "keep_epochs", "save_lists"}
UNBOUND = OF_MACHINE | OF_DATA | OF_KEYS | OF_FILES
PMF = {"pmf_regularization", "pmf_learning_rate", "pmf_biases"}
WRMF = {"solver", "als_regularization", "positive_weight"}
ALSO_UNBOUND = {"poison": {"attack_seed"} | PMF, "lowrank_table1": PMF, "lowrank_table3": PMF}
ALSO_UNBOUND |= {"lowrank_figure6": WRMF}  # of recommenders that these experiments do not train
BOUND = (
    *("table1", "budget", "low_rank_against_perturbations", "robustness"),
    *("poison", "lowrank_table1", "lowrank_table3", "lowrank_recsys19", "lowrank_figure6"),
)
# Flags that the papers say nothing about, or give several values of.
FREE = OF_MACHINE | {"preset", "dataset", "columns", "seed", "split_seed", "k", "epochs"}
FREE |= {"ids", "encoding", "layout", "cold"}
FREE |= {"bprmf_epochs", "keep_epochs", "model_selection", "more_attacks", "attack_draws"}
FREE |= {"save_lists", "cores", "attack", "attack_seed", "target_group", "patches", "enter"}
FREE |= {"choose_ratings", "svd_ranks", "pmf_dims", "figure6_ranks", "shares"}
FREE |= {"svm_components", "folds"}
TEXTS = {
    "target_ids": ["3", "4"],
    "attack": ["average"],
    "entries": ["SVD-16"],
    "model_selection": ["last"],
    "more_attacks": ["noise"],
    "patches": ["20x5"],
    "target_group": ["lower_torso"],
    "victim": "wrmf_norm",
}


def another(name, value):
    """Return another value that the flag takes."""
    flag = flags.FLAGS[name]
    if name in TEXTS:
        return TEXTS[name]
    if flag.kind is bool:
        return not value
    if flag.kind is str:
        text = next((choice for choice in flag.choices if choice != value), "x")
        return [text] if flag.several else text
    if flag.several:
        return [flag.kind(4)] if value == [flag.kind(3)] else [flag.kind(3)]
    if name == "bprmf_epochs":
        return 100
    if value is None or isinstance(value, str):
        return flag.kind(3)
    return value + 1 if value + 1 <= flag.high else value - 1


def read_by(experiment, *unread):
    """Return the names of the flags that an experiment reads, without those of some sets."""
    names = [name for name, flag in flags.FLAGS.items() if experiment in flag.read_by]
    return [name for name in names if not any(name in group for group in unread)]


@pytest.fixture(scope="module")
def config():
    """Return a function that gives what the folder of an experiment is bound to."""
    built = {kind: shop(split=kind) for kind in (None, "80:20")}

    def of(experiment, **changes):
        poisoned = EXPERIMENTS[experiment].kind == "poisoned"
        given = values(experiment, **({"target_group": ["tail"]} if poisoned else {}))
        given |= {"seed": [0]} | changes
        data = built["80:20" if poisoned else None]
        return experiment_named(experiment).specs(given, [data], Path("out"))[0].config

    return of


@pytest.mark.parametrize("experiment", BOUND)
def test_another_value_of_a_flag_is_another_config_unless_rows_tell_it(experiment, config):
    before, given = config(experiment), values(experiment)
    for name in read_by(experiment, UNBOUND, ALSO_UNBOUND.get(experiment, ())):
        changed = another(name, given[name])
        assert changed != given[name] and config(experiment, **{name: changed}) != before, name


def test_every_flag_of_a_measured_experiment_is_tried_or_listed():
    tried = set()
    for experiment in BOUND:
        tried |= set(read_by(experiment, ALSO_UNBOUND.get(experiment, ())))
    for name, entry in EXPERIMENTS.items():
        assert not entry.kind or set(read_by(name)) <= tried | UNBOUND, name


OF_AMF = {
    "amf_start": ("first_epoch", 7),
    "adversary": ("adversary", "pgd"),
    "adversary_epsilon": ("epsilon", 0.25),
    "adversary_weight": ("adversarial_weight", 0.75),
    "adversary_iterations": ("iterations", 9),
    "adversary_step_size": ("step_size", 0.125),
    "adversary_ball": ("ball", "l2"),
    "embedding_dim": ("embedding_dim", 11),
    "learning_rate": ("learning_rate", 0.01),
    "batch_size": ("batch_size", 13),
    "eval_every": ("eval_every", 3),
    "eval_users": ("eval_users", 17),
}
OF_WRMF = {
    "victim_dim": ("embedding_dim", 5),
    "solver": ("solver", "als"),
    "als_regularization": ("regularization", 3.0),
    "positive_weight": ("weight", 7.0),
}
OF_PMF = {
    "victim_dim": ("embedding_dim", 5),
    "pmf_regularization": ("regularization", 0.25),
    "pmf_learning_rate": ("learning_rate", 0.125),
    "pmf_biases": ("biases", True),
}
OF_SURROGATE = {
    "surrogate_dim": ("embedding_dim", 5),
    "surrogate_solver": ("solver", "als"),
    "surrogate_regularization": ("regularization", 3.0),
    "surrogate_weight": ("weight", 7.0),
}
OF_RECSYS20 = {
    "surrogate_epochs": ("epochs", 40),
    "unrolled_epochs": ("unrolled_epochs", 3),
    "click_limit": ("click_limit", 17),
    "clicks": ("clicks", 6),
    "click_targets": ("click_targets", True),
    "fresh_seeds": ("fresh_seeds", False),
}
OF_RECSYS19 = {
    "zo_directions": ("directions", 3),
    "zo_smoothing": ("smoothing", 7.0),
    "zo_step": ("step_size", 11.0),
    "zo_largest_move": ("largest_move", 2.0),
    "zo_goal": ("goal", "score"),
    "gan_epochs": ("gan_epochs", 5),
    "mask": ("mask", 4),
    "click_targets": ("click_targets", True),
}
OF_GAN = {"gan_epochs": ("epochs", 5), "mask": ("mask", 4)}


def victim(name):
    """Return the configuration of a recommender in a spec."""
    return lambda spec: vars(spec.victims[name])


def learned(name):
    """Return the fields of a learned attack in a spec."""
    return lambda spec: spec.plans["tail"].learned[name]


@pytest.mark.parametrize(
    "experiment, flags_of, more, configuration",
    [
        ("table1", OF_AMF, {}, lambda spec: vars(spec.amf)),
        ("poison", OF_WRMF, {}, victim("WRMF")),
        ("poison", OF_PMF, {"victim": "pmf"}, victim("PMF")),
        ("poison", OF_SURROGATE, {}, lambda spec: vars(learned("recsys20")(spec)["surrogate"])),
        ("poison", OF_RECSYS20, {}, learned("recsys20")),
        ("poison", OF_RECSYS19, {}, learned("recsys19")),
        ("poison", OF_GAN, {}, learned("gan")),
    ],
    ids=["AMF", "WRMF", "PMF", "surrogate", "recsys20", "recsys19", "gan"],
)
def test_a_flag_sets_the_field_of_its_meaning(experiment, flags_of, more, configuration):
    given = values(experiment, **({"target_group": ["tail"]} if experiment == "poison" else {}))
    given |= {name: value for name, (_, value) in flags_of.items()} | more
    data = shop(split="80:20" if experiment == "poison" else None)
    (spec,) = experiment_named(experiment).specs(given, [data], Path("out"))
    fields = dict(flags_of.values())
    assert {name: configuration(spec)[name] for name in fields} == fields


@pytest.mark.parametrize("experiment", [name for name, entry in EXPERIMENTS.items() if entry.kind])
def test_papers_numbers_stand_beside_no_other_setting(experiment):
    paper = {**flags.values(experiment, {}), "experiment": experiment}
    assert flags.as_published(paper)
    for name in read_by(experiment):
        changed = another(name, paper[name])
        assert flags.as_published({**paper, name: changed}) == (name in FREE), name


def test_an_audit_is_bound_to_both_tables_and_its_flags(tmp_path):
    rng, built = np.random.default_rng(0), shop()
    tables = {"user": rng.normal(size=(60, 3)), "item": rng.normal(size=(40, 3))}
    given = {f"{name}_factors": str(tmp_path / f"{name}.npy") for name in tables}

    def config(**changes):
        for name, table in tables.items():
            np.save(tmp_path / f"{name}.npy", table * changes.pop(name, 1))
        flag_values = {**values("audit"), **given, **changes}
        return experiment_named("audit").specs(flag_values, [built], tmp_path)[0].config

    changes = ({}, {"user": -1}, {"item": -1}, {"unit": "row"}, {"k": 5}, {"seed": [1]})
    configs = [config(**change) for change in changes]
    assert all(configs.count(each) == 1 for each in configs) and config() == configs[0]


@pytest.mark.parametrize(
    "name, registered, fakes, k",
    [
        *(("ml-100k", True, 125, 10), ("ml-100k", False, 2, 10)),
        *(("gowalla", True, 2, 50), ("gowalla", False, 2, 10)),
    ],
)
def test_public_data_have_the_papers_fakes_and_lists(name, registered, fakes, k):
    built = synthetic(n_users=250, n_items=60, per_user=4, split="80:20")
    data = replace(built, name=name, registered=registered)
    given = values("poison", target_group=["tail"], seed=["0"]) | {"fakes": None}
    (spec,) = experiment_named("poison").specs(given, [data], Path("out"))
    assert (spec.plans["tail"].fakes, spec.k) == (fakes, k)


def test_columns_are_names_or_positions(tmp_path):
    path = tmp_path / "clicks.csv"
    path.write_text("5,1,9\n6,1,8\n5,2,7\n7,2,6\n")
    given = values("robustness", dataset=[str(path)], split="last")
    given["columns"] = ["item=0", "user=1", "timestamp=2"]
    ((built,), _) = load_datasets(given)
    assert built.user_ids.tolist() == [1, 2] and built.item_ids.tolist() == [5, 6, 7]
    assert built.item_ids[built.test_items].tolist() == [5, 5]  # the latest of both users
    path.write_text("who,what\n" + "1,5\n1,6\n2,5\n2,7\n")
    ((named,), _) = load_datasets(given | {"columns": ["user=who", "item=what"], "split": "random"})
    assert named.user_ids.tolist() == [1, 2] and named.item_ids.tolist() == [5, 6, 7]


def test_flags_of_data_change_the_data():
    given = values("robustness")

    def fingerprint(**changes):
        ((interactions,), skipped) = load_datasets({**given, **changes})
        assert not skipped
        return interactions.fingerprint

    changes = ({}, {"split": "80:20"}, {"split_seed": 1}, {"validation": True})
    assert len({fingerprint(**change) for change in changes}) == len(changes)
