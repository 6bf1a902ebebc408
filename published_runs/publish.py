"""Takes the rows and the settings of full-size runs over from a folder of results, and renders their pages and docs/lowrank.md from them:
python published_runs/publish.py RESULTS"""

import contextlib
import importlib
import io
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from advrec_tf.files import write_text  # noqa: E402
from advrec_tf.reporting import LowRankEvidence, lowrank_claims  # noqa: E402
from advrec_tf.results import read_record, write_record  # noqa: E402

PUBLISHED = Path(__file__).parent / "lowrank"
PLACES = ("output_dir", "data_dir", "workers", "progress", "backend")  # flags that say nothing about a result


def render(published: Path) -> str:
    """Renders every page below a folder of published rows, and returns the text of docs/lowrank.md."""
    folders = sorted(path.parent for path in published.glob("lowrank_*/*/results.csv"))
    with contextlib.redirect_stdout(io.StringIO()):
        for folder in folders:
            importlib.import_module(f"experiments.{folder.parent.name}").EXPERIMENT.report([folder])
    pages = [f"- [{folder.parent.name}, {folder.name}](../published_runs/lowrank/{folder.parent.name}/{folder.name}/report.md)" for folder in folders]
    return "\n".join([
        "# Verdicts on the low-rank defences paper\n",
        "From full-size runs, whose rows, settings and pages are in `published_runs/lowrank`.\n",
        lowrank_claims.report(LowRankEvidence.of(published)),
        "## Pages\n",
        *pages,
        "",
    ])  # fmt: skip


def main(results: Path) -> None:
    """Copies results.csv and config.json of every experiment on poisoned data, without what is of the machine, and renders the pages."""
    for path in sorted(results.glob("lowrank_*/*/results.csv")):
        target = PUBLISHED / path.relative_to(results).parent
        record = read_record(path.with_name("config.json"))
        if not (record and record["runs"]):
            print(f"{path.parent} is left out: its run has not ended", file=sys.stderr)
            continue
        write_text(target / "results.csv", path.read_text())
        for run in record["runs"]:
            run["flags"] = {name: value for name, value in run["flags"].items() if name not in PLACES}
        write_record(target / "config.json", record)
    write_text(ROOT / "docs" / "lowrank.md", render(PUBLISHED))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
