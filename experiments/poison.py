"""Fake profiles against a recommender: the profiles, how they came about, and the victim before and after."""

from advrec_tf.data import Interactions
from advrec_tf.files import write_text
from advrec_tf.poisoning import Profiles, likeness
from advrec_tf.reporting import plots, poisoning, poisoning_plots, read_results, tables
from experiments.attack_runs import Running
from experiments.defended import UNDEFENDED, Setting, run_defended


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """Makes the profiles, trains a victim on clean and on poisoned data for every seed, and writes the report.

    given: profiles from files, attacks of their own
    """
    attacks = ["none", *(attack for attack in attacks if attack != "none")]
    folder, profiles = run_defended("poison", setting, attacks, [UNDEFENDED], how, tuple(given))
    rows = read_results(folder)
    text = poisoning.poison_report(rows, folder, _likenesses(setting.data, profiles))
    write_text(folder / "report.md", text)
    plots.save_figure(poisoning_plots.poison_figure(poisoning.summary(rows)), folder / "poison.png")
    print(f"{text}\nKept in {folder}: results.csv, report.md, poison.png; profiles in {setting.output_dir}/profiles/{setting.data.name}")


def _likenesses(data: Interactions, profiles: dict[tuple[str, str], Profiles]) -> str:
    """How close each attack's profiles are to real ones, as a table."""
    if not profiles:
        return ""
    found = {key: likeness(each, data) for key, each in profiles.items()}
    names = list(next(iter(found.values())))
    lines = [[*key, *(f"{values[name]:.4f}" for name in names)] for key, values in found.items()]
    return "\n## How close the fake profiles are to real ones\n\n" + tables.markdown(["targets", "attack", *names], lines)
