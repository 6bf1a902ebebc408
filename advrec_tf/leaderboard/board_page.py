"""The files of a leaderboard: tables, one record for each entry, pictures and pages."""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.execution.results import read_record
from advrec_tf.execution.storage import write_csv
from advrec_tf.files import write_text
from advrec_tf.leaderboard import comparison, plots, protection, summary, user_ranks, worst_case
from advrec_tf.leaderboard.comparison_tables import Table, tables, tables_of_groups
from advrec_tf.leaderboard.entries import COMPARED
from advrec_tf.leaderboard.measuring import LAYOUT
from advrec_tf.leaderboard.worst_case import COLUMNS, DETAILS, SHOWN, THREAT_MODELS
from advrec_tf.reporting import page, read_results, read_users, web


def report(folders: list[Path]) -> None:
    """Write the tables of each leaderboard and a JSON for each entry, and render the pages.

    leaderboard.csv; worst.csv, which has more columns; tests.csv of the compared entry; groups.csv
    of users; users.npz with every tested user's rank.
    """
    for folder in folders:
        rows = read_results(folder, columns=LAYOUT.columns)
        measured, incomplete = worst_case.complete(rows)
        for name in incomplete:
            message = "is left out of the leaderboard, because it is not completely measured"
            print(f"advrec: {name} {message}", file=sys.stderr)
        kept = read_users(folder)
        worst, quarters = worst_case.worst_cases(measured, kept), worst_case.quarters(kept)
        write_csv(folder / "leaderboard.csv", worst[list(COLUMNS)])
        for name, frame in frames_of(user_ranks.Board(worst, quarters)).items():
            write_csv(folder / f"{name}.csv", frame)
        has_certificates = worst["certified_nDCG"].notna().any()  # each user has one test item
        if has_certificates and worst["k"].max() <= user_ranks.MAX_RANK:
            user_ranks.write_users(folder, user_ranks.Board(worst, quarters))
        _write_records(folder / "entries", records(worst, read_record(folder / "config.json")))
        render(folder, COMPARED.label)


def frames_of(board: user_ranks.Board) -> dict[str, pd.DataFrame]:
    """Return the tables that a leaderboard is rendered from, by the names of their files."""
    return {
        "worst": board.rows[list(DETAILS)],
        "tests": comparison.compared(board.rows, COMPARED.label),
        "groups": protection.protected(board.rows, board.quarters),
    }


def records(rows: pd.DataFrame, record: dict[str, Any] | None) -> dict[str, dict[str, Any]]:
    """Return a record of each entry and seed by its name: figures, digest of factors, last run.

    rows: of `worst_cases`; record: of `read_record`
    """
    record, by_name = record or {}, {}
    run = (record.get("runs") or [{}])[-1]
    shared: dict[str, Any] = {"threat_models": THREAT_MODELS}
    shared |= {name: record.get(name) for name in ("config", "statistics")}
    shared |= {name: run.get(name) for name in ("commit", "versions", "flags")}
    columns = [*(name for name in COLUMNS if name not in ("entry", "seed")), "warnings"]
    for (entry, seed), part in rows.groupby(["entry", "seed"]):
        figures = part[columns].replace({np.nan: None}).to_dict("records")
        about = {"entry": entry, "seed": int(seed), "factors": part["factors"].iloc[0]}
        by_name[f"{entry} {seed}"] = {**about, **shared, "figures": figures}
    return by_name


def _write_records(folder: Path, by_name: dict[str, dict[str, Any]]) -> None:
    """Write a JSON for each record, and remove those of entries that no longer exist."""
    for path in folder.glob("*.json"):
        if path.stem not in by_name:
            path.unlink()
    for name, record in by_name.items():
        write_text(folder / f"{name}.json", json.dumps(record, indent=1) + "\n")


def render(folder: Path, compared: str | None = None) -> None:
    """Render report.md, leaderboard.html and the pictures from worst.csv, tests.csv and groups.csv.

    Raises UserError where tests.csv is about another entry than `compared`, and where a table has
    the columns of an earlier version.
    """
    rows = read_results(folder, "worst.csv", SHOWN)
    tests = read_results(folder, "tests.csv", comparison.COLUMNS)
    groups = read_results(folder, "groups.csv", protection.COLUMNS)
    first = []
    if len(tests):
        comparison.entry_of(tests, compared)
        first = [comparison.summary(rows, tests)]
    record = read_record(folder / "config.json")
    if older := summary.older(record):
        first.append(older)
    user_models = _user_models(record)
    pictures = {
        "leaderboard.png": plots.curves_figure(rows, user_models),
        "front.png": plots.front_figure(rows, user_models),
    }
    if len(groups):
        pictures["groups.png"] = plots.groups_figure(groups, rows, user_models)
    compared_tables = tables(rows, tests) + tables_of_groups(groups)
    text = summary.report(rows, folder.name)
    text += "".join(table.markdown for table in compared_tables)
    answer = "\n".join(f"- {sentence}" for sentence in (*first, *summary.verdicts(rows)))
    page(folder, text, pictures, answer=answer)
    html = html_page(folder.name, rows, first, pictures, compared_tables)
    write_text(folder / "leaderboard.html", html)


def _user_models(record: dict[str, Any] | None) -> set[str]:
    """Return the names that --factors gave in any run of a record."""
    texts: list[str] = []
    for run in (record or {}).get("runs", []):
        texts += (run.get("flags") or {}).get("factors") or []
    return {text.partition(":")[0] for text in texts}


def html_page(
    dataset: str,
    rows: pd.DataFrame,
    first: list[str],
    pictures: dict[str, Figure],
    compared_tables: list[Table],
) -> str:
    """Return one self-contained page.

    first: sentences above all others; pictures: by the names of their files; compared_tables: of
    one entry against all others
    """
    head, *others = [*first, *summary.verdicts(rows)]
    parts = [web.listed(others), web.paragraph(summary.EXPLAINED)]
    parts.append(web.picture(pictures["leaderboard.png"], plots.CURVES_ALT))
    for section in summary.sections(rows):
        parts.append(web.section(section.title, section.table, section.format_cell))
    if lines := summary.warnings(rows):
        parts += ["<h2>Where the ensemble may be too weak</h2>", web.listed(lines)]
    parts.append(web.picture(pictures["front.png"], plots.FRONT_ALT))
    for table in compared_tables:
        parts.append(web.section(table.title, table.table, str, table.table.index.name or "entry"))
        parts.append(web.paragraph(table.note))
    return web.document(f"Robustness of factors on {dataset}", head, parts)
