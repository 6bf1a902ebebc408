"""README and docs: their Python runs as printed, their flags exist, and README is short."""

import re
import subprocess
import sys

import pytest

from advrec_tf.cli.experiments import EXPERIMENTS
from advrec_tf.cli.flags import FLAGS

from running import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OF_OTHER_PROGRAMS = {  # git, pip, ruff, pytest, nbconvert, pdoc
    *("version", "help", "quiet", "editable", "check", "numprocesses", "dist", "cov"),
    *("outdir", "output", "no"),
}
EXAMPLES = [
    example
    for page in PAGES
    for example in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_an_example_runs(example, tmp_path):
    result = subprocess.run(
        [sys.executable, "-c", example], capture_output=True, text=True, cwd=tmp_path
    )
    assert result.returncode == 0 and not result.stderr, result.stderr
    if "print(evaluation.metrics" in example:
        clean, perturbed = (eval(line) for line in result.stdout.splitlines())
        assert (
            set(clean) == {"PR", "RE", "nDCG", "EFD", "SE", "ICov"}
            and perturbed["nDCG"] < 0.9 * clean["nDCG"]
        )


def test_the_readme_is_short_and_its_examples_too():
    # Without what is taken from published_runs.
    written = re.sub(
        r"<!-- measured -->[\s\S]*<!-- end -->|^Measured with: .*",
        "",
        PAGES[0].read_text(),
        flags=re.MULTILINE,
    )
    assert len(written.split()) <= 1300
    assert len(EXAMPLES) >= 5 and all(len(example.splitlines()) < 24 for example in EXAMPLES)


@pytest.mark.parametrize(
    "page", [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "Makefile"], ids=lambda path: path.name
)
def test_flags_experiments_and_pages_that_are_named_exist(page):
    text = re.sub(
        r"\b(dask|ray) (scheduler|worker|start) [^`\n]*", "", page.read_text()
    )  # which have flags of their own
    named = set(re.findall(r"(?<![\w-])--(?:no)?([a-z][a-z_0-9]+)", text)) - OF_OTHER_PROGRAMS
    assert named <= {"experiment", *FLAGS}
    experiments = set(re.findall(r"--experiment=([a-z_0-9]+)", text))
    assert experiments <= {*EXPERIMENTS, "noise", "lowrank_"}
    for target in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (page.parent / target).exists(), target
