"""Specs of experiments on small data."""

from pathlib import Path

from advrec_tf import data
from advrec_tf.cli import flags
from experiments.lowrank import poisoned_flags
from experiments.multistep import perturbed


def shop(**more):
    """Return 60 users and 40 items.  more: further arguments of `data.synthetic`"""
    return data.synthetic(n_users=60, n_items=40, per_user=9, seed=3, **more)


def values(experiment, **given):
    """Return the values of all flags in the quick preset."""
    return {**flags.values(experiment, {"preset": "quick", **given}), "experiment": experiment}


def poisoned_spec(experiment, folder="out", **given):
    """Return the spec of an experiment on poisoned data, with targets in the tail."""
    given = {"target_group": ["tail"], **given}
    shop_data = shop(split="80:20")
    (spec,) = poisoned_flags.specs(values(experiment, **given), [shop_data], Path(folder))
    return spec


def perturbed_spec(experiment, **given):
    """Return the spec of an experiment on perturbed factors."""
    (spec,) = perturbed.specs(values(experiment, **given), [shop()], Path("out"))
    return spec
