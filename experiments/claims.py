"""The papers' claims as checks over what the other experiments have measured."""

from pathlib import Path
from typing import Any

from advrec_tf.data import NAMES
from advrec_tf.errors import UserError
from advrec_tf.execution.runner import Page
from advrec_tf.files import locked
from advrec_tf.reporting import page

from .lowrank import claims as lowrank_claims
from .lowrank.evidence import LowRankEvidence
from .multistep import claims as multistep_claims
from .multistep.evidence import Evidence

MULTISTEP_EXPERIMENTS = ("table1", "iterations", "budget", "characteristics")


def show(values: dict[str, Any]) -> int:
    """Write the pages <output_dir>/claims/multi-step and claims/low-rank, and print them."""
    output_dir = Path(values["output_dir"])
    names = [name if name in NAMES else Path(name).stem for name in values["dataset"]]
    multistep = multistep_claims.report([Evidence.of(output_dir, name) for name in names])
    lowrank = lowrank_claims.report(LowRankEvidence.of(output_dir))
    if not (any(multistep) or any(lowrank)):
        raise UserError(
            f"{output_dir} holds no results on {', '.join(values['dataset'])} that a claim is "
            "about: run table1, iterations, budget, characteristics or lowrank_table1 first"
        )
    patterns = []
    for experiment in MULTISTEP_EXPERIMENTS:
        patterns += [f"{experiment}/{name}*" for name in names]
    _write(output_dir, "multi-step", *multistep, patterns)
    _write(output_dir, "low-rank", *lowrank, ["lowrank_*/*"])
    return 0


def _write(output_dir: Path, paper: str, answer: str, text: str, patterns: list[str]) -> None:
    """Write the page of a paper, if there is a text.  patterns: of the folders it is made from"""
    if not text:
        return
    sources: list[Path] = []
    for pattern in patterns:
        sources += sorted(output_dir.glob(pattern))
    with locked(output_dir / "claims" / paper):
        page(output_dir / "claims" / paper, text, answer=answer, sources=sources)


EXPERIMENT = Page(show)
