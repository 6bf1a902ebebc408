"""The notebooks run top to bottom on what short runs measured, and are stored without outputs."""

import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from poisoned_runs import flags_of
from running import SHORT, advrec

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
sys.path.insert(0, str(FOLDER))
import render  # noqa: E402

ARTEFACTS = ("table3", "figure2", "table2", "figure5")
RUNS = (
    ("table1", *SHORT),
    ("iterations", *SHORT, "--iterations=1,3,25"),
    ("budget", *SHORT, "--epsilon=0.1,0.5", "--iterations=3"),
    ("characteristics", *SHORT, "--cores=5,10,15"),
    *((f"lowrank_{name}", *flags_of(f"lowrank_{name}")) for name in ARTEFACTS),
)


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for experiment, *flags in RUNS:
        last = {flag.partition("=")[0]: flag for flag in flags}.values()
        result = advrec(f"--experiment={experiment}", f"--output_dir={folder}", *last)
        assert result.status == 0, result.err
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "OUTPUT": str(folder),
            "PRESET": "quick",
            "DATASET": "synthetic",
            "JUPYTER_PLATFORM_DIRS": "1",
        }.items():
            patch.setenv(name, value)
        yield folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, output):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    nbclient.NotebookClient(
        notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}
    ).execute()
    assert [
        out
        for cell in notebook.cells
        for out in cell.get("outputs", [])
        if "image/png" in out.get("data", {})
    ]


def test_rendering_shows_one_s_own_results_or_what_ships_and_says_so(
    output, tmp_path, monkeypatch, capsys
):
    assert [path.stem for path in NOTEBOOKS] == list(render.reads("quick", ["synthetic"]))
    rendered = {}

    def run(command, env):
        rendered[Path(command[-1]).stem] = env["OUTPUT"], env["DATASET"]
        return type("Done", (), {"returncode": 0})

    monkeypatch.setattr(render.subprocess, "run", run)
    assert render.main(str(output), "quick", "synthetic") == 0 and capsys.readouterr().err == ""
    assert rendered == dict.fromkeys((path.stem for path in NOTEBOOKS), (str(output), "synthetic"))
    rendered.clear()
    assert render.main(str(tmp_path), "paper", "ml-1m") == 0
    printed = capsys.readouterr().err
    assert rendered["01_table1"] == (str(render.PUBLISHED / "multi_step"), "ml-1m,lastfm-2k")
    assert (
        "01_table1: full-size results that ship with the project; make reproduce-table1 "
        "PRESET=paper DATASETS=ml-1m measures your own"
    ) in printed
    assert rendered["03_dataset_characteristics"] == rendered["01_table1"]


def test_the_notebooks_show_what_ships(monkeypatch):
    for stem in ("01_table1", "03_dataset_characteristics", "05_poisoning"):
        folder, datasets = render.published(stem)
        for name, value in {
            "OUTPUT": str(folder),
            "PRESET": "paper",
            "DATASET": ",".join(datasets),
            "JUPYTER_PLATFORM_DIRS": "1",
        }.items():
            monkeypatch.setenv(name, value)
        notebook = nbformat.read(FOLDER / f"{stem}.ipynb", as_version=4)
        nbclient.NotebookClient(
            notebook, timeout=300, resources={"metadata": {"path": str(FOLDER)}}
        ).execute()
        assert [
            out
            for cell in notebook.cells
            for out in cell.get("outputs", [])
            if "image/png" in out.get("data", {})
        ]
