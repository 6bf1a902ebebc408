"""Making the fake profiles that the experiments share: each attack once for its data, settings and seed."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from advrec_tf.data import Interactions
from advrec_tf.files import write_text
from advrec_tf.poisoning import HEURISTICS, Profiles, heuristic
from advrec_tf.reporting import plots, poisoning_plots
from advrec_tf.training import cache

ATTACKS = ("recsys20", "recsys19", *HEURISTICS)
OUTER_EPOCHS = {"recsys20": 30, "recsys19": 10}


@dataclass(frozen=True)
class Plan:
    """What the attacks on one data set depend on, and where their profiles are kept."""

    fakes: int
    targets: tuple[int, ...]
    options: dict[str, dict]  # of recsys20 and recsys19, beside fakes and targets
    clicks: int | None
    outer_epochs: int | None
    seed: int
    folder: Path

    @property
    def identity(self) -> dict:
        """All of it but the folder, as plain values."""
        return json.loads(json.dumps({name: value for name, value in asdict(self).items() if name != "folder"}))


def attack(data: Interactions, name: str, plan: Plan, k: int, progress: bool = True, position: int = 0) -> Profiles:
    """The profiles of an attack; if they are finished on disk they are read."""
    if name in HEURISTICS:
        return heuristic(name, data, plan.fakes, plan.targets, plan.seed, plan.clicks)
    from advrec_tf.poisoning import bilevel, gan  # these need TensorFlow

    make, kind = {"recsys20": (bilevel.attack, bilevel.RecSys20Settings), "recsys19": (gan.attack, gan.RecSys19Settings)}[name]
    settings = kind(fakes=plan.fakes, targets=plan.targets, k=k, **plan.options[name])
    outer_epochs = plan.outer_epochs or OUTER_EPOCHS[name]
    identity = {"attack": name, "data": data.ratings_fingerprint, **asdict(settings), "outer_epochs": outer_epochs, "seed": plan.seed}
    folder = plan.folder / data.name / f"{name}-{cache.entry(Path(), identity).name}"
    write_text(folder / "settings.json", json.dumps(identity, indent=1, default=str) + "\n")
    profiles = make(data, settings, plan.seed, folder, outer_epochs, progress)
    plots.save_figure(poisoning_plots.trajectory_figure(folder, name), folder / "trajectory.png")
    return profiles
