"""docs/extending.md: every diff applies, touches as few files as it says, and its test passes."""

import os
import re
import shutil
import subprocess
import sys

import pytest

from running import ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text()
SECTIONS = {
    title: (int(files), diff)
    for title, files, diff in re.findall(
        r"^## (.+?): (\d) files?\n.*?```diff\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE
    )
}
MOST = {
    "A perturbation": 2,
    "A data set": 1,
    "A metric": 2,
    "A defence": 2,
    "A recommender": 3,
    "A poisoning attack": 3,
    "An entry of the leaderboard": 3,
    "A figure": 3,
}


def parts(diff):
    """The files of a diff: path -> hunks, each an anchor and its lines."""
    files: dict[str, list] = {}
    for line in diff.splitlines():
        if line.startswith("+++ b/"):
            hunks = files.setdefault(line[6:], [])
        elif line.startswith("@@"):
            hunks.append((line[2:].strip(), []))
        elif not line.startswith("---"):
            hunks[-1][1].append(line)
    return files


def apply(tree, diff):
    """Apply a diff to the files of a tree.

    Lines marked `-` are removed. Lines marked `+` are added before the definition or comment that
    the anchor names, or after any other line.
    """
    for name, hunks in parts(diff).items():
        path = tree / name
        for anchor, lines in hunks:
            added = [line[1:] for line in lines if line.startswith("+")]
            removed = [line[1:] for line in lines if line.startswith("-")]
            if not path.exists():
                path.write_text("\n".join(added) + "\n")
                continue
            text = path.read_text().split("\n")
            if removed:
                at = text.index(removed[0])
                text[at : at + len(removed)] = added
            else:
                name_of = anchor.removeprefix("@dataclass(frozen=True) ")
                at = next(
                    n for n, line in enumerate(text) if line.strip().startswith(name_of.strip())
                )
                if anchor.startswith("@dataclass"):
                    at -= 1
                elif not anchor.startswith(("def ", "class ", "#")):
                    at += 1
                text[at:at] = added
            path.write_text("\n".join(text))


def test_every_kind_of_thing_has_its_diff_and_touches_few_files():
    assert set(SECTIONS) == set(MOST)
    for title, (told, diff) in SECTIONS.items():
        assert len(parts(diff)) <= told <= MOST[title], title


@pytest.mark.parametrize("title", MOST)
def test_a_diff_applies_and_its_test_passes(tmp_path, title):
    for name in ("advrec_tf", "experiments", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    diff = SECTIONS[title][1]
    apply(tmp_path, diff)
    tests = [name for name in parts(diff) if name.startswith("tests/")]
    code = "import advrec_tf.data as d; assert 'ml-10m' in d.NAMES"
    command = ["-m", "pytest", "-q", "-p", "no:cacheprovider", *tests] if tests else ["-c", code]
    paths = os.pathsep.join(map(str, (tmp_path, tmp_path / "tests")))
    found = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert found.returncode == 0, found.stdout + found.stderr
