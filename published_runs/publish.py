"""Publish full-size runs: python published_runs/publish.py RESULTS ...

Copies rows and settings from folders of results. Renders the pages of all published runs, the
verdicts in docs, and the pages that have a template.
"""

import contextlib
import gzip
import importlib
import io
import re
import sys
from itertools import chain
from pathlib import Path

import pandas as pd
from PIL import Image

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from advrec_tf.cli.experiments import EXPERIMENTS
from advrec_tf.cli.flags import OF_MACHINE
from advrec_tf.evaluation import NAMES
from advrec_tf.evaluation.verdicts import Verdict
from advrec_tf.execution.records import read_record, write_record
from advrec_tf.files import replacing, write_text
from advrec_tf.leaderboard import (
    board_page,
    comparison,
    convergence_page,
    summary,
    user_ranks,
    worst_case,
    yardstick,
)
from advrec_tf.leaderboard.comparison_tables import tables as comparison_tables
from advrec_tf.reporting import origin, plots, read_results, verdict_table
from experiments.lowrank import claims as lowrank_claims
from experiments.lowrank.evidence import LowRankEvidence
from experiments.multistep import characteristics_page, claims, loss_slopes, table1_tables
from experiments.multistep.evidence import Evidence
from experiments.multistep.perturbed import NORMS
from published_runs import pages

PUBLISHED = Path(__file__).parent
# Folders of PUBLISHED, and the experiments in them. The low-rank paper's Figure 1 has no rows.
PAPERS = {
    "multi_step": ("table1", "iterations", "budget", "characteristics"),
    "lowrank": ("lowrank_[!f]*", "lowrank_figure[2-6]", "poison"),
    "scale_free": ("robustness", "convergence", "stability", "promotion"),
    "today": ("baselines", "surfaces"),
}
# iterations.png has what the paper shows. losses.csv and readings.csv can be made from the rows.
NOT_SHIPPED = (
    *("iterations_all_metrics.png", "losses.csv", "readings.csv"),
    *("leaderboard.html", "groups.png"),
)
COLORS = 20  # of a picture
LARGEST = 1_000_000  # bytes of a table that is not packed


def take(folder: Path, target: Path) -> None:
    """Copy what an experiment measured on one data set, in five digits, and its settings.

    Flags of the machine are left out, and columns that no page shows (`_tables`).
    """
    record = read_record(folder / "config.json")
    if not (record and record["runs"] and record["runs"][-1].get("ended", True)):
        print(f"{folder} is left out, because its run has not ended", file=sys.stderr)
        return
    if folder.parent.name == "robustness":
        record["runs"] = take_board(folder, target) + record["runs"]
    else:
        _write(target, _tables(folder))
    for run in record["runs"]:
        run.pop("ended", None)
        flags = run["flags"].items()
        shown = {name: value for name, value in flags if name not in OF_MACHINE}
        run["flags"] = {name: value for name, value in shown.items() if value not in (None, [])}
    write_record(target / "config.json", record | {"shipped": True}, indent=None)


def take_board(folder: Path, target: Path) -> list[dict]:
    """Copy a leaderboard: the worst of each ensemble, its tests, its groups, and users' ranks.

    Published entries that it lacks stay beside it, if they were measured with the same settings and
    versions. Returns the runs that these come from.
    """
    with contextlib.redirect_stdout(io.StringIO()):
        board_page.report([folder])
    board, runs = user_ranks.read_board(folder), []
    before, record = (read_record(path / "config.json") or {} for path in (target, folder))
    if before and before["config"] == record["config"]:
        published = user_ranks.read_board(target)
        if set(published.rows["entry"]) - set(board.rows["entry"]):
            again = {run["started"] for run in record["runs"]}  # published before
            board = _joined(board, published)
            runs = [run for run in before["runs"] if run["started"] not in again]
    write_board(board, target)
    return runs


def write_board(board: user_ranks.Board, target: Path) -> None:
    """Write the tables of a leaderboard as they are published, and users' ranks."""
    tables = board_page.frames_of(board)
    for table in tables.values():  # which says itself what its rows are about
        table.insert(0, "dataset", target.name)
    _write(target, tables | {"worst": _as_shown(tables["worst"])})
    if board.rows["users"].notna().any():
        user_ranks.write_users(target, board)


def _joined(board: user_ranks.Board, published: user_ranks.Board) -> user_ranks.Board:
    """Return a board and the published entries that it lacks."""
    others = published.rows[~published.rows["entry"].isin(board.rows["entry"])]
    rows = pd.concat([board.rows, others], ignore_index=True)
    keys = ["entry", "seed", "threat_model", "ball", "epsilon"]
    return board._replace(rows=rows.sort_values(keys, ignore_index=True))


def _tables(folder: Path) -> dict[str, pd.DataFrame]:
    """The tables of an experiment without what no page shows.

    Table 1: its cells, accumulated over iterations; its tests; rows without iterations or of the
    last.  Figure 3: three metrics, and PGD alone where the reading is not the paper's.
    """
    rows, name = read_results(folder), folder.parent.name
    if name == "table1":
        last = rows["iterations"] == rows["iterations"].max()
        at_end = rows["iterations"].isna() | (rows["attack"] == "fgsm") | last
        parts = {part: read_results(folder, f"{part}.csv") for part in ("cells", "tests")}
        return {"results": rows[at_end], **parts}
    rows = rows.drop(columns=list(NORMS), errors="ignore")  # only Table 1's page reads them
    if name == "characteristics":
        as_read = (rows["selection"] == "best") & (rows["epsilon"] == loss_slopes.PAPER_EPSILON)
        shown = (rows["attack"] == "fgsm") | (rows["iterations"] == loss_slopes.SHOWN_ITERATIONS)
        unread = ["epoch", *(set(NAMES) - set(loss_slopes.LOSSES.values()))]
        shown = rows["attack"].isin(["", "pgd"]) | (as_read & shown)
        return {"results": rows[shown].drop(columns=unread)}
    if name in ("iterations", "budget"):
        rows = rows.drop(columns=["PR", "RE", "EFD"])
    return {"results": rows}


def _write(target: Path, tables: dict[str, pd.DataFrame]) -> None:
    for name, table in tables.items():
        text = table.to_csv(index=False, float_format="%.5g")
        (target / f"{name}.csv").unlink(missing_ok=True)
        if name == "worst" or len(text) > LARGEST:  # several times as large as it needs to be
            with replacing(target / f"{name}.csv.gz") as temporary:
                temporary.write_bytes(gzip.compress(text.encode(), mtime=0))
        else:
            write_text(target / f"{name}.csv", text)


def _as_shown(worst: pd.DataFrame) -> pd.DataFrame:
    """Blank what the page of a leaderboard does not show.

    It shows groups of users before and under one attack, and the diversity of lists where training
    pairs are known.
    """
    at_verdict = (worst["ball"] == "l2") & (worst["epsilon"] == summary.VERDICT_EPSILON)
    paying = (worst["threat_model"] == "") | ((worst["threat_model"] == "test") & at_verdict)
    groups, lists = list(worst_case.QUARTILES), ["ICov", "EFD", "SE"]
    shown = {
        **worst[groups].where(paying),
        **worst[lists].where(worst["threat_model"].isin(["", "train"])),
    }
    return worst.assign(**shown).drop(columns=["HR", "certified_HR"])


def render(published: Path) -> dict[Path, str]:
    """Render every page below a folder of published rows.

    Returns the texts of pages elsewhere, by their path below the project.
    """
    folders = {name: _folders(published / paper, name) for paper, name in _experiments(published)}
    with contextlib.redirect_stdout(io.StringIO()):
        for name, runs in folders.items():
            _render_runs(name, runs)
    _, verdicts = lowrank_claims.report(LowRankEvidence.of(published / "lowrank"))
    tables = folders["table1"]
    evidence = [Evidence.of(published / "multi_step", folder.name) for folder in tables]
    by_data_set = claims.verdicts_by_data_set(evidence)
    note = verdict_table.note([*chain(*by_data_set.values())])
    multi_step = [_of_data_set(folder, by_data_set.get(folder.name, [])) for folder in tables]
    boards = [f"## {folder.name}\n\n{_of_board(folder)}\n" for folder in folders["robustness"]]
    for folder in folders["convergence"]:
        rows = read_results(folder)
        report = convergence_page.report(rows, folder.name)
        boards.append(f"#{report}\n{convergence_page.answer(rows)}\n")
    pages_of_papers = {
        "lowrank": ("the low-rank defences paper", [verdicts]),
        "multi_step": ("the multi-step perturbations paper", [note, *multi_step]),
        "scale_free": ("robustness in an epsilon that no scale changes", boards),
    }
    names = {"lowrank": "lowrank", "multi_step": "multi_step", "scale_free": "robustness"}
    texts = {}
    for paper, (title, parts) in pages_of_papers.items():
        texts[Path(f"docs/{names[paper]}.md")] = _page(title, published / paper, parts)
    texts |= pages.render(published)
    # One blank line between blocks, whatever a template or a report leaves.
    return {name: re.sub(r"\n{3,}", "\n\n", text) for name, text in texts.items()}


def _experiments(published: Path) -> list[tuple[str, str]]:
    """Return the paper and the name of every published experiment, in the order of PAPERS."""
    found = []
    for paper, patterns in PAPERS.items():
        for pattern in patterns:
            names = sorted({path.parent.name for path in (published / paper).glob(f"{pattern}/*")})
            found += [(paper, name) for name in names]
    return found


def _folders(paper: Path, name: str) -> list[Path]:
    return [path.parent for path in sorted(paper.glob(f"{name}/*/config.json"))]


def _render_runs(name: str, runs: list[Path]) -> None:
    module = importlib.import_module(f"experiments.{EXPERIMENTS[name].module}")
    if name in ("table1", "robustness"):  # whose tables ship
        for folder in runs:
            module.render(folder)
    else:
        module.EXPERIMENT.report(runs)


def _page(title: str, paper: Path, parts: list[str]) -> str:
    links = []
    for path in sorted(paper.glob("*/*/report.md")):
        run = path.relative_to(paper).parent
        links.append(f"- [{', '.join(run.parts)}](../published_runs/{paper.name}/{run}/report.md)")
    head = [
        f"# Verdicts on {title}\n",
        "From full-size runs, whose rows, settings and pages are in "
        f"`published_runs/{paper.name}`.\n",
    ]
    folders = [path.parent for path in sorted(paper.glob("*/*/config.json"))]
    measured = origin.line(origin.records_of(folders))
    return "\n".join([*head, *parts, "## Pages\n", *links, "", measured, ""])


def _of_board(folder: Path) -> str:
    rows, tests = read_results(folder, "worst.csv"), read_results(folder, "tests.csv")
    counts = rows.groupby("entry")["seed"].nunique()
    seeds = "; ".join(f"{n} entries have {seeds}" for seeds, n in counts.value_counts().items())
    first = [comparison.summary(rows, tests)] if len(tests) else []
    first += filter(None, [summary.older(read_record(folder / "config.json"))])
    sentences = "\n".join(f"- {sentence}" for sentence in (*first, *summary.verdicts(rows)))
    tables = [table.markdown.replace("## ", "### ") for table in comparison_tables(rows, tests)[:3]]
    return "\n".join([sentences, f"\nSeeds: {seeds}.", *tables])


def _of_data_set(folder: Path, verdicts: list[Verdict]) -> str:
    evidence, readings = Evidence.of(folder.parent.parent, folder.name), ""
    if evidence.losses is not None:
        table = loss_slopes.readings(evidence.losses)
        readings = characteristics_page.readings_report(evidence.losses, table).replace(
            "## ", "### "
        )
    cells = table1_tables.agreement(table1_tables.table1(read_results(folder, "cells.csv")))
    table = claims.table(folder.name, verdicts) if verdicts else ""
    return "\n".join([f"## {folder.name}\n", cells, claims.epochs(evidence), table, readings])


def main(results: list[Path]) -> None:
    """Copy every experiment of both papers, and render all pages, with small pictures."""
    plots.DPI = 80
    for source in results:
        for paper, patterns in PAPERS.items():
            for pattern in patterns:
                for path in sorted(source.glob(f"{pattern}/*/results.csv")):
                    take(path.parent, PUBLISHED / paper / path.relative_to(source).parent)
    board = read_results(PUBLISHED / "scale_free/robustness" / yardstick.DATASET, "worst.csv")
    half = worst_case.halving_epsilon(board)["test"].dropna().rename("epsilon")
    write_text(yardstick.TABLE, half.to_csv(float_format="%.5g"))
    for name, text in render(PUBLISHED).items():
        write_text(ROOT / name, text)
    for name in NOT_SHIPPED:
        for path in PUBLISHED.rglob(name):
            path.unlink()
    for path in PUBLISHED.rglob("*.png"):
        with replacing(path) as temporary:
            picture = Image.open(path).convert("RGB")
            few = picture.quantize(COLORS, Image.Quantize.MAXCOVERAGE, kmeans=5)
            few.save(temporary, format="png", optimize=True)


if __name__ == "__main__":
    main([Path(argument) for argument in sys.argv[1:]])
