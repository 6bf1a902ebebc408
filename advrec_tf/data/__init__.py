"""Interactions: loading, splitting, sampling."""

from advrec_tf.data.interactions import Interactions
from advrec_tf.data.loaders import NAMES, default_data_dir, load
from advrec_tf.data.sampling import Triples, sample_triples, shuffled_batches
from advrec_tf.data.synthetic import synthetic

__all__ = ["NAMES", "Interactions", "Triples", "default_data_dir", "load", "sample_triples", "shuffled_batches", "synthetic"]
