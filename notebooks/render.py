"""Runs the notebooks whose results are there and renders them to notebooks/html; tells which command makes what the others read.

python notebooks/render.py OUTPUT PRESET DATASET
"""

import os
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def reads(preset: str, dataset: str) -> dict[str, list[tuple[str, str, str]]]:
    """What each notebook reads: experiment, data set, and the make target that measures it."""
    shop, gowalla = ("synthetic", "synthetic") if preset == "quick" else ("ml-100k", "gowalla")
    return {
        "01_table1": [("table1", dataset, "reproduce-table1")],
        "02_iterations_and_budget": [("iterations", dataset, "reproduce-figure1"), ("budget", dataset, "reproduce-figure2")],
        "03_dataset_characteristics": [("characteristics", f"{dataset}-single_pass-*", "reproduce-figure3")],
        "04_audit_your_own_factors": [],
        "05_poisoning": [("poison", shop, "poison-ml100k")],
        "06_low_rank_defences": [
            ("lowrank_figure2", gowalla, "reproduce-lowrank-figure2"),
            ("lowrank_table2", gowalla, "reproduce-lowrank-table2"),
            ("lowrank_figure5", shop, "reproduce-lowrank-figure5"),
        ],
    }


def missing(output: Path, needed: list[tuple[str, str, str]]) -> list[str]:
    """The make targets whose results are not there."""
    return [target for experiment, dataset, target in needed if not list(output.glob(f"{experiment}/{dataset}/results.csv"))]


def main(output: str, preset: str, dataset: str) -> int:
    """Renders what can be rendered; 1 where something is missing."""
    os.environ.update(OUTPUT=str(Path(output).resolve()), PRESET=preset, DATASET=dataset)
    ready, status = [], 0
    for stem, needed in reads(preset, dataset).items():
        targets = missing(Path(output), needed)
        if targets:
            which = f" DATASETS={dataset}" if needed[0][1].startswith(dataset) else ""
            print(
                f"advrec: {stem} reads results that are not in {output}: make {' '.join(targets)}{which} PRESET={preset} makes them", file=sys.stderr
            )
            status = 1
        else:
            ready.append(str(HERE / f"{stem}.ipynb"))
    command = [sys.executable, "-m", "nbconvert", "--log-level=WARN", "--to", "html", "--execute", "--output-dir", str(HERE / "html"), *ready]
    return subprocess.run(command).returncode or status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
