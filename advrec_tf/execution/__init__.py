"""Execution: processes and clusters, files of arrays and tables, results and the runner.  It knows no paper and no model."""
