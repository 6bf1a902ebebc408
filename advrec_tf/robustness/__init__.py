"""What is left of factors under an ensemble of attacks, and what no attack can take, in budgets that no scale can fake."""

from advrec_tf.robustness.measuring import CERTIFICATE, LAYOUT, SIZES, VERSION, jobs, measured
from advrec_tf.robustness.members import ALSO, MEMBERS, NOISE, Problem, ensemble
from advrec_tf.robustness.single_user import alone

__all__ = ["ALSO", "CERTIFICATE", "LAYOUT", "MEMBERS", "NOISE", "SIZES", "VERSION", "Problem", "alone", "ensemble", "jobs", "measured"]
