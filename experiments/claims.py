"""The paper's claims as checks over what the other experiments have measured."""

from pathlib import Path

from advrec_tf.errors import UserError
from advrec_tf.files import write_text
from advrec_tf.reporting import Evidence, claims


def run(names: list[str], output_dir: Path) -> None:
    """Writes <output_dir>/claims/<data set>/report.md for each data set and prints it."""
    for name in names:
        evidence = Evidence.of(output_dir, name)
        if all(frame is None for frame in (evidence.table1, evidence.iterations, evidence.budget, evidence.losses)):
            raise UserError(f"{output_dir} holds no results on {name}: run table1, iterations, budget or characteristics first")
        text = claims.report(evidence)
        path = Path(output_dir) / "claims" / name / "report.md"
        write_text(path, text)
        print(f"{text}\nKept in {path}")
