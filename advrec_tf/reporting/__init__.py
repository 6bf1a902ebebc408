"""Reports: results on disk, the published numbers, tables and figures."""

from advrec_tf.reporting import (
    characteristics,
    claims,
    curves,
    detection,
    lowrank_claims,
    plots,
    poisoning,
    poisoning_plots,
    projected,
    published,
    tables,
)
from advrec_tf.reporting.audit import Audit, audit
from advrec_tf.reporting.evidence import Evidence
from advrec_tf.reporting.results import Results, read_results, recorded_run, user_path, victim_path

__all__ = [
    "Audit",
    "Evidence",
    "Results",
    "audit",
    "characteristics",
    "claims",
    "curves",
    "detection",
    "lowrank_claims",
    "plots",
    "poisoning",
    "poisoning_plots",
    "projected",
    "published",
    "read_results",
    "recorded_run",
    "tables",
    "user_path",
    "victim_path",
]
