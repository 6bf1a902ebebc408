"""The results and pages of full-size runs that ship with the project."""

import shutil
from pathlib import Path

import pandas as pd

from advrec_tf.reporting import read_results
from published_runs import publish

from running import ROOT

SHIPPED = ROOT / "published_runs"
MACHINE_SPECIFIC = ("output_dir", "data_dir", *(f"/{folder}/" for folder in ("tmp", "home")))


def test_the_shipped_runs_are_small_and_whole():
    tables = sorted(SHIPPED.glob("*/*/*/results.csv"))
    assert (
        tables and sum(path.stat().st_size for path in SHIPPED.rglob("*") if path.is_file()) < 5e6
    )
    for path in tables:
        rows = read_results(path.parent)
        assert len(rows) and rows.attrs["config"], path
        config = path.with_name("config.json").read_text()
        assert not any(text in config for text in MACHINE_SPECIFIC)


KEYS = {
    "cells": ("seed", "k", "model"),
    "tests": ("first", "second"),
    "worst": ("entry", "seed", "threat_model", "ball", "epsilon", "attack", "unit", "k"),
}


def test_a_shipped_table_says_itself_what_its_rows_are_about():
    tables = sorted(path for path in SHIPPED.glob("*/*/*/*.csv*") if path.stem != "detectors")
    for path in tables:
        name = path.name.partition(".")[0]
        keys = KEYS.get(name, ("dataset", "seed") if name == "results" else ())
        assert {"dataset", *keys} <= set(pd.read_csv(path, nrows=0)), path
        assert "constants" not in path.with_name("config.json").read_text()
    assert {path.name.partition(".")[0] for path in tables} == {
        "results",
        "cells",
        "tests",
        "worst",
        "groups",
    }


def test_the_shipped_pages_and_verdicts_are_those_of_the_shipped_rows(tmp_path):
    published = tmp_path / "published"
    shutil.copytree(
        SHIPPED, published, ignore=shutil.ignore_patterns("report.md", "*.png", "detectors.csv")
    )
    rendered = publish.render(published)
    assert {Path("README.md"), Path("docs/measured.md"), Path("docs/lowrank.md")} <= set(rendered)
    for place, text in rendered.items():
        assert text.splitlines()[-1].startswith("Measured with: version"), place
        assert text == (ROOT / place).read_text(), f"{place}: make publish"
    for page in SHIPPED.rglob("report.md"):
        assert (published / page.relative_to(SHIPPED)).read_text() == page.read_text(), page
