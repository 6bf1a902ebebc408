"""The last line of a page, and the command that stands there."""

import pytest

from advrec_tf.cli import flags
from advrec_tf.execution.records import write_record
from advrec_tf.reporting import origin
from advrec_tf.reporting.pages import page

RUN = {
    "started": "2026-11-27T06:00:00Z",
    "wall_seconds": 90.0,
    "commit": "abcdef0123",
    "versions": {"advrec_tf": "0.12.0"},
    "command": ["python", "-m", "experiments.main", "--experiment=table1"],
    "flags": {"seed": [1, 0]},
}
ONE = (
    "Measured with: version 0.12.0; commit abcdef0; "
    "command `python -m experiments.main --experiment=table1`; seeds 0, 1"
)


def test_one_run_by_hand():
    assert origin.line([{"runs": [RUN]}]) == f"{ONE}."
    assert (
        origin.line([{"runs": [RUN], "shipped": True}])
        == f"{ONE}; date 2026-11-27; wall time 0:01:30."
    )
    assert (
        origin.line([])
        == origin.line([{"runs": []}])
        == "Nothing of config.json is left: what was measured is not known."
    )


def test_a_run_that_was_killed_and_resumed_has_the_line_of_one_that_was_not():
    resumed = {**RUN, "started": "2026-11-28T06:00:00Z", "wall_seconds": 5.0}
    assert origin.line([{"runs": [RUN, resumed]}]) == f"{ONE}."


def test_of_mixed_runs_all_commits_versions_and_dates_are_named():
    other = {
        **RUN,
        "started": "2026-11-28T06:00:00Z",
        "wall_seconds": 5.4,
        "commit": "1234567890",
        "flags": {"seed": [2]},
    }
    other |= {"command": ["advrec", "--entries=a b,c"], "versions": {}}
    assert origin.line([{"runs": [RUN, other], "shipped": True}]) == (
        "Measured with: versions 0.12.0, unknown; commits abcdef0, 1234567; "
        "2 commands (config.json has all), the last `advrec '--entries=a b,c'`; "
        "seeds 0, 1, 2; dates 2026-11-27, 2026-11-28; wall time 0:01:35."
    )


def test_wall_time_of_runs_side_by_side_counts_once():
    inside = {**RUN, "started": "2026-11-27T06:01:00Z", "wall_seconds": 10.0}
    over = {**RUN, "started": "2026-11-27T06:01:20Z", "wall_seconds": 60.0}
    records = [{"runs": [each], "shipped": True} for each in (over, RUN, inside, RUN)]
    assert origin.line(records).endswith("wall time 0:02:20.")


def test_a_page_ends_with_the_line_of_its_folder_or_of_its_sources(tmp_path, capsys):
    for name, commit in (("a", "aaaaaaa"), ("b", "bbbbbbb")):
        write_record(tmp_path / name / "config.json", {"runs": [{**RUN, "commit": commit}]})
    page(tmp_path / "a", "# A page\n\n")
    assert (
        tmp_path / "a" / "report.md"
    ).read_text() == f"# A page\n\n{ONE.replace('abcdef0', 'aaaaaaa')}.\n"
    page(tmp_path / "c", "# Of both", sources=[tmp_path / "a", tmp_path / "b"])
    assert (
        "commits aaaaaaa, bbbbbbb;" in (tmp_path / "c" / "report.md").read_text().splitlines()[-1]
    )
    assert f"Of both\nReport: {tmp_path / 'c' / 'report.md'}" in capsys.readouterr().out


GIVEN = {
    "table1": {
        "seed": ["0", "3"],
        "epochs": "1300",
        "bprmf_epochs": "1000",
        "output_dir": "/tmp/x",
        "save_lists": True,
        "workers": "1",
    },
    "robustness": {"entries": ["BPR-MF", "iALS-8:4:normalised"], "preset": "quick"},
    "lowrank_table2": {"patches": ["100x90", "fullx50"], "fresh_seeds": False},
    "lowrank_figure6": {},
}


@pytest.mark.parametrize("experiment", GIVEN)
def test_a_command_gives_the_values_again(experiment):
    given = GIVEN[experiment]
    values = flags.values(experiment, given)
    words = flags.command_of(experiment, {**values, "experiment": experiment})
    assert words[:4] == ["python", "-m", "experiments.main", f"--experiment={experiment}"]
    again = {}
    for name, _, text in (word.removeprefix("--").partition("=") for word in words[4:]):
        flag = flags.FLAGS[name]
        if flag.kind is bool:
            again[name] = text == "true"
        else:
            again[name] = text.split(",") if flag.several else text
    assert set(again) == set(given) - set(flags.OF_MACHINE)
    kept = {name: value for name, value in values.items() if name not in flags.OF_MACHINE}
    assert {
        name: value for name, value in flags.values(experiment, again).items() if name in kept
    } == kept
