"""The specification of an experiment on poisoned data, and the columns of its rows."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, reduce
from itertools import product
from pathlib import Path
from typing import Any

from advrec_tf import evaluation
from advrec_tf.data import Interactions
from advrec_tf.defenses import detection, low_rank
from advrec_tf.evaluation import TARGET_NAMES
from advrec_tf.execution import storage
from advrec_tf.execution.results import Layout
from advrec_tf.poisoning import Plan, Profiles, make
from advrec_tf.poisoning.similarity import VERSION as LIKENESS_VERSION
from advrec_tf.recommenders import RecommenderConfig

KEYS = (
    *("dataset", "model", "epoch", "attack", "seed", "k", "profiles", "group"),
    *("defense", "patch", "rank", "share", "kernel", "components"),
)
LAYOUT = Layout(KEYS, (*TARGET_NAMES, "RMSE", "emptied_users", "emptied_fakes"))

# Flags of single experiments that change what is measured.
MEASUREMENT_FLAGS = (
    "enter",
    "threshold",
    "partial_patches",
    "shuffle_seed",
    "choose_ratings",
    "folds",
    "other_outer_epochs",
)


@dataclass(frozen=True, eq=False, kw_only=True)
class PoisonedSpec:
    """What the measurements on one data set depend on.

    plans: the plan of the attacks on each group of targets.  attacks: their names, several in one
    joined with +.  given: profiles from files.  victims: configurations by their names in the rows.
    values: of all flags.  pictured: further settings of a picture of one attack.  attack_seeds:
    seeds of the attacks, if the rows name them; otherwise the seed is a setting of the plans.
    """

    data: Interactions
    output_dir: Path
    seeds: list[int]
    plans: dict[str, Plan]
    attacks: tuple[str, ...]
    given: tuple[Profiles, ...]
    victims: dict[str, RecommenderConfig]
    epochs: int
    k: int
    published: bool  # whether the paper's numbers are of this setting
    values: dict[str, Any]
    pictured: dict[str, Any] = field(default_factory=dict)
    attack_seeds: tuple[int, ...] = ()

    @property
    def cache_dir(self) -> Path:
        """The folder of what several experiments share."""
        return self.output_dir / "cache"

    @property
    def profiles_dir(self) -> Path:
        """The folder of the profiles that attacks have learned."""
        return self.output_dir / "profiles"

    @property
    def config(self) -> dict[str, Any]:
        """What the results depend on, as plain values."""
        attacks = {group: plan.identity for group, plan in self.plans.items()}
        if self.attack_seeds:
            attacks = {group: {**identity, "seed": None} for group, identity in attacks.items()}
        victims = {config.name: config.identity for config in self.victims.values()}
        if "pmf_dims" in self.values:  # each length is a model of its own in the rows
            for name, identity in victims.items():
                victims[name] = {**identity, "embedding_dim": None}
        base = {"data": self.data.ratings_fingerprint}
        if self.data.test_ratings is not None:
            base["test_ratings"] = storage.digest({"ratings": self.data.test_ratings})[:16]
        return {
            **base,
            "k": self.k,
            "attacks": attacks,
            "victims": victims,
            "epochs": self.epochs,
            **{name: self.values[name] for name in MEASUREMENT_FLAGS if name in self.values},
            **self.pictured,
            "versions": {
                "evaluation": evaluation.VERSION,
                "low_rank": low_rank.VERSION,
                "detection": detection.VERSION,
                "likeness": LIKENESS_VERSION,
            },
        }

    @property
    def single_attacks(self) -> list[str]:
        """The attacks without "none", each part of a mixed one for itself."""
        return [name for name in "+".join(self.attacks).split("+") if name not in ("none", "")]

    @property
    def all_attacks(self) -> list[str]:
        """The attacks from the flags, and those of the given profiles."""
        return [*self.attacks, *(fakes.name for fakes in self.given)]

    @property
    def conditions(self) -> list[str]:
        """Clean data ("none") and all attacks."""
        return ["none", *(attack for attack in self.all_attacks if attack != "none")]

    @property
    def attack(self) -> str:
        """The first attack, which is the only one in some experiments."""
        return self.conditions[1]

    @cached_property
    def profiles(self) -> dict[tuple[str, str], Profiles]:
        """The profiles of every attack on every group of targets: (group, attack) -> Profiles.

        Learned profiles must be on disk.
        """
        profiles = self.made([attack for attack in self.attacks if attack != "none"])
        for group, fakes in product(self.plans, self.given):
            profiles[group, fakes.name] = fakes
        return profiles

    def made(self, attacks: Sequence[str]) -> dict[tuple[str, str], Profiles]:
        """Load or draw the profiles of attacks: (group, attack) -> Profiles.

        The profiles of attacks that are joined with + follow each other.
        """
        profiles = {}
        for (group, plan), attack in product(self.plans.items(), attacks):
            parts = [
                make(self.data, name, plan, self.k, self.profiles_dir, progress=False)
                for name in attack.split("+")
            ]
            profiles[group, attack] = reduce(Profiles.merged, parts)
        return profiles

    def of_group(self, group: str) -> "PoisonedSpec":
        """Return the spec of one group of targets."""
        return replace(self, plans={group: self.plans[group]})
