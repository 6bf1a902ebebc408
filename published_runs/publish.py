"""Takes the rows and the settings of full-size runs over from a folder of results: python published_runs/publish.py RESULTS published_runs/lowrank"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from advrec_tf.files import write_text  # noqa: E402
from advrec_tf.reporting import LowRankEvidence, lowrank_claims  # noqa: E402
from advrec_tf.results import read_record, write_record  # noqa: E402

HEAD = """# Verdicts on the low-rank defences paper

From the full-size runs whose rows and settings are in `published_runs/lowrank`;
`advrec --experiment=verdict --output_dir=published_runs/lowrank` renders this table from there.

"""
PLACES = ("output_dir", "data_dir", "workers", "progress", "backend")  # flags that say nothing about a result


def main(results: Path, published: Path) -> None:
    """Copies results.csv and config.json of every experiment on poisoned data, without paths of the machine they were measured on, and writes
    docs/lowrank.md from them."""
    for path in sorted(results.glob("lowrank_*/*/results.csv")):
        target = published / path.relative_to(results).parent
        write_text(target / "results.csv", path.read_text())
        record = read_record(path.with_name("config.json"))
        for run in record["runs"]:
            run["flags"] = {name: value for name, value in run["flags"].items() if name not in PLACES}
        write_record(target / "config.json", record)
    write_text(Path(__file__).parent.parent / "docs" / "lowrank.md", HEAD + lowrank_claims.report(LowRankEvidence.of(published)))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
