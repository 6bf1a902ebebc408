"""Renders the notebooks to notebooks/html, from one's own results where they are and else from those of the full-size runs that ship.

python notebooks/render.py OUTPUT PRESET DATASET[,DATASET...]
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
PUBLISHED = HERE.parent / "published_runs"
PUBLISHED_DATA = "ml-1m", "lastfm-2k"


def reads(preset: str, datasets: list[str]) -> dict[str, list[tuple[str, str, str]]]:
    """What each notebook reads: experiment, data set, and the make target that measures it."""
    shop, gowalla = ("synthetic", "synthetic") if preset == "quick" else ("ml-100k", "gowalla")
    pictures = (("iterations", "reproduce-figure1"), ("budget", "reproduce-figure2"))
    return {
        "01_table1": [("table1", dataset, "reproduce-table1") for dataset in datasets],
        "02_iterations_and_budget": [
            (name, dataset, target) for dataset in datasets for name, target in pictures
        ],
        "03_dataset_characteristics": [
            ("characteristics", f"{dataset}-single_pass-*", "reproduce-figure3")
            for dataset in datasets
        ],
        "04_audit_your_own_factors": [],
        "05_poisoning": [("lowrank_table3", shop, "reproduce-lowrank-table3")],
        "06_low_rank_defences": [
            ("lowrank_figure2", gowalla, "reproduce-lowrank-figure2"),
            ("lowrank_table2", gowalla, "reproduce-lowrank-table2"),
            ("lowrank_figure5", shop, "reproduce-lowrank-figure5"),
        ],
    }


def missing(output: Path, needed: list[tuple[str, str, str]]) -> list[str]:
    """The make targets whose results are not there."""
    return list(
        dict.fromkeys(
            target
            for experiment, dataset, target in needed
            if not list(output.glob(f"{experiment}/{dataset}/results.csv"))
        )
    )


def published(stem: str) -> tuple[Path, list[str]] | None:
    """Where what ships for a notebook is, and its data sets of the multi-step paper, if all it reads is there."""
    for folder in (PUBLISHED / "multi_step", PUBLISHED / "lowrank"):
        there = [
            dataset
            for dataset in PUBLISHED_DATA
            if not missing(folder, reads("paper", [dataset])[stem])
        ]
        if there:
            return folder, there
    return None


def main(output: str, preset: str, dataset: str) -> int:
    """Renders what can be rendered, and tells what is shown; -> the status of the rendering."""
    status = 0
    for stem, needed in reads(preset, dataset.split(",")).items():
        own = {"OUTPUT": str(Path(output).resolve()), "PRESET": preset, "DATASET": dataset}
        if not needed:  # it trains factors of its own, for which no data need be had
            own["DATASET"] = "synthetic"
        if targets := missing(Path(output), needed):
            make = f"make {' '.join(targets)} PRESET={preset}{f' DATASETS={dataset}' if needed[0][1].startswith(dataset) else ''} measures your own"
            shipped = published(stem)
            print(
                f"advrec: {stem}: {'full-size results that ship with the project' if shipped else 'nothing to show yet'}; {make}",
                file=sys.stderr,
            )
            if not shipped:
                continue
            own = {"OUTPUT": str(shipped[0]), "PRESET": "paper", "DATASET": ",".join(shipped[1])}
        quiet = "--ExecutePreprocessor.extra_arguments=--log-level=ERROR"  # of the kernel, which warns of how it is talked to
        page = [
            "--to",
            "html",
            "--template",
            "template",
            f"--TemplateExporter.extra_template_basedirs={HERE}",
            "--output-dir",
            str(HERE / "html"),
        ]
        command = [sys.executable, "-m", "nbconvert", "--log-level=WARN", "--execute", quiet, *page]
        status = (
            subprocess.run(
                [*command, str(HERE / f"{stem}.ipynb")], env={**os.environ, **own}
            ).returncode
            or status
        )
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
