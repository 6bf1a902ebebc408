"""The notebooks run top to bottom on what short runs measured, and are stored without outputs."""

import sys
from pathlib import Path

import nbclient
import nbformat
import pytest

from running import SHORT, TINY, advrec

FOLDER = Path(__file__).parent.parent / "notebooks"
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
sys.path.insert(0, str(FOLDER))
import render  # noqa: E402

RUNS = (
    ("table1", *SHORT), ("iterations", *SHORT, "--iterations=1,3,25"), ("budget", *SHORT, "--epsilon=0.1,0.5", "--iterations=3"),
    ("characteristics", *SHORT, "--cores=5,10,15"), ("poison", *TINY, "--attack=recsys20,recsys19"),
    ("lowrank_figure2", *(flag for flag in TINY if "victim" not in flag)), ("lowrank_table2", *TINY, "--patches=50x20"),
    ("lowrank_figure5", *TINY, "--svd_ranks=5,20"),
)  # fmt: skip


@pytest.fixture(scope="module")
def output(tmp_path_factory):
    folder = tmp_path_factory.mktemp("results")
    for experiment, *flags in RUNS:
        last = {flag.partition("=")[0]: flag for flag in flags}.values()
        result = advrec(f"--experiment={experiment}", f"--output_dir={folder}", *last)
        assert result.status == 0, result.err
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"OUTPUT": str(folder), "PRESET": "quick", "DATASET": "synthetic", "JUPYTER_PLATFORM_DIRS": "1"}.items():
            patch.setenv(name, value)
        yield folder


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, output):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    assert [out for cell in notebook.cells for out in cell.get("outputs", []) if "image/png" in out.get("data", {})]


def test_rendering_tells_which_command_makes_what_is_missing(output, tmp_path, monkeypatch, capsys):
    assert [path.stem for path in NOTEBOOKS] == list(render.reads("quick", "synthetic"))
    monkeypatch.setattr(render.subprocess, "run", lambda command: rendered.extend(command[9:]) or type("Done", (), {"returncode": 0}))
    rendered = []
    assert render.main(str(output), "quick", "synthetic") == 0 and len(rendered) == len(NOTEBOOKS)
    rendered.clear()
    assert render.main(str(tmp_path), "paper", "ml-1m") == 1 and len(rendered) == 1  # the audit trains its own factors
    told = capsys.readouterr().err
    assert "make reproduce-figure1 reproduce-figure2 DATASETS=ml-1m PRESET=paper makes them" in told and "make poison-ml100k PRESET=paper" in told
