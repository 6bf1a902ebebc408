"""Recommenders: BPR-MF and AMF as Keras models, and the baselines that need no training."""

from advrec_tf.models.adagrad import RowAdagrad
from advrec_tf.models.amf import ADVERSARIES, AMF
from advrec_tf.models.baselines import MostPopular, Random
from advrec_tf.models.bprmf import BPRMF

__all__ = ["ADVERSARIES", "AMF", "BPRMF", "MostPopular", "Random", "RowAdagrad"]
