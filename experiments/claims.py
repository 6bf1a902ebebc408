"""The papers' claims as checks over what the other experiments have measured."""

from pathlib import Path
from typing import Any

from advrec_tf.data import NAMES
from advrec_tf.errors import UserError
from advrec_tf.files import locked
from advrec_tf.reporting import Evidence, LowRankEvidence, claims, lowrank_claims, page


def run(values: dict[str, Any]) -> None:
    """Write <output_dir>/claims/multi-step/report.md, of all data sets, and claims/low-rank/report.md; print them."""
    output_dir = Path(values["output_dir"])
    names = [name if name in NAMES else Path(name).stem for name in values["dataset"]]
    multi_step = claims.report([Evidence.of(output_dir, name) for name in names])
    texts = {"multi-step": multi_step, "low-rank": lowrank_claims.report(LowRankEvidence.of(output_dir))}
    if not any(texts.values()):
        raise UserError(
            f"{output_dir} holds no results on {', '.join(values['dataset'])} that a claim is about: "
            "run table1, iterations, budget, characteristics or lowrank_table1 first"
        )
    for name, text in texts.items():
        if text:
            with locked(output_dir / "claims" / name):
                measured = "lowrank_*/*" if name == "low-rank" else f"*/{name}*"
                page(output_dir / "claims" / name, text, sources=sorted(output_dir.glob(measured)))
