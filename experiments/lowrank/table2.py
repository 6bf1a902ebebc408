"""Table II of the low-rank defences paper: local low-rank reconstruction before WRMF."""

from . import defense_page, poisoned_flags

EXPERIMENT = defense_page.experiment(
    "Table II: local low-rank reconstruction", "table2", poisoned_flags.one_attack
)
