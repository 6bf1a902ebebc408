"""The low-rank defences paper in one report: its claims and all pages that were measured."""

from pathlib import Path
from typing import Any

from advrec_tf.errors import UserError
from advrec_tf.execution.runner import Page
from advrec_tf.files import locked
from advrec_tf.reporting import page

from . import claims
from .evidence import LowRankEvidence


def show(values: dict[str, Any]) -> int:
    """Write <output_dir>/lowrank/report.md, the verdicts first, and print it."""
    output_dir = Path(values["output_dir"])
    answer, verdicts = claims.report(LowRankEvidence.of(output_dir))
    if not verdicts:
        raise UserError(
            f"{output_dir} holds no results of the low-rank paper's tables or figures: run "
            "lowrank_table2, say, first"
        )
    paths = sorted(output_dir.glob("lowrank_*/*/report.md"))
    parts = ["# Low-rank defences, reproduced\n", verdicts]
    for path in paths:
        text = path.read_text().replace("\n#", "\n##").replace("# ", "## ", 1)
        parts.append(f"{text}\n({path.relative_to(output_dir)})\n")
    folder = output_dir / "lowrank"
    with locked(folder):
        page(folder, "\n".join(parts), answer=answer, sources=[path.parent for path in paths])
    return 0


EXPERIMENT = Page(show)
