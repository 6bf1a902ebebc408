"""Figure 3 of the low-rank defences paper: PMF on low-rank reconstructed ratings over the SVD rank, clean and attacked."""

from advrec_tf.poisoning import Profiles
from experiments.attack_runs import Running
from experiments.defended import UNDEFENDED, Setting, first_attack, ratings_rebuilt, report_curves, run_defended


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """All ratings from the reconstruction, those that were there and all the new ones, at every rank."""
    defenses = [UNDEFENDED, *(ratings_rebuilt(rank, setting.options) for rank in setting.options["svd_ranks"])]
    folder, _ = run_defended("lowrank_figure3", setting, ["none", first_attack(attacks)], defenses, how, tuple(given))
    report_curves(folder, "Figure 3: PMF on low-rank reconstructed ratings", "figure3", "rank")
