"""The claims of the multi-step perturbations paper, and their page.

"At least", "more than" and "falls" are strict relations. A number that the paper gives is an
equality within 5% of it, as a cell of Table 1 is, unless the claim has another margin.
"""

from collections.abc import Sequence
from itertools import chain

import pandas as pd

from advrec_tf.data import NAMES as DATA_SETS
from advrec_tf.evaluation.verdicts import Verdict, Word, judge
from advrec_tf.reporting.verdict_table import Case, counts, follows, measured, note, stated
from advrec_tf.reporting.vocabulary import markdown

from . import characteristics_claims, curve_claims, table1_claims
from .evidence import Evidence, published_evidence
from .labels import first_selection

PUBLISHED_DATA = {"lastfm": "LastFM", "ml-1m": "ML-1M"}
CLAIM_GROUPS = (
    table1_claims.multi_step,
    curve_claims.ratios,
    curve_claims.against_random,
    curve_claims.coverage,
    table1_claims.beyond_accuracy,
    table1_claims.adversarial_training,
    curve_claims.budget,
    characteristics_claims.slopes,
    characteristics_claims.published,
    table1_claims.ours,
)


def cases(evidence: Evidence) -> list[Case]:
    """Return every claim with its estimates, which are empty for what was not measured."""
    return [case for group in CLAIM_GROUPS for case in group(evidence)]


def verdicts_by_data_set(evidence: Sequence[Evidence]) -> dict[str, list[Verdict]]:
    """Return the verdicts on every data set, which are corrected together.

    Data sets without a measured claim are left out, and so are those that the package does not
    know by name: the paper says nothing about them.
    """
    known = []
    for part in evidence:
        if part.dataset in DATA_SETS:
            known += [(part.dataset, case) for case in cases(part)]
    verdicts: dict[str, list[Verdict]] = {}
    for (dataset, _), verdict in zip(known, judge([case for _, case in known])):
        verdicts.setdefault(dataset, []).append(verdict)
    return {
        dataset: rows
        for dataset, rows in verdicts.items()
        if any(verdict.word is not Word.UNMEASURED for verdict in rows)
    }


def table(dataset: str, verdicts: Sequence[Verdict]) -> str:
    """Return the verdicts on a data set as a table, below how many there are of each kind."""
    published = [dict(cases(published_evidence(name))) for name in PUBLISHED_DATA]
    lines = []
    for verdict in verdicts:
        claim = verdict.claim
        fields = [claim.section, claim.sentence, claim.check, claim.published]
        fields += [follows(claim, numbers.get(claim, [])) for numbers in published]
        lines.append([*fields, measured(verdict), stated(verdict)])
    header = ["where", "claim", "check", "published"]
    header += [f"follows from its {name} numbers" for name in PUBLISHED_DATA.values()]
    text = markdown([*header, f"measured on {dataset}", "verdict"], lines)
    return f"{counts(verdicts)}\n\n{text}"


def epochs(evidence: Evidence) -> str:
    """Return a sentence on the seeds whose BPR-MF has other epochs in Figure 1 than in Table 1.

    "" if there is none.
    """
    if evidence.table1 is None or evidence.iterations is None:
        return ""
    by_seed = []
    for frame in (first_selection(evidence.table1), first_selection(evidence.iterations)):
        by_seed.append(frame[frame["model"] == "BPR-MF"].groupby("seed")["epoch"].first())
    pairs = pd.concat(by_seed, axis=1, join="inner")
    other = pairs[pairs.iloc[:, 0] != pairs.iloc[:, 1]]
    if other.empty:
        return ""
    texts = "; ".join(f"seed {seed}: {a:.0f} and {b:.0f}" for seed, (a, b) in other.iterrows())
    return f"Table 1 and Figure 1 do not show the same epochs of BPR-MF ({texts}).\n"


def report(evidence: Sequence[Evidence]) -> tuple[str, str]:
    """Return a short answer and the page of all claims, "" where none was measured."""
    by_data_set = verdicts_by_data_set(evidence)
    if not by_data_set:
        return "", ""
    parts = [
        "# Claims of the multi-step perturbations paper\n",
        note([*chain(*by_data_set.values())]),
    ]
    differences = {part.dataset: epochs(part) for part in evidence}
    for dataset, verdicts in by_data_set.items():
        parts.append(f"## {dataset}\n\n{differences[dataset]}\n{table(dataset, verdicts)}")
    answers = [f"{dataset}: {counts(verdicts)}" for dataset, verdicts in by_data_set.items()]
    return "\n".join(answers), "\n".join(parts)
