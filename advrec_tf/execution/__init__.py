"""How work is done: processes, clusters, storage, results and the runner.

This room knows no paper and no model.
"""
