"""Table III of the low-rank defences paper: local low-rank reconstruction under each attack and under both together."""

from advrec_tf.poisoning import Profiles
from experiments.attack_runs import Running
from experiments.defended import UNDEFENDED, Setting, report, run_defended
from experiments.lowrank_table2 import low_rank

ATTACKS = ["none", "recsys19", "recsys20", "recsys19+recsys20"]
PATCHES = ((200, 50),)


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """No defence and [200, 50], under no attack, each and both."""
    defenses = [UNDEFENDED, *(low_rank(patch, rank, setting) for patch, rank in setting.options["patches"] or PATCHES)]
    folder, _ = run_defended("lowrank_table3", setting, ATTACKS, defenses, how, tuple(given))
    report(folder, "Table III: local low-rank reconstruction under several attacks", "table3")
