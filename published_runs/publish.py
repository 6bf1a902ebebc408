"""Takes the rows and the settings of full-size runs over from a folder of results: python published_runs/publish.py RESULTS published_runs/lowrank"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from advrec_tf.files import write_text  # noqa: E402
from advrec_tf.results import read_record, write_record  # noqa: E402

PLACES = ("output_dir", "data_dir", "workers", "progress", "backend")  # flags that say nothing about a result


def main(results: Path, published: Path) -> None:
    """Copies results.csv and config.json of every experiment on poisoned data, without paths of the machine they were measured on."""
    for path in sorted(results.glob("lowrank_*/*/results.csv")):
        target = published / path.relative_to(results).parent
        write_text(target / "results.csv", path.read_text())
        record = read_record(path.with_name("config.json"))
        for run in record["runs"]:
            run["flags"] = {name: value for name, value in run["flags"].items() if name not in PLACES}
        write_record(target / "config.json", record)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
