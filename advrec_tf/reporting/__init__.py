"""Reports: results on disk, the published numbers, tables and figures."""

from advrec_tf.reporting import plots, published, tables
from advrec_tf.reporting.results import Results, read_results, recorded_run

__all__ = ["Results", "plots", "published", "read_results", "recorded_run", "tables"]
