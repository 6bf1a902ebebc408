"""Flags: made from fields, parsed, with defaults by preset and experiment, and imported quickly."""

from dataclasses import dataclass, fields
from typing import get_type_hints

import pytest

from advrec_tf.cli import command_line, flags
from advrec_tf.cli.experiments import EXPERIMENTS
from advrec_tf.cli.parsing import flag_of, parsed
from advrec_tf.cli.presets import OVERRIDES, PRESETS
from advrec_tf.cli.sections import SECTIONS, Section
from advrec_tf.errors import UserError
from advrec_tf.options import option
from advrec_tf.version import __version__

from running import run_python
from specs import values

PROBE = """
import sys
large = sys.argv.pop().split(",")
try:
    from experiments import main
    main.console()
finally:
    print([name for name in large if name in sys.modules])
"""
LARGE = "pandas,scipy,sklearn,matplotlib,tensorflow,joblib"


@pytest.mark.parametrize(
    "words, status, message",
    [
        (["--help"], 0, "lowrank_table2"),
        (["--experiment=budget", "--help"], 0, "budget: Figure 2"),
        (["--no_such_flag=1"], 1, "Unknown command line flag"),
        (["--epochs=x"], 1, "--epochs must be a whole number"),
        (["--attack=recsys20"], 1, "--attack is not read by --experiment=table1"),
        (
            ["--experiment=poison", "--victim=lightgcn", "--pmf_biases"],
            1,
            "--pmf_biases is not read by --victim=lightgcn",
        ),
        (["--experiment=nothing"], 1, "no experiment is called 'nothing' (--help"),
        (["--experiment=tabel1"], 1, "no experiment is called 'tabel1': did you mean table1?"),
        (["--version"], 0, f"advrec {__version__}"),
        ([], 0, "examples:"),
    ],
)
def test_help_and_wrong_flags_import_no_large_library(words, status, message):
    process = run_python("-c", PROBE, *words, LARGE)
    assert process.returncode == status and process.stdout.splitlines()[-1] == "[]", process
    assert message in process.stdout + process.stderr


@dataclass(frozen=True)
class Config:
    """A configuration with a field of every kind."""

    dim: int = option(8, help="length", low=1, high=10)
    rate: float | None = option(None, help="learning rate", low=0)
    every: int | str = option(1, help="epochs", low=1, choices=("auto",))
    solver: str = option("sgd", help="solver", choices=("sgd", "als"))
    sizes: tuple[float, ...] = option((0.5,), help="sizes")
    names: tuple[str, ...] | None = option(None, help="names")
    biases: bool = option(False, help="with biases")


MADE = {
    name: flag_of(name, field, get_type_hints(Config)[name], ("table1",), "model")
    for name, field in ((field.name, field) for field in fields(Config))
}


@pytest.mark.parametrize(
    "name, kind, several, default",
    [
        ("dim", int, False, 8),
        ("rate", float, False, None),
        ("every", int, False, 1),
        ("solver", str, False, "sgd"),
        ("sizes", float, True, [0.5]),
        ("names", str, True, None),
        ("biases", bool, False, False),
    ],
)
def test_a_flag_has_the_type_the_default_and_the_help_of_its_field(name, kind, several, default):
    flag = MADE[name]
    assert (flag.name, flag.kind, flag.several, flag.default) == (name, kind, several, default)
    assert flag.help == f"model: {Config.__dataclass_fields__[name].metadata['help']}"


@pytest.mark.parametrize(
    "name, given, value",
    [
        ("dim", "1", 1),
        ("dim", "10", 10),
        ("rate", "0", 0.0),
        ("rate", "1e3", 1000.0),
        ("every", "auto", "auto"),
        ("every", "7", 7),
        ("solver", "als", "als"),
        ("sizes", ["1", "-2.5"], [1.0, -2.5]),
        ("names", ["b", "a"], ["b", "a"]),
        ("biases", True, True),
    ],
)
def test_a_text_is_parsed_by_the_kind_of_its_flag(name, given, value):
    result = parsed(MADE[name], given)
    assert result == value and type(result) is type(value)


@pytest.mark.parametrize(
    "name, given, message",
    [
        ("dim", "0", "--dim must be a whole number from 1 to 10, not '0'"),
        ("dim", "11", "--dim must be a whole number from 1 to 10, not '11'"),
        ("dim", "1.5", "--dim must be a whole number from 1 to 10, not '1.5'"),
        ("rate", "-1", "--rate must be a number from 0 up, not '-1'"),
        ("rate", "nan", "--rate must be a number from 0 up, not 'nan'"),
        ("rate", "1e30", "--rate must be a number from 0 up, not '1e30'"),
        ("every", "often", "--every must be auto or a whole number from 1 up, not 'often'"),
        ("every", str(2**63), "--every must be auto or a whole number from 1 up, not '9223"),
        ("solver", "adam", "--solver must be one of sgd, als, not 'adam'"),
        ("sizes", ["x"], "--sizes must be different numbers with commas between, not 'x'"),
        ("sizes", ["1", "1.0"], "--sizes must be different numbers with commas between, not 1,1.0"),
        ("sizes", [], "--sizes is empty"),
        ("names", [""], "--names is empty"),
    ],
)
def test_a_wrong_value_is_one_line_that_says_what_is_right(name, given, message):
    with pytest.raises(UserError, match="^" + message.replace("(", r"\(")):
        parsed(MADE[name], given)


def test_no_epoch_needs_to_be_kept():
    assert flags.values("table1", {"keep_epochs": []})["keep_epochs"] == []
    with pytest.raises(UserError, match="--iterations is empty"):
        flags.values("table1", {"iterations": []})


def test_a_number_above_zero_is_said_so():
    with pytest.raises(UserError, match="--positive_weight must be a number above 0, not '0'"):
        flags.values("poison", {"positive_weight": "0"})


def test_a_section_makes_the_flags_of_its_names_and_fills_their_fields():
    section = Section(
        Config, ("table1", "audit"), {"length": "dim", "rate": "rate"}, {"rate": ("audit",)}
    )
    made = {flag.name: flag for flag in section.flags()}
    assert list(made) == ["length", "rate"] and made["length"].high == 10
    assert made["length"].read_by == ("table1", "audit") and made["rate"].read_by == ("audit",)
    assert section.fields({"length": 3, "rate": 0.5, "dim": 7}) == {"dim": 3, "rate": 0.5}


def test_flags_that_are_not_given_have_the_defaults_of_preset_and_experiment():
    assert flags.values("table1", {})["dataset"] == ["ml-1m", "lastfm"]
    assert flags.values("poison", {})["dataset"] == ["gowalla"]
    assert flags.values("lowrank_figure3", {})["victim"] == "pmf"
    assert flags.values("poison", {})["seed"] == [0, 1, 2, 3, 4]
    assert flags.values("lowrank_figure3", {"preset": "quick"})["dataset"] == ["synthetic"]
    assert flags.values("budget", {})["iterations"] == [25]
    assert len(flags.values("budget", {})["epsilon"]) == 17
    assert flags.values("lowrank_table3", {})["patches"] == ["200x50"]
    assert flags.values("convergence", {"preset": "quick"})["entries"] == ["BPR-MF", "iALS-64"]


def test_given_profiles_stand_in_place_of_the_default_attack():
    assert flags.values("poison", {"profiles": ["a.npz"]})["attack"] == []
    given = {"profiles": ["a.npz"], "attack": ["random"]}
    assert flags.values("poison", given)["attack"] == ["random"]


@pytest.mark.parametrize(
    "text, fits",
    [("0", True), ("100", True), ("100.5", False), ("-1", False), ("inf", False), ("x", False)],
)
def test_bounds_of_numbers_are_allowed_themselves(text, fits):
    if fits:
        assert flags.values("lowrank_figure6", {"shares": [text]})["shares"] == [float(text)]
    else:
        with pytest.raises(UserError, match="--shares must be different numbers from 0 to 100"):
            flags.values("lowrank_figure6", {"shares": [text]})


def test_every_flag_is_read_by_an_experiment_that_exists():
    for flag in flags.FLAGS.values():
        assert flag.read_by and set(flag.read_by) <= set(EXPERIMENTS), flag.name
    for name in EXPERIMENTS:
        read = {flag.name for flag in flags.FLAGS.values() if name in flag.read_by}
        assert set(values(name)) - {"experiment"} == read


def test_every_name_of_a_flag_in_the_tables_is_a_flag():
    named = set(flags.OF_MACHINE) | flags.MAY_DIFFER_FROM_PAPER
    for row in OVERRIDES:
        named |= set(row.values)
        assert set(row.experiments) <= set(EXPERIMENTS) and set(row.presets) <= set(PRESETS)
    for section in SECTIONS:
        named |= set(section.only)
    assert named <= set(flags.FLAGS)


def test_help_shows_the_flags_of_an_experiment_with_choices_and_defaults():
    text = command_line.help_of("budget")
    assert "--epsilon " in text and "--patches" not in text
    assert "[2000; quick: 120]" in text and "[0.001,0.0025,0.005,...,10]" in text
    text = command_line.help_of("lowrank_table2")
    assert "(keep, drop) [keep]" in text and "[10; on poisoned Gowalla 50]" in text
    assert all(f"  {name} " in command_line.help_of(None) for name in EXPERIMENTS)


def test_published_numbers_are_of_the_paper_s_settings():
    paper = {**flags.values("table1", {}), "experiment": "table1"}
    assert flags.as_published(paper, 1162)
    for change in (
        {"epochs": 1161},
        {"embedding_dim": 32},
        {"step_size": 0.1},
        {"eval_every": 5},
        {"iterations": [1, 10]},
        {"pgd_init": 0.1},
        {"epsilon": [0.4]},
    ):
        assert not flags.as_published({**paper, **change}, 1162)
    free = {"seed": [4], "workers": 1, "job_threads": 4, "job_memory": 2}
    assert flags.as_published({**paper, **free, "model_selection": ["last"]}, 1162)
    poison = {**flags.values("poison", {}), "experiment": "poison"}
    assert flags.as_published(poison)
    for change in (
        {"victim_epochs": 5},
        {"fakes": 10},
        {"targets": [1]},
        {"solver": "als"},
        {"gan_epochs": 2},
        {"surrogate_dim": 8},
    ):
        assert not flags.as_published({**poison, **change})
