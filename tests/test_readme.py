"""README and docs: their Python runs as printed, their flags exist, and README is short."""

import os
import re

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
def test_an_example_runs(example, tmp_path, monkeypatch, capsys):
    if 'load("ml-100k")' in example and "ADVREC_DATA_DIR" not in os.environ:
        pytest.skip("needs ADVREC_DATA_DIR")
    monkeypatch.chdir(tmp_path)
    exec(compile(example, "example", "exec"), {"__name__": "__main__"})
    captured = capsys.readouterr()
    assert not captured.err
    if "print(evaluation.metrics" in example:
        clean, perturbed = (eval(line) for line in captured.out.splitlines())
        assert (
            set(clean) == {"PR", "RE", "nDCG", "EFD", "SE", "ICov"}
            and perturbed["nDCG"] < 0.9 * clean["nDCG"]
        )


def test_the_readme_is_short_and_its_examples_too():
    assert len(PAGES[0].read_text().split()) <= 900
    assert len(EXAMPLES) >= 5 and all(len(example.splitlines()) < 24 for example in EXAMPLES)


def sentences(text):
    """Return the sentences of a page; a table cell holds sentences, or a list with semicolons."""
    for left_out in (r"```.*?```", r"<!--.*?-->", r"^Measured with: .*$"):
        text = re.sub(left_out, "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)  # a link is its text
    text = re.sub(r"`[^`]*`", "code", text)
    text = re.sub(r"\[[-+0-9.,% ]+\]", "", text)  # an interval
    cells = re.findall(r"[^|\n]+(?=\|)", "\n".join(re.findall(r"^\|.*", text, re.MULTILINE)))
    prose = re.sub(r"^\|.*", "", text, flags=re.MULTILINE)
    blocks = re.split(r"\n\s*\n|\n(?=[-*#]|[0-9]+\. )", prose)
    parts = [part for cell in cells for part in cell.split(";")]
    return [
        sentence
        for block in (*blocks, *parts)
        for sentence in re.split(r"(?<=[.!?])\s+", block.strip("-*# \n"))
    ]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.name)
def test_sentences_are_short(page):
    lengths = [len(sentence.split()) for sentence in sentences(page.read_text())]
    long = sum(length > 25 for length in lengths)
    assert max(lengths) <= 30 and long < 0.05 * len(lengths)


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
