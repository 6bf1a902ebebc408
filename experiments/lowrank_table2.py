"""Table II of the low-rank defences paper: local low-rank reconstruction before WRMF."""

from advrec_tf.defenses import LowRank
from advrec_tf.poisoning import Profiles
from advrec_tf.training import PMFSettings
from experiments.attack_runs import Running
from experiments.defended import UNDEFENDED, Setting, first_attack, report, run_defended

PATCHES = ((100, 90), (300, 80), (150, 20), (None, 3500), (None, 5000))


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """Every [patch, rank] on clean and on attacked data."""
    defenses = [UNDEFENDED, *(low_rank(patch, rank, setting) for patch, rank in setting.options["patches"] or PATCHES)]
    folder, _ = run_defended("lowrank_table2", setting, ["none", first_attack(attacks)], defenses, how, tuple(given))
    report(folder, "Table II: local low-rank reconstruction", "table2")


def low_rank(patch: int | None, rank: int, setting: Setting) -> tuple[dict, LowRank]:
    """The key columns of a reconstruction, and the defence: of clicks for WRMF, of ratings for PMF."""
    options = setting.options["reconstruction"]
    is_pmf = isinstance(setting.victim, PMFSettings)
    defense = LowRank(patch, rank, **options | ({"enter": "ratings"} | setting.options["ratings"] if is_pmf else {}))
    name = "low_rank" if is_pmf or defense.enter == LowRank(1, 1).enter else f"low_rank:{defense.enter}"
    return {"defense": name, "patch": "full" if patch is None else str(patch), "rank": rank}, defense
