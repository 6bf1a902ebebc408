"""Render the notebooks to notebooks/html.

They read your results where these exist, and the full-size results that ship otherwise.

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
    """Return what each notebook reads: experiment, data set, and the make target for it."""
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
    """Return the make targets whose results are not in `output`."""
    return list(
        dict.fromkeys(
            target
            for experiment, dataset, target in needed
            if not list(output.glob(f"{experiment}/{dataset}/results.csv"))
        )
    )


def published(stem: str) -> tuple[Path, list[str]] | None:
    """Return the folder of the published results of a notebook, and their data sets.

    The data sets are those of the multi-step paper. None: the notebook reads what does not ship.
    """
    for folder in (PUBLISHED / "multi_step", PUBLISHED / "lowrank"):
        datasets = [d for d in PUBLISHED_DATA if not missing(folder, reads("paper", [d])[stem])]
        if datasets:
            return folder, datasets
    return None


def render(stem: str, variables: dict[str, str]) -> int:
    """Render one notebook with these environment variables and return nbconvert's status."""
    # The kernel warns of how nbconvert talks to it.
    quiet = "--ExecutePreprocessor.extra_arguments=--log-level=ERROR"
    options = ["--log-level=WARN", "--execute", quiet, "--to", "html", "--template", "template"]
    folders = [
        f"--TemplateExporter.extra_template_basedirs={HERE}",
        "--output-dir",
        str(HERE / "html"),
    ]
    notebook = str(HERE / f"{stem}.ipynb")
    command = [sys.executable, "-m", "nbconvert", *options, *folders, notebook]
    return subprocess.run(command, env={**os.environ, **variables}).returncode


def main(output: str, preset: str, dataset: str) -> int:
    """Render all notebooks that have results, say on stderr what is shown, return the status."""
    status = 0
    for stem, needed in reads(preset, dataset.split(",")).items():
        variables = {"OUTPUT": str(Path(output).resolve()), "PRESET": preset, "DATASET": dataset}
        if not needed:  # it trains its factors, for which no data need be had
            variables["DATASET"] = "synthetic"
        if targets := missing(Path(output), needed):
            datasets = f" DATASETS={dataset}" if needed[0][1].startswith(dataset) else ""
            make = f"make {' '.join(targets)} PRESET={preset}{datasets} measures your own"
            shipped = published(stem)
            shown = "full-size results that ship with the project"
            print(
                f"advrec: {stem}: {shown if shipped else 'nothing to show yet'}; {make}",
                file=sys.stderr,
            )
            if not shipped:
                continue
            folder, names = shipped
            variables = {"OUTPUT": str(folder), "PRESET": "paper", "DATASET": ",".join(names)}
        status = render(stem, variables) or status
    return status


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
