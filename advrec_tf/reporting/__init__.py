"""From rows to what one reads: the published numbers, claims, tables, figures, pages.  Nothing here measures anything."""

from advrec_tf.reporting import (
    characteristics,
    claims,
    comparison,
    convergence,
    curves,
    detection,
    front,
    leaderboard,
    leaderboard_page,
    lowrank_claims,
    origin,
    pages,
    plots,
    poisoning,
    projected,
    published,
    tables,
    user_ranks,
    vocabulary,
)
from advrec_tf.reporting.audit import Audit, audit
from advrec_tf.reporting.evidence import Evidence
from advrec_tf.reporting.lowrank_evidence import LowRankEvidence
from advrec_tf.reporting.pages import page
from advrec_tf.reporting.user_ranks import read_board
from advrec_tf.results import read_results, read_users

__all__ = [
    "Audit", "Evidence", "LowRankEvidence", "audit", "characteristics", "claims", "comparison", "convergence",
    "curves", "detection", "front", "leaderboard", "leaderboard_page", "lowrank_claims", "origin",
    "page", "pages", "plots", "poisoning", "projected", "published", "read_board", "read_results", "read_users",
    "tables", "user_ranks", "vocabulary",
]  # fmt: skip
