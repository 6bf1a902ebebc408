"""Recommenders: BPR-MF, AMF, WRMF and PMF as Keras models, and the baselines that need no training."""

from advrec_tf.models.adagrad import RowAdagrad
from advrec_tf.models.adam import CoupledAdam
from advrec_tf.models.amf import ADVERSARIES, AMF
from advrec_tf.models.baselines import MostPopular, Random
from advrec_tf.models.bprmf import BPRMF
from advrec_tf.models.pmf import PMF
from advrec_tf.models.wrmf import WRMF

__all__ = ["ADVERSARIES", "AMF", "BPRMF", "PMF", "WRMF", "CoupledAdam", "MostPopular", "Random", "RowAdagrad"]
