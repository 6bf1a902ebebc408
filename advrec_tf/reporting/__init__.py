"""Reports: results on disk, the published numbers, tables and figures."""

from advrec_tf.reporting import characteristics, curves, plots, published, tables
from advrec_tf.reporting.results import Results, read_results, recorded_run

__all__ = ["Results", "characteristics", "curves", "plots", "published", "read_results", "recorded_run", "tables"]
