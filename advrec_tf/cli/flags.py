"""All flags, made from the fields of configurations, and the values that they give a run."""

from typing import Any

from advrec_tf.cli.parsing import Flag, parsed
from advrec_tf.cli.presets import preset_default
from advrec_tf.cli.sections import SECTIONS, VICTIMS
from advrec_tf.errors import UserError
from advrec_tf.recommenders import recommender_config

FLAGS: dict[str, Flag] = {}
for _section in SECTIONS:
    for _flag in _section.flags():
        FLAGS.setdefault(_flag.name, _flag)

# Flags that say where and how a run works, and nothing about a result.
OF_MACHINE = (
    *("output_dir", "data_dir", "workers", "progress", "backend"),
    *("job_threads", "job_memory", "save_every"),
)
# Other flags that may differ from the paper's setting; the paper's numbers still stand beside.
MAY_DIFFER_FROM_PAPER = {
    *OF_MACHINE,
    *("preset", "dataset", "columns", "seed", "k", "split_seed"),
    *("ids", "encoding", "layout", "cold"),
    *("epochs", "bprmf_epochs", "keep_epochs", "model_selection"),
    *("more_attacks", "attack_draws", "save_lists", "cores"),
    *("attack", "attack_seed", "target_group"),
    *("patches", "enter", "choose_ratings", "svd_ranks", "pmf_dims"),
    *("figure6_ranks", "shares", "svm_components", "folds"),
}


def values(experiment: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return the value of every flag that an experiment reads.

    A flag that is not in `given` has the default of preset and experiment.
    given: texts, lists of texts or bools.
    Raises UserError for a flag that the experiment or its victim does not read, and for a wrong
    value.
    """
    for name in given:
        if experiment not in FLAGS[name].read_by:
            readers = FLAGS[name].read_by
            more = f"; {', '.join(readers)} do" if len(readers) < 8 else ""
            raise UserError(
                f"--{name} is not read by --experiment={experiment}{more}"
                f" (--experiment={experiment} --help lists what is)"
            )
    preset = parsed(FLAGS["preset"], given.get("preset", "paper"))
    result = {}
    for name, flag in FLAGS.items():
        if experiment in flag.read_by:
            result[name] = (
                parsed(flag, given[name]) if name in given else default(flag, experiment, preset)
            )
    if result.get("profiles") and "attack" in result and "attack" not in given:
        result["attack"] = []
    if "victim" in result:
        _check_victim(result["victim"], given)
    return result


def _check_victim(victim: str, given: dict[str, Any]) -> None:
    """Raise UserError for a flag that only another victim reads."""
    for section in VICTIMS:
        if not issubclass(recommender_config(victim), section.config):
            for name in section.names:
                if name in given:
                    raise UserError(f"--{name} is not read by --victim={victim}")


def default(flag: Flag, experiment: str, preset: str) -> Any:
    """Return the value of a flag that is not given."""
    return preset_default(flag.name, flag.default, experiment, preset)


def command_of(experiment: str, values: dict[str, Any]) -> list[str]:
    """Return the words of the shortest command with these values, without flags in OF_MACHINE."""
    words = ["python", "-m", "experiments.main", f"--experiment={experiment}"]
    for name, value in values.items():
        if name not in FLAGS or name in OF_MACHINE:
            continue
        if value != default(FLAGS[name], experiment, values["preset"]):
            listed = value if isinstance(value, list) else [value]
            words.append(f"--{name}={','.join(map(_word, listed))}")
    return words


def _word(value: Any) -> str:
    """Return a value as a command line spells it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def as_published(values: dict[str, Any], least_epochs: int | None = None) -> bool:
    """Return whether the paper's numbers may stand beside results with these values.

    They may where all flags but MAY_DIFFER_FROM_PAPER have the paper's values.
    AMF must also have `least_epochs` (by default those of the paper preset).
    """
    experiment = values["experiment"]
    least = least_epochs
    if least is None:
        least = default(FLAGS["epochs"], experiment, "paper")
    return values.get("epochs", least) >= least and all(
        values[name] == default(flag, experiment, "paper")
        for name, flag in FLAGS.items()
        if experiment in flag.read_by and name not in MAY_DIFFER_FROM_PAPER
    )
