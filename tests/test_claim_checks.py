"""The number, the margin and the replicates of every claim on a page."""

from collections import Counter

from pytest import approx

from experiments.lowrank import claims as lowrank_claims
from experiments.lowrank.evidence import LowRankEvidence
from experiments.multistep import claims as multistep_claims
from experiments.multistep.evidence import Evidence

# What stands between bars: section, relation, reference, margin, what the paper gives.
MULTISTEP = """
5.1.1 | less than other | 0 | 0 | Table 1
5.1.1 (ML-1M) | greater than | 2 | 0 | 2.11, 2.10, 2.14
5.1.1 | equal to | 0 | 10 | Table 1
5.1.1 | equal to | 0 | 10 | Table 1
5.1.1 (LastFM) | equal to | 15.1 | 0.755 | 15.1 (FGSM / 0.0080)
5.1.1 (LastFM) | equal to | 20.4 | 1.02 | 20.4 (FGSM / 0.0060)
5.1.1 (LastFM) | equal to | 23.8 | 1.19 | 23.8 (FGSM / 0.0051)
5.1.1 (LastFM) | equal to | 1.48 | 0.074 | 1.48 (FGSM / 0.1448)
5.1.1 (LastFM) | equal to | 1.86 | 0.093 | 1.86 (FGSM / 0.1154)
5.1.1 (LastFM) | equal to | 1.94 | 0.097 | 1.94 (FGSM / 0.1106)
5.1.1 (LastFM) | equal to | 0 | 5 | .0080
6 (i) | less than other | 0 | 0 |
5.1.1 | less than other | 0 | 0 |
5.1.1 | greater than other | 0 | 0 | Figure 1b
5.1.1 (LastFM) | equal to | 76 | 5 | 6220 to 10928
5.1.1 (LastFM) | equal to | 31.3 | 5 | 1948
5.1.1 (LastFM) | less than other | 0 | 0 | Figure 1c
5.1.1 | greater than | 50 | 0 | Table 1
5.1.1 | greater than | 20 | 0 | Table 1
5.1.1 | greater than other | 0 | 0 | Table 1
5.1.1 (LastFM) | equal to | 11.31 | 1 | 11.31%
5.1.1 (LastFM) | equal to | 11.31 | 1 | 11.31%
5.1.1 (LastFM) | greater than | 58 | 0 | 58%
6 (ii) | greater than | 50 | 0 | 50%
5.1.2 | less than other | 0 | 0 | Table 1
5.1.2 (LastFM) | greater than | 90 | 0 | Figure 1a
5.1.2 | equal to | 5 | 0.5 | 5 (epsilon about .1)
5.2 | less than | 0 | 0 | Figure 3
5.2 | greater than | 0 | 0 | Figure 3
5.2 | greater than | 0 | 0 | Figure 3
5.2 | greater than | 0 | 0 | -3.65, -96.10 (PGD over density)
5.2 | less than other | 0 | 0 | Figure 3
5.2 (ML-1M) | equal to | -96.1 | 9.61 | -96.1
5.2 (ML-1M) | equal to | -3.65 | 9.61 | -3.65
5.2 (ML-1M) | equal to | 43.79 | 5 | 43.79%
5.2 (ML-1M) | equal to | 28.9 | 5 | 28.9%
ours | less than | 50 | 0 |
ours | less than other | 0 | 0 |
"""
LOWRANK = """
IV-A.2 | equal to | 85 | 5 | 85%
IV-A.2 | greater than other | 0 | 0 | Figure 2
IV-A.2 | equal to | 4 | 0.5 | 4% (.1415 to .1095)
IV-A.2 | equal to | 100 | 10 | Table I
IV-A.2 | equal to | 100 | 1 | Table I
IV-A | equal to | 100 | 1 | Table I
IV-A.3 | less than other | 0 | 0 | Table II
IV-A.3 | greater than | 95 | 0 | Table II
IV-A.3 | equal to | 0 | 0 |
IV-B.2 | greater than other | 0 | 0 | Figure 3
IV-B.2 | less than other | 0 | 0 | Figure 3
IV-B.2 | greater than other | 0 | 0 | Figure 4
IV-B.2 | greater than other | 0 | 0 | Figure 5
IV-B.2 | equal to | 100 | 5 | Figure 6
IV-B.2 | greater than other | 0 | 0 | Figure 6
IV-B.2 | greater than other | 0 | 0 | Figure 6
IV-B.2 | greater than other | 0 | 0 | Figure 6
IV-B.2 | less than | 110 | 0 | Figure 6
IV-B.2 | greater than | 110 | 0 | Figure 6
IV-B.2 | equal to | 100 | 5 | no plot
IV-C | greater than other | 0 | 0 | .1432, .1505
IV-C | greater than other | 0 | 0 | Table III
IV-C | less than other | 0 | 0 | .2354, .1569
IV-C | less than other | 0 | 0 | Table III
abstract | greater than | 95 | 0 | Table III
IV-C | less than other | 0 | 0 | Table III
abstract | greater than | 95 | 0 | Table III
IV-C | less than other | 0 | 0 | Table III
abstract | greater than | 95 | 0 | Table III
IV-C | less than other | 0 | 0 | Table III
abstract | greater than | 95 | 0 | Table III
"""


def written(table):
    """Return the sorted lines of a table, numbers as numbers."""
    lines = []
    for line in table.strip().splitlines():
        section, relation, reference, margin, published = (cell.strip() for cell in line.split("|"))
        lines.append((section, relation, published, float(reference), float(margin)))
    return sorted(lines)


def checks(cases):
    """Return the same of claims."""
    lines = []
    for claim, _ in cases:
        numbers = claim.reference, claim.margin
        lines.append((claim.section, claim.relation.value, claim.published, *numbers))
    return sorted(lines)


def compare(cases, table):
    made, expected = checks(cases), written(table)
    assert [line[:3] for line in made] == [line[:3] for line in expected]
    for line, wanted in zip(made, expected):
        assert line[3:] == approx(wanted[3:]), line


def test_the_checks_of_the_multistep_paper():
    cases = multistep_claims.cases(Evidence("ml-1m"))
    compare(cases, MULTISTEP)
    counts = Counter(claim.replication.name for claim, _ in cases)
    assert counts == {"TRAINING": 31, "SUBSAMPLE": 7}
    assert {claim.unit for claim, _ in cases} == {"", "%"}


def test_the_checks_of_the_low_rank_paper():
    cases = lowrank_claims.cases(LowRankEvidence({}, {}))
    compare(cases, LOWRANK)
    counts = Counter(claim.replication.name for claim, _ in cases)
    assert counts == {"FOLD": 2, "VICTIM": 28, "EXACT": 1}
