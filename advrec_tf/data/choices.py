"""Names among which users choose.  This module imports nothing, as the command line shows them."""

K_CORES = ("single_pass", "iterated")
SPLITS = ("last", "random", "80:20")

# Percentiles of the items' train clicks: a group is above the first and up to the second.
GROUPS = {"head": (95, 100), "upper_torso": (75, 95), "lower_torso": (50, 75), "tail": (0, 50)}
