"""Names and bounds of options of reconstructions.  This module imports nothing."""

ENTER = ("binarize", "binarize_and_keep", "weights", "dense", "rating_matrix", "ratings")
CHOICES = ("magnitude", "random")
PARTIAL = ("keep", "drop")
FLOOR = 0.1  # smaller values of a reconstruction are dropped; they become neither rating nor click
