"""The kinds of claims in the low-rank paper; victim seeds are their replicates.

"Lowers", "improves" and "stronger" are strict relations; "is kept" allows for a loss of 5%; a
published number is an equality with a margin.
"""

from advrec_tf.evaluation.verdicts import Claim, Relation, Replication

KEPT = 95.0  # percent of before that count as kept


def exceeds(section: str, sentence: str, quantity: str, other: str, published: str) -> Claim:
    """Return the claim that a quantity is greater than another one."""
    relation = Relation.GREATER_THAN_OTHER
    return Claim(
        section, sentence, quantity, relation, Replication.VICTIM, other=other, published=published
    )


def lowers(
    section: str, sentence: str, quantity: str, published: str, other: str = "before"
) -> Claim:
    """Return the claim that a quantity is less than another one."""
    relation = Relation.LESS_THAN_OTHER
    return Claim(
        section, sentence, quantity, relation, Replication.VICTIM, other=other, published=published
    )


def keeps(section: str, sentence: str, quantity: str, published: str) -> Claim:
    """Return the claim that a defence keeps a quantity, which is in percent of before."""
    return Claim(
        section,
        sentence,
        quantity,
        Relation.GREATER,
        Replication.VICTIM,
        reference=KEPT,
        unit="%",
        published=published,
    )


def equals(
    section: str, sentence: str, quantity: str, percent: tuple[float, float], published: str
) -> Claim:
    """Return the claim that a quantity equals a number of percent, as (number, margin)."""
    reference, margin = percent
    return Claim(
        section,
        sentence,
        quantity,
        Relation.EQUAL,
        Replication.VICTIM,
        reference=reference,
        margin=margin,
        unit="%",
        published=published,
    )
