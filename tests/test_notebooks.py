"""The notebooks run top to bottom, on short settings, and are stored without outputs."""

from pathlib import Path

import nbclient
import nbformat
import pytest

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
POISON = "--victim_epochs=4 --outer_epochs=2 --surrogate_epochs=4 --unrolled_epochs=2 --gan_epochs=1 --fakes=12 --seed=0 --patches=50x20"
SHORT = "--epochs=8 --amf_start=4 --seed=0 --embedding_dim=8"


@pytest.fixture(scope="module")
def environment(tmp_path_factory):
    """The notebooks share one output folder, hence their models."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {
            "OUTPUT": str(tmp_path_factory.mktemp("results")),
            "FLAGS": SHORT,
            "POISON_FLAGS": POISON,
            "PRESET": "quick",
            "DATASET": "synthetic",
        }.items():
            patch.setenv(name, value)
        patch.setenv("JUPYTER_PLATFORM_DIRS", "1")
        yield


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_runs(path, environment):
    notebook = nbformat.read(path, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells)
    nbclient.NotebookClient(notebook, timeout=300, resources={"metadata": {"path": str(path.parent)}}).execute()
    pictures = [output for cell in notebook.cells for output in cell.get("outputs", []) if "image/png" in output.get("data", {})]
    assert pictures


def test_there_are_six():
    assert [path.stem[:2] for path in NOTEBOOKS] == ["01", "02", "03", "04", "05", "06"]
