"""Figure 5 of the low-rank defences paper: PMF's factors transformed into the space of the ratings' singular vectors."""

from advrec_tf.defenses import Transformation
from advrec_tf.poisoning import Profiles
from experiments.attack_runs import Running
from experiments.defended import UNDEFENDED, Setting, first_attack, report_curves, run_defended


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """The same trained factors before and after the transformation at every rank; no rating is added."""
    defenses = [UNDEFENDED, *(({"defense": "transformation", "rank": rank}, Transformation(rank)) for rank in setting.options["svd_ranks"])]
    folder, _ = run_defended("lowrank_figure5", setting, ["none", first_attack(attacks)], defenses, how, tuple(given))
    report_curves(folder, "Figure 5: low-rank transformation of PMF's factors", "figure5", "rank")
