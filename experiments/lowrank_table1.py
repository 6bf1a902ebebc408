"""Table I of the low-rank defences paper: a recommender without the users that PCA and an SVM take for fakes."""

from advrec_tf.poisoning import Profiles
from experiments import detectors
from experiments.attack_runs import Running
from experiments.defended import UNDEFENDED, Setting, first_attack, report, run_defended

DEFENSES = [UNDEFENDED, ({"defense": "svm", "patch": "poly2", "rank": 20}, "poly2")]


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """No defence and the SVM, on clean and on attacked data; and how the detectors do under the paper's protocol and under honest ones."""
    attack = first_attack(attacks)
    folder, profiles = run_defended("lowrank_table1", setting, ["none", attack], DEFENSES, how, tuple(given))
    protocols = detectors.protocols(setting, attack, profiles, folder, how)
    report(folder, "Table I: fake users found by PCA and an SVM", "table1", protocols)
