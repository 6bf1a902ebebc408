"""The experiments on poisoned data: what they depend on, the fake profiles that they share, and how a victim is measured."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial, reduce
from pathlib import Path
from typing import Any

from advrec_tf import evaluation
from advrec_tf.cli import sections
from advrec_tf.cli.flags import as_published
from advrec_tf.data import GROUPS, Interactions, check_targets, choose_targets, popularity_groups
from advrec_tf.defenses import CONVERSIONS, Defense, LowRank, detection, low_rank
from advrec_tf.defenses.measuring import VictimSpec
from advrec_tf.errors import UserError
from advrec_tf.evaluation import TARGET_NAMES
from advrec_tf.execution import storage
from advrec_tf.execution.jobs import Stages, Task
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import Running, list_length
from advrec_tf.poisoning import POISONING_ATTACKS, Plan, Profiles, folder_of, make, read_trajectory
from advrec_tf.poisoning.settings import LEARNED, MODULES
from advrec_tf.poisoning.similarity import VERSION as LIKENESS
from advrec_tf.recommenders import PMFConfig, RecommenderConfig, WRMFConfig, recommender_config
from advrec_tf.reporting.plots import save_figure

from . import plots

# Which profiles, what was done about them, and how much of it.
KEYS = (
    "dataset",
    "model",
    "epoch",
    "attack",
    "seed",
    "k",
    "profiles",
    "group",
    "defense",
    "patch",
    "rank",
    "share",
    "kernel",
    "components",
)
LAYOUT = Layout(KEYS, (*TARGET_NAMES, "RMSE", "emptied_users", "emptied_fakes"))
UNDEFENDED = Defense()


@dataclass(frozen=True, eq=False)
class Study:
    """What the measurements on one data set depend on."""

    experiment: str
    data: Interactions
    output_dir: Path
    seeds: list[int]
    plans: dict[str, Plan]  # by group of targets
    attacks: tuple[str, ...]
    given: tuple[Profiles, ...]  # profiles from files, attacks of their own
    victims: dict[str, RecommenderConfig]  # by their names in the results
    epochs: int
    k: int
    published: bool  # whether the paper's numbers may stand beside
    values: dict[str, Any]  # of the flags that single experiments read
    pictured: dict[str, Any] = field(default_factory=dict)  # what a picture of one attack shows
    attack_seeds: tuple[
        int, ...
    ] = ()  # where the rows say the attack's seed; without them that of the plans is a setting

    @property
    def cache_dir(self) -> Path:
        """Where whatever several experiments need is kept."""
        return self.output_dir / "cache"

    @property
    def config(self) -> dict[str, Any]:
        attacks = {group: plan.identity for group, plan in self.plans.items()}
        if self.attack_seeds:
            attacks = {group: {**identity, "seed": None} for group, identity in attacks.items()}
        victims = {settings.name: settings.identity for settings in self.victims.values()}
        if "pmf_dims" in self.values:  # each length is a model of its own in the rows
            victims = {
                name: {**identity, "embedding_dim": None} for name, identity in victims.items()
            }
        ratings = (
            {}
            if self.data.test_ratings is None
            else {"test_ratings": storage.digest({"ratings": self.data.test_ratings})[:16]}
        )
        own = {name: self.values[name] for name in OWN_FLAGS if name in self.values}
        versions = {
            "evaluation": evaluation.VERSION,
            "low_rank": low_rank.VERSION,
            "detection": detection.VERSION,
            "likeness": LIKENESS,
        }
        base = {
            "data": self.data.ratings_fingerprint,
            **ratings,
            "k": self.k,
            "attacks": attacks,
            "victims": victims,
            "epochs": self.epochs,
        }
        return {**base, **own, **self.pictured, "versions": versions}

    @property
    def all_attacks(self) -> list[str]:
        """The attacks asked for, and those whose profiles are given."""
        return [*self.attacks, *(fakes.name for fakes in self.given)]

    @property
    def attack(self) -> str:
        """The one attack of an experiment that defends against one."""
        return next(attack for attack in self.all_attacks if attack != "none")

    @cached_property
    def profiles(self) -> dict[tuple[str, str], Profiles]:
        """The profiles of every attack on every group of targets, once they are made: (group, attack) -> Profiles."""
        asked = [attack for attack in self.attacks if attack != "none"]
        return self.made(asked) | {
            (group, fakes.name): fakes for group in self.plans for fakes in self.given
        }

    def made(self, attacks: Iterable[str]) -> dict[tuple[str, str], Profiles]:
        """Profiles that are on disk by now, or made by rule; those of several attacks joined by + one after the other."""

        def single(group, name):
            return make(
                self.data,
                name,
                self.plans[group],
                self.k,
                self.output_dir / "profiles",
                progress=False,
            )

        return {
            (group, name): reduce(
                Profiles.merged, [single(group, part) for part in name.split("+")]
            )
            for group in self.plans
            for name in attacks
        }

    def of_group(self, group: str) -> "Study":
        """The same on one group of targets."""
        return replace(self, plans={group: self.plans[group]})

    def of_seeds(self, seeds: list[int]) -> "Study":
        """The same with victims of some of the seeds."""
        return replace(self, seeds=seeds)


AWARE_OF = {"gowalla": "150x20", "ml-100k": "200x50"}  # the reconstruction RecSys20 knows of

# What single experiments measure by, beside what every poisoned study depends on.
OWN_FLAGS = (
    "enter",
    "threshold",
    "partial_patches",
    "shuffle_seed",
    "choose_ratings",
    "folds",
    "other_outer_epochs",
)


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The study of each data set.  Raises UserError for settings that do not go together, before anything is trained."""
    if len(values["attack_seed"]) > 1:
        raise UserError("--attack_seed takes one value in this experiment")
    if values["targets"] is not None and len(values["target_group"]) > 1:
        raise UserError("--target_group must name one group beside --targets")
    for group in values["target_group"]:
        if group not in GROUPS:
            raise UserError(f"--target_group must be of {', '.join(GROUPS)}, not {group!r}")
    attacks = tuple(dict.fromkeys(values.get("attack") or ()))
    for name in attacks:
        if any(
            part not in (*POISONING_ATTACKS, *(["none"] if name == "none" else []))
            for part in name.split("+")
        ):
            raise UserError(
                f"--attack must be of none, {', '.join(POISONING_ATTACKS)}, or several of them joined with +, not {name!r}"
            )
    if (
        not issubclass(recommender_config(values.get("victim", "wrmf")), WRMFConfig)
        and values.get("enter", CONVERSIONS[0]) != CONVERSIONS[0]
    ):
        raise UserError(
            "--enter says how values enter WRMF; a recommender of ratings takes them as ratings, and others as clicks"
        )
    given = tuple(Profiles.load(Path(path)) for path in values["profiles"])
    if values.get("patches"):
        values = {**values, "patches": [patch_of(text) for text in values["patches"]]}
    found = [_study(values, data, output_dir, attacks, given) for data in datasets]
    for study in found:
        _check(study)
    return found


def against_one(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[Study]:
    """`studies` of an experiment that defends against one attack.  Raises UserError when several are asked for."""
    named = [
        attack
        for attack in (*dict.fromkeys(values["attack"]), *values["profiles"])
        if attack != "none"
    ]
    if len(named) != 1:
        raise UserError(f"this experiment takes one --attack, not {', '.join(named) or 'none'}")
    return studies(values, datasets, output_dir)


def of_one(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """`against_one` for a picture of one attack and one seed, which are part of its settings then."""
    if len(values.get("seed", [0])) > 1:
        raise UserError("--seed takes one value in this experiment")
    found = against_one(values, datasets, output_dir)
    return [
        replace(
            study,
            pictured={
                "attack": study.attack,
                "seed": study.seeds,
                "given": [each.digest()[:12] for each in study.given],
            },
        )
        for study in found
    ]


def patch_of(text: str) -> tuple[int | None, int]:
    """SIZExRANK, or fullxRANK (None) of the whole matrix.  Raises UserError for anything else."""
    size, _, rank = text.partition("x")
    if not (rank.isdecimal() and (size == "full" or size.isdecimal())):
        raise UserError(f"reconstructions must be SIZExRANK or fullxRANK, not {text!r}")
    if int(rank) < 1 or (size != "full" and int(rank) > int(size)):
        raise UserError(
            f"the rank {rank} of {text} must lie in 1 ... {'the size of the matrix' if size == 'full' else size}"
        )
    return None if size == "full" else int(size), int(rank)


def reconstructions(study: Study) -> list[Defense]:
    """No defence, and every [patch, rank] that the flags ask for: of clicks for WRMF, of ratings for PMF."""
    values = study.values
    (victim,) = study.victims.values()
    own = {
        "threshold": values["threshold"],
        "shuffle_seed": values["shuffle_seed"],
        "choose": values["choose_ratings"],
    }
    own |= {"partial": values["partial_patches"]}
    enter = "ratings" if victim.reads_ratings else values["enter"]
    return [UNDEFENDED, *(LowRank(patch, rank, enter, **own) for patch, rank in values["patches"])]


def _study(
    values: dict[str, Any],
    data: Interactions,
    output_dir: Path,
    attacks: tuple[str, ...],
    given: tuple[Profiles, ...],
) -> Study:
    k = list_length(values, data, 50 if data.registered and data.name == "gowalla" else 10)
    plans = {group: _plan(values, data, group) for group in values["target_group"]}
    victims = victims_of(values, values.get("victim", "wrmf")) if "victim_epochs" in values else {}
    if "pmf_dims" in values:
        victims = {
            f"{name}({dim})": replace(victim, embedding_dim=dim)
            for name, victim in victims.items()
            for dim in values["pmf_dims"]
        }
    return Study(
        values["experiment"],
        data,
        output_dir,
        values.get("seed", [0]),
        plans,
        attacks,
        given,
        victims,
        values.get("victim_epochs", 0),
        k,
        data.registered and as_published(values) and not given,
        values,
    )


def victims_of(values: dict[str, Any], *names: str) -> dict[str, RecommenderConfig]:
    """Recommenders in the settings that the flags say, by their names in the results."""
    return {
        victim.name: victim
        for victim in (_victim(values, recommender_config(name)) for name in names)
    }


def _victim(values: dict[str, Any], kind: type[RecommenderConfig]) -> RecommenderConfig:
    own: dict[str, Any] = {"embedding_dim": values.get("victim_dim") or kind.embedding_dim}
    if issubclass(kind, WRMFConfig):
        own |= sections.VICTIM_WRMF.fields(values)
    elif kind is PMFConfig:
        own |= sections.VICTIM_PMF.fields(values)
    return kind(**own)


def _plan(values: dict[str, Any], data: Interactions, group: str) -> Plan:
    """Everything the attacks on one group of targets depend on."""
    fakes = values["fakes"] or (
        125 if data.registered and data.name == "ml-100k" else max(1, data.n_users // 100)
    )
    if fakes > data.n_users:
        raise UserError(f"--fakes={fakes} are more than the {data.n_users} users of {data.name}")
    targets = values["targets"]
    count = values["target_count"] or max(1, min(5, len(popularity_groups(data)[group])))
    chosen = (
        choose_targets(data, group, count, values["target_seed"])
        if targets is None
        else tuple(targets)
    )
    check_targets(data, chosen)
    surrogate = WRMFConfig(**sections.SURROGATE.fields(values))
    recsys20 = {"surrogate": surrogate, **sections.RECSYS20.fields(values)}
    probed = WRMFConfig(**sections.PROBED.fields(values))
    recsys19 = {"recommender": probed, **sections.RECSYS19.fields(values)}
    learned = {
        "gan": sections.GAN.fields(values),
        "recsys20": recsys20,
        "recsys20_disguised": recsys20
        | {**sections.DISGUISED.fields(values), "clicks": None, "click_targets": False},
    }
    learned |= dict.fromkeys(("recsys19", "bootstrap_refined", "bootstrap_blind"), recsys19)
    learned |= {
        "bootstrap_scored": {
            name: recsys19[name] for name in recsys19 if name not in ("goal", "largest_move")
        }
    }
    known = AWARE_OF.get(data.name if data.registered else "", "50x20")
    learned |= {"recsys20_aware": recsys20 | {"defense": LowRank(*patch_of(known))}}
    (attack_seed,) = values["attack_seed"]
    return Plan(fakes, chosen, learned, values["clicks"], values["outer_epochs"], attack_seed)


def _check(study: Study) -> None:
    """Tells of profiles that do not fit and of ratings that are not there."""
    data = study.data
    read = [settings.reads_ratings for settings in study.victims.values()]
    asking = any(
        MODULES.get(part) == "zeroth_order"
        for attack in study.attacks
        for part in attack.split("+")
    )
    read += [
        plan.learned["recsys19"]["recommender"].reads_ratings
        for plan in study.plans.values()
        if asking
    ]
    if data.train_ratings is None and (
        any(read) or "choose_ratings" in study.values and "enter" not in study.values
    ):
        raise UserError(
            f"{data.name} has no ratings, which PMF needs: choose another --dataset or recommender"
        )
    names = study.all_attacks
    if len(set(names)) < len(names):
        raise UserError(
            f"two attacks have the same name among {', '.join(names)}: run them one by one, with an --output_dir each"
        )
    for fakes in study.given:
        fakes.stacked_on(data)  # tells profiles of another catalogue
        if any(set(plan.targets) != set(fakes.targets) for plan in study.plans.values()):
            raise UserError(
                f"the profiles {fakes.name} promote other items: add --targets={','.join(map(str, fakes.targets))}"
            )


def prepare(study: Study, how: Running) -> Stages:
    """Makes the profiles that are not on disk yet."""
    return make_profiles(parts_of(study), how)


def parts_of(study: Study) -> list[tuple[Study, str]]:
    """The attacks of a study, each part of a mixed one for itself."""
    return [
        (study, part) for attack in study.attacks if attack != "none" for part in attack.split("+")
    ]


def make_profiles(asked: list[tuple[Study, str]], how: Running) -> Stages:
    """The profiles of those of these attacks that learn, on every group of targets, each in its folder below <output_dir>/profiles."""
    wanted = dict.fromkeys(
        ((study, "gan") for study, name in asked if name == "recsys19")
    ) | dict.fromkeys(asked)
    jobs: dict[Path, dict[str, Any]] = {}
    for study, name in wanted:
        for plan in study.plans.values() if name in LEARNED else ():
            job: dict[str, Any] = {
                "data": study.data,
                "name": name,
                "plan": plan,
                "k": study.k,
                "folder": study.output_dir / "profiles",
            }
            jobs.setdefault(folder_of(**job), job)
    for late in (False, True):  # RecSys19 starts from what the GAN makes
        own = {folder: job for folder, job in jobs.items() if (job["name"] == "recsys19") == late}
        yield [
            Task(
                "advrec_tf.poisoning:make",
                {**job, "progress": how.progress},
                partial(_draw, folder, job["name"]),
            )
            for folder, job in own.items()
        ]


def _draw(folder: Path, name: str, _: Any) -> None:
    """The picture of an attack's trajectory, if it is not there."""
    if not (folder / "trajectory.png").exists():
        save_figure(
            plots.trajectory_figure(name, read_trajectory(folder)), folder / "trajectory.png"
        )


def jobs(study: Study, attacks: Sequence[str], defenses: Sequence[Defense]) -> list[Job]:
    """A victim for every group, attack ("none" is clean data), defence, length of its factors and seed.

    A detector learns from the fakes of the first attack.
    """
    found, profiles = [], study.profiles
    for group, plan in study.plans.items():
        for attack in attacks:
            fakes = profiles.get((group, attack))
            poisoned = study.data if fakes is None else fakes.stacked_on(study.data)
            base = {
                "dataset": study.data.name,
                "epoch": study.epochs,
                "attack": attack,
                "k": study.k,
                "group": group,
            }
            base |= {"profiles": "" if fakes is None else fakes.digest()[:12]}
            for model, settings in study.victims.items():
                for defense in defenses:
                    common = {
                        "data": study.data,
                        "spec": VictimSpec(poisoned, defense, settings),
                        "targets": plan.targets,
                    }
                    common |= {"cache_dir": study.cache_dir, "progress": study.values["progress"]}
                    for seed in study.seeds:
                        point = {**base, "model": model, "seed": seed, **defense.columns}
                        found.append(Job("advrec_tf.defenses.measuring:measure", [point], common))
    return found


def prepare_reconstructions(jobs: list[Job]) -> list[Task]:
    """Reconstructions of whole matrices that the jobs need, which share one decomposition over their ranks."""
    whole: dict[str, tuple[dict[str, Any], set[int]]] = {}
    for job in jobs:
        defense, data = job.arguments["spec"].defense, job.arguments["spec"].poisoned
        if isinstance(defense, LowRank) and defense.patch is None and not defense.of_ratings:
            whole.setdefault(
                data.fingerprint, ({"data": data, "cache_dir": job.arguments["cache_dir"]}, set())
            )[1].add(defense.rank)
    name = "advrec_tf.defenses.low_rank:prepare_full"
    return [
        Task(name, {**common, "ranks": tuple(sorted(ranks))}) for common, ranks in whole.values()
    ]


def resemblance(study: Study) -> list[Job]:
    """A job for the profiles of each attack: how close they are to real ones, and how many entries zeroth-order steps have changed."""
    found = []
    for (group, attack), fakes in study.profiles.items():
        point = {
            "dataset": study.data.name,
            "attack": attack,
            "group": group,
            "profiles": fakes.digest()[:12],
        }
        own: dict[str, Any] = {}
        if attack in LEARNED and attack in study.attacks:
            folder = folder_of(
                study.data, attack, study.plans[group], study.k, study.output_dir / "profiles"
            )
            last = read_trajectory(folder).iloc[-1]
            own = (
                {"changed_entries": int(last["changed_entries"])}
                if "changed_entries" in last
                else {}
            )
        found.append(
            Job(
                "advrec_tf.defenses.measuring:profile_similarity",
                [point],
                {"data": study.data, "profiles": fakes, **own},
            )
        )
    return found
