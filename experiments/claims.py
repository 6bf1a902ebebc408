"""The papers' claims as checks over what the other experiments have measured."""

from pathlib import Path

from advrec_tf.errors import UserError
from advrec_tf.files import write_text
from advrec_tf.reporting import Evidence, claims, lowrank_claims


def run(names: list[str], output_dir: Path) -> None:
    """Writes <output_dir>/claims/<data set>/report.md on perturbations for each data set, and claims/low-rank/report.md; prints them."""
    texts = {}
    for name in names:
        evidence = Evidence.of(output_dir, name)
        if any(frame is not None for frame in (evidence.table1, evidence.iterations, evidence.budget, evidence.losses)):
            texts[name] = claims.report(evidence)
    low_rank = lowrank_claims.LowRankEvidence.of(output_dir)
    if low_rank.tables or low_rank.detectors is not None:
        texts["low-rank"] = lowrank_claims.report(low_rank)
    if not texts:
        raise UserError(
            f"{output_dir} holds no results on {', '.join(names)}: run table1, iterations, budget, characteristics or lowrank_table1 first"
        )
    for name, text in texts.items():
        path = Path(output_dir) / "claims" / name / "report.md"
        write_text(path, text)
        print(f"{text}\nKept in {path}")
