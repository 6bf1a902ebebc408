"""What all pages share: numbers, tables, plots, web pages and their last line.  It knows no paper and measures nothing."""

from advrec_tf.execution.results import read_results, read_users
from advrec_tf.reporting.pages import page

__all__ = ["page", "read_results", "read_users"]
