"""Takes the rows and settings of full-size runs over from folders of results, and renders their pages, docs/lowrank.md, docs/multi_step.md and
the README's figures from them: python published_runs/publish.py RESULTS ..."""

import contextlib
import importlib
import io
import re
import sys
from pathlib import Path

import pandas as pd
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from advrec_tf.cli.perturbed import NORMS  # noqa: E402
from advrec_tf.files import replacing, write_text  # noqa: E402
from advrec_tf.reporting import Evidence, LowRankEvidence, claims, lowrank_claims, read_results, tables  # noqa: E402
from advrec_tf.reporting.vocabulary import MODELS, cell, markdown, number  # noqa: E402
from advrec_tf.results import read_record, write_record  # noqa: E402

PUBLISHED = Path(__file__).parent
# Folders of PUBLISHED, and the experiments in them; the low-rank paper's Figure 1 is of coordinates and not of rows.
PAPERS = {"multi_step": ("table1", "iterations", "budget"), "lowrank": ("lowrank_[!f]*", "lowrank_figure[2-6]")}
PLACES = ("output_dir", "data_dir", "workers", "progress", "backend")  # flags that say nothing about a result
MARKS = "<!-- measured -->\n", "<!-- end -->"  # around what the README takes from here


def take(folder: Path, target: Path) -> None:
    """Copies what an experiment measured on a data set and its settings, without what is of the machine, in six digits.

    Of Table 1, whose cells are accumulated over iterations, the cells and the tests, and of the rows those without iterations or of the last.
    """
    record = read_record(folder / "config.json")
    if not (record and record["runs"]):
        print(f"{folder} is left out: its run has not ended", file=sys.stderr)
        return
    rows = read_results(folder)
    frames = {"results": rows.drop(columns=list(NORMS), errors="ignore")}  # which Table 1's page alone reads
    if folder.parent.name == "table1":
        at_end = rows["iterations"].isna() | (rows["attack"] == "fgsm") | (rows["iterations"] == rows["iterations"].max())
        frames = {"results": rows[at_end], **{name: pd.read_csv(folder / f"{name}.csv") for name in ("cells", "tests")}}
    for name, frame in frames.items():
        write_text(target / f"{name}.csv", frame.to_csv(index=False, float_format="%.6g"))
    for run in record["runs"]:
        run["flags"] = {name: value for name, value in run["flags"].items() if name not in PLACES}
    write_record(target / "config.json", record)


def render(published: Path) -> dict[Path, str]:
    """Renders every page below a folder of published rows; -> the texts of pages elsewhere, by their place below the project's folder."""
    found = {
        paper: [path.parent for name in names for path in sorted((published / paper).glob(f"{name}/*/results.csv"))]
        for paper, names in PAPERS.items()
    }
    with contextlib.redirect_stdout(io.StringIO()):
        for folder in (folder for folders in found.values() for folder in folders):
            module = importlib.import_module(f"experiments.{folder.parent.name}")
            if folder.parent.name == "table1":
                module.render(folder)
            else:
                module.EXPERIMENT.report([folder])
    verdicts = lowrank_claims.report(LowRankEvidence.of(published / "lowrank"))
    texts = {Path("docs/lowrank.md"): _page("the low-rank defences paper", "lowrank", [verdicts], found["lowrank"])}
    measured = [folder for folder in found["multi_step"] if folder.parent.name == "table1"]
    parts = [_of_table1(folder) for folder in measured]
    texts[Path("docs/multi_step.md")] = _page("the multi-step perturbations paper", "multi_step", parts, found["multi_step"])
    readme = (ROOT / "README.md").read_text()
    before, after = (re.escape(mark) for mark in MARKS)
    short = "".join(_in_short(folder) for folder in measured if folder.name == "ml-1m")
    texts[Path("README.md")] = re.sub(f"(?s)(?<={before}).*?(?={after})", lambda _: short, readme)
    return texts


def _page(paper: str, folder: str, parts: list[str], folders: list[Path]) -> str:
    pages = [f"- [{f.parent.name}, {f.name}](../published_runs/{folder}/{f.parent.name}/{f.name}/report.md)" for f in folders]
    head = [f"# Verdicts on {paper}\n", f"From full-size runs, whose rows, settings and pages are in `published_runs/{folder}`.\n"]
    return "\n".join([*head, *parts, "## Pages\n", *pages, ""])


def _of_table1(folder: Path) -> str:
    text = claims.report(Evidence.of(folder.parent.parent, folder.name)).replace("## Claims\n", "")
    return "\n".join([f"## {folder.name}\n", tables.agreement(tables.table1(read_results(folder, "cells.csv"))), text])


def _in_short(folder: Path) -> str:
    """nDCG of both models before and after the attacks, printed beside measured, and what learns nothing."""
    cells = read_results(folder, "cells.csv")
    table, own = tables.table1(cells), cells[cells["metric"] == "nDCG"]
    rows = table[(table["metric"] == "nDCG") & (table["selection"] == "best")].set_index(["model", "column"])
    columns = ["initial", "fgsm after pgd", "bim", "pgd"]
    lines = [[model, *(cell(rows.loc[(model, column)]) for column in columns)] for model in MODELS]
    popular, seeds = own.loc[own["model"] == "MostPopular", "value"].mean(), own["seed"].nunique()
    note = f"nDCG@10 on {folder.name}, best epochs, {seeds} seeds: printed / measured [95%] (difference). MostPopular: {number(popular)}.\n\n"
    return f"\n{note}{markdown(['', *columns], lines)}\n"


def main(results: list[Path]) -> None:
    """Takes over every experiment of both papers, and renders."""
    for source in results:
        for paper, names in PAPERS.items():
            for path in (path for name in names for path in sorted(source.glob(f"{name}/*/results.csv"))):
                take(path.parent, PUBLISHED / paper / path.relative_to(source).parent)
    for place, text in render(PUBLISHED).items():
        write_text(ROOT / place, text)
    for path in PUBLISHED.rglob("iterations_all_metrics.png"):  # iterations.png has what the paper shows
        path.unlink()
    for path in PUBLISHED.rglob("*.png"):
        with replacing(path) as temporary:
            Image.open(path).convert("RGB").quantize(96).save(temporary, format="png", optimize=True)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
