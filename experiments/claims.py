"""The paper's claims as checks over what the other experiments have measured."""

from pathlib import Path

from advrec_tf.files import write_text
from advrec_tf.reporting import Evidence, claims


def run(names: list[str], output_dir: Path) -> None:
    """Writes <output_dir>/claims/<data set>/report.md for each data set and prints it."""
    for name in names:
        text = claims.report(Evidence.of(output_dir, name))
        path = Path(output_dir) / "claims" / name / "report.md"
        write_text(path, text)
        print(f"{text}\nKept in {path}")
