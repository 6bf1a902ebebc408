"""Table III of the low-rank defences paper: local low-rank reconstruction and several attacks."""

from functools import partial

from . import defense_page, poisoned_flags

ATTACKS = ("recsys19", "recsys20", "recsys19+recsys20")

EXPERIMENT = defense_page.experiment(
    "Table III: local low-rank reconstruction under several attacks",
    "table3",
    partial(poisoned_flags.fixed_attacks, ATTACKS),
)
