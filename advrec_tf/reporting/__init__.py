"""Numbers, tables, plots and web pages that all reports share; no paper is known here."""

from advrec_tf.execution.results import read_results, read_users
from advrec_tf.reporting.pages import page

__all__ = ["page", "read_results", "read_users"]
