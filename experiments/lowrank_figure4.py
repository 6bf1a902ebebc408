"""Figure 4 of the low-rank defences paper: Figure 3's comparison over the length of PMF's factors."""

from dataclasses import replace

from advrec_tf.poisoning import Profiles
from experiments.attack_runs import Running
from experiments.defended import UNDEFENDED, Setting, first_attack, ratings_rebuilt, report_curves, run_defended

RANKS = (50, 100)


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """PMF of every length on the ratings as they are and on reconstructions of two ranks."""
    setting = replace(setting, dims=tuple(setting.options["pmf_dims"]))
    defenses = [UNDEFENDED, *(ratings_rebuilt(rank, setting.options) for rank in RANKS)]
    folder, _ = run_defended("lowrank_figure4", setting, ["none", first_attack(attacks)], defenses, how, tuple(given))
    report_curves(folder, "Figure 4: the length of PMF's factors", "figure4", "dim")
