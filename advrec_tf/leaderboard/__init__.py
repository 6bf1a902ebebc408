"""The leaderboard: what an ensemble of attacks leaves of factors, what no attack can take, and the pages about it."""

from advrec_tf.leaderboard.measuring import CERTIFICATE, LAYOUT, SIZES, VERSION, jobs, measured

__all__ = ["CERTIFICATE", "LAYOUT", "SIZES", "VERSION", "jobs", "measured"]
