"""Takes the rows and settings of full-size runs over from folders of results, and renders their pages, the verdicts
in docs and the pages that have a template: python published_runs/publish.py RESULTS ..."""

import contextlib
import gzip
import importlib
import io
import shutil
import sys
from itertools import groupby
from pathlib import Path

import pandas as pd
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from advrec_tf.cli.experiments import EXPERIMENTS
from advrec_tf.cli.flags import OF_MACHINE
from advrec_tf.evaluation import NAMES
from advrec_tf.execution.records import read_record, write_record
from advrec_tf.files import replacing, write_text
from advrec_tf.leaderboard import comparison, convergence_page, front, summary, user_ranks
from advrec_tf.reporting import origin, plots, read_results
from experiments.lowrank import claims as lowrank_claims
from experiments.lowrank.evidence import LowRankEvidence
from experiments.multistep import characteristics_page, claims, loss_slopes, table1_tables
from experiments.multistep.evidence import Evidence
from experiments.multistep.perturbed import NORMS
from published_runs import pages

PUBLISHED = Path(__file__).parent
# Folders of PUBLISHED, and the experiments in them; the low-rank paper's Figure 1 is of coordinates and not of rows.
PAPERS = {
    "multi_step": ("table1", "iterations", "budget", "characteristics"),
    "lowrank": ("lowrank_[!f]*", "lowrank_figure[2-6]", "poison"),
    "scale_free": ("robustness", "convergence"),
}
# iterations.png has what the paper shows, and what is made of Figure 3's rows is made of those that ship.
NOT_SHIPPED = (
    "iterations_all_metrics.png",
    "losses.csv",
    "readings.csv",
    "leaderboard.html",
    "groups.png",
)
COLORS = 20  # of a picture


def take(folder: Path, target: Path) -> None:
    """Copy what an experiment measured on one data set, and its settings, in five digits.

    Key columns stay in every table. What is of the machine is left out, and what no page shows:
    see `_tables`.
    """
    record = read_record(folder / "config.json")
    if not (record and record["runs"] and record["runs"][-1].get("ended", True)):
        print(f"{folder} is left out: its run has not ended", file=sys.stderr)
        return
    if folder.parent.name == "robustness":
        take_board(folder, target)
    else:
        _write(target, _tables(folder))
    for run in record["runs"]:
        run.pop("ended", None)
        run["flags"] = {
            name: value
            for name, value in run["flags"].items()
            if name not in OF_MACHINE and value not in (None, [])
        }
    write_record(target / "config.json", record | {"shipped": True}, indent=None)


def take_board(folder: Path, target: Path) -> None:
    """Make a leaderboard's tables anew, so that the compared entry is that of this commit, and copy them."""
    with contextlib.redirect_stdout(io.StringIO()):
        importlib.import_module("experiments.leaderboard").report([folder])
    copy_board(folder, target)


def copy_board(folder: Path, target: Path) -> None:
    """Copy a leaderboard: the worst of each ensemble, its tests, its groups, and users' ranks."""
    tables = {name: read_results(folder, f"{name}.csv") for name in ("worst", "tests", "groups")}
    _write(target, tables | {"worst": _as_shown(tables["worst"])})
    if (folder / user_ranks.NAME).exists():
        with replacing(target / user_ranks.NAME) as temporary:
            shutil.copyfile(folder / user_ranks.NAME, temporary)


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of an experiment without what no page shows.

    Table 1: its cells, accumulated over iterations; its tests; rows without iterations or of the
    last.  Figure 3: three metrics, and PGD alone where the reading is not the paper's.
    """
    rows, name = read_results(folder), folder.parent.name
    if name == "table1":
        at_end = (
            rows["iterations"].isna()
            | (rows["attack"] == "fgsm")
            | (rows["iterations"] == rows["iterations"].max())
        )
        return {
            "results": rows[at_end],
            **{part: read_results(folder, f"{part}.csv") for part in ("cells", "tests")},
        }
    rows = rows.drop(columns=list(NORMS), errors="ignore")  # which Table 1's page alone reads
    if name == "characteristics":
        as_read = (rows["selection"] == "best") & (rows["epsilon"] == loss_slopes.PAPER_EPSILON)
        shown = (rows["attack"] == "fgsm") | (rows["iterations"] == loss_slopes.SHOWN_ITERATIONS)
        unread = ["epoch", *(set(NAMES) - set(loss_slopes.LOSSES.values()))]
        return {
            "results": rows[rows["attack"].isin(["", "pgd"]) | (as_read & shown)].drop(
                columns=unread
            )
        }
    if name in ("iterations", "budget"):
        rows = rows.drop(columns=["PR", "RE", "EFD"])
    return {"results": rows}


def _write(target: Path, tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format="%.5g")
        if name == "worst":  # seven times as large as it needs to be
            with replacing(target / f"{name}.csv.gz") as temporary:
                temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            write_text(target / f"{name}.csv", text)


def _as_shown(worst: pd.DataFrame) -> pd.DataFrame:
    """Of a leaderboard's rows what its page has: groups of users before and under one attack, lists' diversity where training pairs are known."""
    paying = (worst["threat"] == "") | (
        (worst["threat"] == "test") & (worst["ball"] == "l2") & (worst["rho"] == summary.VERDICT_AT)
    )
    groups, lists = (
        [name for name in summary.DETAILS if name.startswith(summary.GROUPS)],
        ["ICov", "EFD", "SE"],
    )
    shown = {
        **worst[groups].where(paying),
        **worst[lists].where(worst["threat"].isin(["", "train"])),
    }
    return worst.assign(**shown).drop(columns=["HR", "certified_HR"])


def render(published: Path) -> dict[Path, str]:
    """Renders every page below a folder of published rows; -> the texts of pages elsewhere, by their place below the project's folder."""
    found = {
        paper: [
            path.parent
            for name in names
            for path in sorted((published / paper).glob(f"{name}/*/config.json"))
        ]
        for paper, names in PAPERS.items()
    }
    with contextlib.redirect_stdout(io.StringIO()):
        for name, part in groupby(
            (folder for folders in found.values() for folder in folders),
            key=lambda folder: folder.parent.name,
        ):
            module = importlib.import_module(f"experiments.{EXPERIMENTS[name].module}")
            if name == "characteristics":  # whose page is of all folders
                module.EXPERIMENT.report(list(part))
            else:
                for folder in part:
                    module.render(folder) if name in (
                        "table1",
                        "robustness",
                    ) else module.EXPERIMENT.report([folder])
    verdicts = lowrank_claims.report(LowRankEvidence.of(published / "lowrank"))
    texts = {
        Path("docs/lowrank.md"): _page(
            "the low-rank defences paper", published / "lowrank", [verdicts]
        )
    }
    measured = [folder for folder in found["multi_step"] if folder.parent.name == "table1"]
    how, judged = claims.tables(
        [Evidence.of(published / "multi_step", folder.name) for folder in measured]
    )
    parts = [how, *(_of_data_set(folder, judged.get(folder.name, "")) for folder in measured)]
    texts[Path("docs/multi_step.md")] = _page(
        "the multi-step perturbations paper", published / "multi_step", parts
    )
    boards = [
        f"## {folder.name}\n\n{_of_board(folder)}\n"
        for folder in found["scale_free"]
        if folder.parent.name == "robustness"
    ]
    boards += [
        "#" + convergence_page.report(read_results(folder), folder.name)
        for folder in found["scale_free"]
        if folder.parent.name == "convergence"
    ]
    texts[Path("docs/robustness.md")] = _page(
        "robustness in budgets that no scale changes", published / "scale_free", boards
    )
    texts |= pages.render(published)
    return texts


def _page(title: str, paper: Path, parts: list[str]) -> str:
    places = [path.relative_to(paper).parent for path in sorted(paper.glob("*/*/report.md"))]
    pages = [
        f"- [{', '.join(place.parts)}](../published_runs/{paper.name}/{place}/report.md)"
        for place in places
    ]
    head = [
        f"# Verdicts on {title}\n",
        f"From full-size runs, whose rows, settings and pages are in `published_runs/{paper.name}`.\n",
    ]
    measured = origin.line(
        origin.records_of(path.parent for path in sorted(paper.glob("*/*/config.json")))
    )
    return "\n".join([*head, *parts, "## Pages\n", *pages, "", measured, ""])


def _of_board(folder: Path) -> str:
    rows, tests = read_results(folder, "worst.csv"), read_results(folder, "tests.csv")
    seeds = ", ".join(
        f"{entry} {count}" for entry, count in rows.groupby("entry")["seed"].nunique().items()
    )
    first = [comparison.summary(rows, tests)] if len(tests) else []
    first += filter(None, [summary.older(read_record(folder / "config.json"))])
    sentences = "\n".join(f"- {sentence}" for sentence in (*first, *summary.verdicts(rows)))
    tables = [each.markdown.replace("## ", "### ") for each in front.tables(rows, tests)[:3]]
    return "\n".join([sentences, f"\nSeeds: {seeds}.", *tables])


def _of_data_set(folder: Path, verdicts: str) -> str:
    evidence = Evidence.of(folder.parent.parent, folder.name)
    readings = (
        ""
        if evidence.losses is None
        else characteristics_page.readings_report(
            evidence.losses, loss_slopes.readings(evidence.losses)
        )
    )
    cells = table1_tables.agreement(table1_tables.table1(read_results(folder, "cells.csv")))
    return "\n".join(
        [
            f"## {folder.name}\n",
            cells,
            claims.epochs(evidence),
            verdicts,
            readings.replace("## ", "### "),
        ]
    )


def main(results: list[Path]) -> None:
    """Takes over every experiment of both papers, and renders, pictures smaller than one's own."""
    plots.DPI = 80
    for source in results:
        for paper, names in PAPERS.items():
            for path in (
                path for name in names for path in sorted(source.glob(f"{name}/*/results.csv"))
            ):
                take(path.parent, PUBLISHED / paper / path.relative_to(source).parent)
    for place, text in render(PUBLISHED).items():
        write_text(ROOT / place, text)
    for name in NOT_SHIPPED:
        for path in PUBLISHED.rglob(name):
            path.unlink()
    for path in PUBLISHED.rglob("*.png"):
        with replacing(path) as temporary:
            Image.open(path).convert("RGB").quantize(
                COLORS, Image.Quantize.MAXCOVERAGE, kmeans=5
            ).save(temporary, format="png", optimize=True)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
