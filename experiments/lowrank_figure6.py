"""Figure 6 of the low-rank defences paper: more and more new ratings, before and after the transformation."""

from advrec_tf.defenses import Transformation
from advrec_tf.poisoning import Profiles
from experiments.attack_runs import Running
from experiments.defended import Setting, first_attack, ratings_rebuilt, report_curves, run_defended


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """The ratings that were there stay as they are; 0 to 100% of the reconstruction's new ones join them."""
    defenses = []
    for rank in setting.options["figure6_ranks"]:
        for share in setting.options["shares"]:
            named, added = ratings_rebuilt(rank, setting.options, share, keep_originals=True)
            defenses.append((named, added))
            defenses.append((named | {"defense": "new ratings + transformation"}, Transformation(rank, added)))
    folder, _ = run_defended("lowrank_figure6", setting, ["none", first_attack(attacks)], defenses, how, tuple(given))
    report_curves(folder, "Figure 6: new ratings, before and after the transformation", "figure6", "share")
