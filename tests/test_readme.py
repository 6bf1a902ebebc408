"""The README's Python runs as printed."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

README = (Path(__file__).parent.parent / "README.md").read_text()
EXAMPLES = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda text: text.splitlines()[0])
def test_an_example_runs(example, tmp_path):
    result = subprocess.run([sys.executable, "-c", example], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    if "print(evaluation" in example:
        clean, perturbed = (eval(line) for line in result.stdout.splitlines())
        assert set(clean) == {"PR", "RE", "nDCG", "EFD", "SE", "ICov"} and clean != perturbed


def test_examples_are_short():
    def lines(text):
        return [line for line in text.splitlines() if line and not line.startswith(("import", "from"))]

    assert len(lines(EXAMPLES[0])) < 10
    assert len(EXAMPLES) >= 6 and all(len(lines(example)) < 20 for example in EXAMPLES)
