"""Names and bounds of options of reconstructions.  This module imports nothing."""

CONVERSIONS = ("binarize", "binarize_and_keep", "weights", "dense", "rating_matrix", "ratings")
CHOICES = ("magnitude", "random")
PARTIAL = ("keep", "drop")
FLOOR = 0.1  # smaller reconstructed values are not stored; they are neither a rating nor a click
