"""Configurations: what weights depend on, ranges, help texts and the registry."""

import subprocess
import sys
from dataclasses import fields, replace

import numpy as np
import pytest

from advrec_tf import data, recommenders
from advrec_tf.errors import UserError
from advrec_tf.recommenders import (
    RECOMMENDERS,
    AMFConfig,
    BPRMFConfig,
    EnsembleConfig,
    LightGCNConfig,
    MarginMFConfig,
    PMFConfig,
    SASRecConfig,
    WRMFConfig,
    recommender_config,
)
from advrec_tf.recommenders.adversarial_wrmf_config import FitWRMFConfig, NormWRMFConfig
from advrec_tf.recommenders.ensemble_config import check_size

from handmade import interactions

CONFIGS = (
    BPRMFConfig,
    AMFConfig,
    WRMFConfig,
    FitWRMFConfig,
    NormWRMFConfig,
    PMFConfig,
    MarginMFConfig,
    LightGCNConfig,
    SASRecConfig,
    EnsembleConfig,
)


def shop(**options):
    return data.synthetic(n_users=60, n_items=40, per_user=9, seed=3, **options)


# Identities, which name the folders of trained weights


def test_identities_are_the_fields():
    bprmf = {
        "model": "BPR-MF",
        "version": 1,
        "embedding_dim": 64,
        "learning_rate": 0.05,
        "batch_size": 512,
        "eval_every": 1,
    }
    assert list(BPRMFConfig().identity.items()) == list(bprmf.items())
    amf = {
        **bprmf,
        "model": "AMF",
        "first_epoch": 1000,
        "adversary": "fgsm",
        "epsilon": 0.5,
        "adversarial_weight": 1.0,
        "iterations": 5,
        "step_size": None,
        "ball": "linf",
        "start": bprmf,
    }
    assert AMFConfig().identity == amf
    assert WRMFConfig().identity["version"] == 2
    assert FitWRMFConfig().identity["version"] == NormWRMFConfig().identity["version"] == 1


def test_a_sample_of_users_is_part_of_the_identity_of_amf_and_of_its_start():
    config = AMFConfig(eval_users=30)
    assert config.identity["eval_users"] == config.identity["start"]["eval_users"] == 30


def test_weights_are_kept_by_all_that_they_depend_on():
    interactions = shop()
    other = replace(interactions, train_ratings=interactions.train_ratings[::-1].copy())

    def folder(config, seed=0, interactions=interactions):
        return recommenders.model_folder("models", interactions, config, seed)

    clicks, values = WRMFConfig(), WRMFConfig(feedback="values")
    assert folder(clicks) == folder(clicks, 0, other) and folder(values) != folder(values, 0, other)
    assert folder(PMFConfig()) != folder(PMFConfig(), 0, other)
    assert folder(clicks) != folder(clicks, 1) != folder(clicks, 1, shop(split="random"))
    folders = {folder(config()) for config in CONFIGS}
    folders |= {folder(BPRMFConfig(7)), folder(AMFConfig(epsilon=0.2)), folder(values)}
    assert len(folders) == len(CONFIGS) + 3


def test_a_new_version_of_bprmf_moves_amf_too(monkeypatch):
    folders = [recommenders.model_folder("m", shop(), AMFConfig(), 0)]
    monkeypatch.setattr(AMFConfig, "version", 1)
    monkeypatch.setattr(BPRMFConfig, "version", 2)
    folders.append(recommenders.model_folder("m", shop(), AMFConfig(), 0))
    assert folders[0] != folders[1]


# Ranges


@pytest.mark.parametrize(
    "config, options, message",
    [
        (BPRMFConfig, {"batch_size": 0}, "BPR-MF: batch_size must be a whole number from 1 up"),
        (BPRMFConfig, {"batch_size": 1.5}, "batch_size must be a whole number from 1 up, not 1.5"),
        (BPRMFConfig, {"embedding_dim": 10_001}, "must be a whole number from 1 to 10000, not 1"),
        (BPRMFConfig, {"learning_rate": float("nan")}, "must be a number from 0 up, not nan"),
        (BPRMFConfig, {"learning_rate": "fast"}, "must be a number from 0 up, not fast"),
        (BPRMFConfig, {"eval_users": 0}, "eval_users must be a whole number from 1 up, not 0"),
        (BPRMFConfig, {"eval_every": "often"}, "must be auto or a whole number from 1 up, not oft"),
        (AMFConfig, {"adversary": "noise"}, "AMF: adversary must be one of fgsm, bim, pgd, not"),
        (AMFConfig, {"step_size": -0.1}, "step_size must be a number from 0 up, not -0.1"),
        (AMFConfig, {"iterations": None}, "iterations must be a whole number from 1 up, not None"),
        (WRMFConfig, {"weight": 0.0}, "WRMF: weight must be a number above 0, not 0.0"),
        (WRMFConfig, {"solver": "newton"}, "solver must be one of sgd, als, not newton"),
        (PMFConfig, {"momentum": 1.5}, "PMF: momentum must be a number from 0 to 1, not 1.5"),
        (MarginMFConfig, {"rho": float("inf")}, "MarginMF: rho must be a number from 0 up, not"),
        (FitWRMFConfig, {"solver": "als"}, "adversary by fit is trained by sgd alone, not by als"),
    ],
    ids=str,
)
def test_values_outside_their_range_are_refused(config, options, message):
    with pytest.raises(UserError, match=message):
        config(**options)


def test_values_at_the_bounds_are_allowed():
    config = AMFConfig(1, 0.0, 1, eval_every="auto", epsilon=0, step_size=np.float32(0.5))
    assert config.step_size == 0.5 and AMFConfig(10_000).embedding_dim == 10_000


def test_an_ensemble_holds_at_most_fifty_million_votes():
    for users, items in ((100_000, 10_000), (10, 10_000)):
        with pytest.raises(UserError, match="at most 50000000"):
            check_size(users, items)
    check_size(943, 1682)
    check_size(50_000, 1_000)


# What flags are made from


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_has_a_help_text_and_a_default_in_its_range(config):
    for field in fields(config):
        assert field.metadata["help"] and set(field.metadata) <= {"help", "low", "high", "choices"}
        if field.type is not bool:
            assert {"low", "choices"} & set(field.metadata), field.name
    assert config()


def test_configurations_are_read_without_tensorflow():
    code = (
        "import sys, advrec_tf.recommenders as r\n"
        "for name in r.RECOMMENDERS: r.recommender_config(name)()\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_the_registry_names_configurations():
    names = {name: recommender_config(name).name for name in RECOMMENDERS}
    assert names == {
        "wrmf": "WRMF",
        "pmf": "PMF",
        "wrmf_fit": "WRMF, adversary by fit",
        "wrmf_norm": "WRMF, adversary by norm",
        "lightgcn": "LightGCN",
        "ensemble": "Ensemble",
    }


OF_TRAINING = {"batch_size", "eval_every", "eval_users", "first_epoch"}  # the trainer reads them
CHANGED = {"solver": "als", "feedback": "values", "adversary": "pgd", "ball": "l2", "momentum": 0.5}
CHANGED |= {"dropout": 0.5}


def changed(field):
    """Return another value of a field."""
    if field.name in CHANGED:
        return CHANGED[field.name]
    if field.type in (bool, "bool"):
        return not field.default
    return 3 if field.default is None else field.default + 2


def facts_of(model):
    """Return all that the configuration of a built model and of its optimiser says."""
    return str({**model.get_config(), "name": ""}), str(
        {**model.optimizer.get_config(), "name": ""}
    )


@pytest.mark.parametrize("config", CONFIGS)
def test_every_field_reaches_the_identity_and_the_model_or_its_training(config):
    tiny = interactions([(0, 0), (1, 1)], [(0, 1), (1, 0)])
    tiny = replace(tiny, train_timestamps=np.arange(2.0))
    options, solvers = {"embedding_dim": 2}, {FitWRMFConfig, NormWRMFConfig}
    plain = config(**options)
    before = facts_of(plain.build(tiny, 0))
    for field in fields(config):
        if field.name == "solver" and config in solvers:  # sgd is their only one
            continue
        other = replace(plain, **{field.name: changed(field)})
        assert other.identity != plain.identity, field.name
        after = facts_of(other.build(tiny, 0))
        unread = field.name in OF_TRAINING or config is EnsembleConfig and "rate" in field.name
        assert unread or after != before, field.name


@pytest.mark.parametrize("config", CONFIGS)
def test_a_configuration_builds_the_model_of_its_options(config, small):
    model = config(embedding_dim=5).build(small, 3)
    assert type(model) is config().model_class() and model.seed == 3
    assert (model.n_users, model.n_items, model.embedding_dim) == (80, 50, 5)
    assert model.optimizer.variables and type(model).config_class is config
    assert all(getattr(model, name) == getattr(config(), name) for name in model.options)
