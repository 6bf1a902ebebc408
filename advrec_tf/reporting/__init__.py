"""Reports: results on disk, the published numbers, tables and figures."""

from advrec_tf.reporting import curves, plots, published, tables
from advrec_tf.reporting.results import Results, read_results, recorded_run

__all__ = ["Results", "curves", "plots", "published", "read_results", "recorded_run", "tables"]
