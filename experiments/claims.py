"""The papers' claims as checks over what the other experiments have measured."""

from pathlib import Path
from typing import Any

from advrec_tf.data import NAMES
from advrec_tf.errors import UserError
from advrec_tf.files import locked
from advrec_tf.reporting import page

from .lowrank import claims as lowrank_claims
from .lowrank.evidence import LowRankEvidence
from .multistep import claims as multistep_claims
from .multistep.evidence import Evidence

MULTI_STEP = ("table1", "iterations", "budget", "characteristics")


def run(values: dict[str, Any]) -> None:
    """Write the pages <output_dir>/claims/multi-step and claims/low-rank, and print them."""
    output_dir = Path(values["output_dir"])
    names = [name if name in NAMES else Path(name).stem for name in values["dataset"]]
    evidence, lowrank = (
        [Evidence.of(output_dir, name) for name in names],
        LowRankEvidence.of(output_dir),
    )
    texts = {
        "multi-step": multistep_claims.report(evidence),
        "low-rank": lowrank_claims.report(lowrank),
    }
    if not any(texts.values()):
        raise UserError(
            f"{output_dir} holds no results on {', '.join(values['dataset'])} that a claim is about: "
            "run table1, iterations, budget, characteristics or lowrank_table1 first"
        )
    measured = {
        "multi-step": [f"{experiment}/{name}*" for experiment in MULTI_STEP for name in names],
        "low-rank": ["lowrank_*/*"],
    }
    for paper, text in texts.items():
        if text:
            sources = [path for glob in measured[paper] for path in sorted(output_dir.glob(glob))]
            with locked(output_dir / "claims" / paper):
                page(output_dir / "claims" / paper, text, sources=sources)
