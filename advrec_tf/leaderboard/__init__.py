"""Leaderboards and audits: what attacks leave of factors, and what is certified."""

from advrec_tf.leaderboard.entries import COMPARED, Entry
from advrec_tf.leaderboard.measuring import CERTIFICATE, EPSILONS, LAYOUT, USER, VERSION, jobs

__all__ = ["CERTIFICATE", "COMPARED", "EPSILONS", "LAYOUT", "USER", "VERSION", "Entry", "jobs"]
