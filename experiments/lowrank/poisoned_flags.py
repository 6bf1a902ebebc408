"""Specifications of experiments on poisoned data, made from the values of flags."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from advrec_tf.cli import sections
from advrec_tf.cli.flags import as_published
from advrec_tf.data import GROUPS, Interactions, check_targets, choose_targets, popularity_groups
from advrec_tf.defenses import CONVERSIONS, LowRank
from advrec_tf.errors import UserError
from advrec_tf.execution.runner import list_length
from advrec_tf.poisoning import POISONING_ATTACKS, Plan, Profiles
from advrec_tf.poisoning.reading import existing, items_of, read_profiles
from advrec_tf.poisoning.settings import MODULES
from advrec_tf.recommenders import (
    LightGCNConfig,
    PMFConfig,
    RecommenderConfig,
    WRMFConfig,
    recommender_config,
)

from .poisoned_spec import PoisonedSpec

LIGHTGCN_BATCH = 4096  # triples, for data of any size
AWARE_OF = {"gowalla": "150x20", "ml-100k": "200x50"}  # the reconstruction RecSys20 knows of


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[PoisonedSpec]:
    """Return the spec of each data set.  Raises UserError for flags that do not fit together."""
    _check_values(values)
    for path in values["profiles"]:
        existing(path)
    if values.get("patches"):
        values = {**values, "patches": [patch_of(text) for text in values["patches"]]}
    made = [_spec(values, data, output_dir, _given(values, data)) for data in datasets]
    for spec in made:
        _check_ratings(spec)
        _check_profiles(spec)
    return made


def _given(values: dict[str, Any], data: Interactions) -> tuple[Profiles, ...]:
    """Return the profiles of files.  Raises UserError for profiles without known targets."""
    targets = _targets(values, data) or ()
    given = tuple(read_profiles(path, data, targets) for path in values["profiles"])
    for path, fakes in zip(values["profiles"], given):
        if not fakes.targets:
            raise UserError(f"{path} does not say what it promotes: add --target_ids=ID,...")
    return given


def _targets(values: dict[str, Any], data: Interactions) -> tuple[int, ...] | None:
    """Return the items that --targets or --target_ids name, None without them."""
    if values["target_ids"] is None:
        return values["targets"]
    return tuple(items_of("--target_ids", values["target_ids"], data).tolist())


def fixed_attacks(
    attacks: Sequence[str],
    values: dict[str, Any],
    datasets: list[Interactions],
    output_dir: Path,
) -> list[PoisonedSpec]:
    """Return `specs` of an experiment that chooses its attacks itself."""
    return specs({**values, "attack": attacks}, datasets, output_dir)


def one_attack(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[PoisonedSpec]:
    """Return `specs` of an experiment on one attack.  Raises UserError for several attacks."""
    attacks = [*dict.fromkeys(values["attack"]), *values["profiles"]]
    attacks = [attack for attack in attacks if attack != "none"]
    if len(attacks) != 1:
        raise UserError(f"this experiment takes one --attack, not {', '.join(attacks) or 'none'}")
    return specs(values, datasets, output_dir)


def one_attack_and_seed(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[PoisonedSpec]:
    """Return `one_attack` of a picture, whose settings contain its attack and its only seed."""
    if len(values.get("seed", [0])) > 1:
        raise UserError("--seed takes one value in this experiment")
    made = []
    for spec in one_attack(values, datasets, output_dir):
        given = [fakes.digest()[:12] for fakes in spec.given]
        pictured = {"attack": spec.attack, "seed": spec.seeds, "given": given}
        made.append(replace(spec, pictured=pictured))
    return made


def patch_of(text: str) -> tuple[int | None, int]:
    """Parse SIZExRANK, or fullxRANK (None) of the whole matrix.  Raises UserError otherwise."""
    size, _, rank = text.partition("x")
    if not (rank.isdecimal() and (size == "full" or size.isdecimal())):
        raise UserError(f"reconstructions must be SIZExRANK or fullxRANK, not {text!r}")
    if int(rank) < 1 or (size != "full" and int(rank) > int(size)):
        highest = "the size of the matrix" if size == "full" else size
        raise UserError(f"the rank {rank} of {text} must lie in 1 ... {highest}")
    return None if size == "full" else int(size), int(rank)


def victims_of(values: dict[str, Any], *names: str) -> dict[str, RecommenderConfig]:
    """Return the configurations of recommenders from the flags, by their names in the rows."""
    configs = [_victim_config(values, recommender_config(name)) for name in names]
    return {config.name: config for config in configs}


def _victim_config(values: dict[str, Any], kind: type[RecommenderConfig]) -> RecommenderConfig:
    fields: dict[str, Any] = {"embedding_dim": values.get("victim_dim") or kind.embedding_dim}
    if issubclass(kind, WRMFConfig):
        fields |= sections.VICTIM_WRMF.fields(values)
    elif kind is PMFConfig:
        fields |= sections.VICTIM_PMF.fields(values)
    elif kind is LightGCNConfig:  # whose learning rate falls to 0 over its epochs
        fields |= {"epochs": values["victim_epochs"], "batch_size": LIGHTGCN_BATCH}
    return kind(**fields)


def _check_values(values: dict[str, Any]) -> None:
    if len(values["attack_seed"]) > 1:
        raise UserError("--attack_seed takes one value in this experiment")
    named = [flag for flag in ("targets", "target_ids") if values[flag] is not None]
    if len(named) > 1:
        raise UserError("--targets and --target_ids say the same: give one of them")
    if named and len(values["target_group"]) > 1:
        raise UserError(f"--target_group must name one group beside --{named[0]}")
    for group in values["target_group"]:
        if group not in GROUPS:
            raise UserError(f"--target_group must be of {', '.join(GROUPS)}, not {group!r}")
    for attack in values.get("attack") or ():
        if attack != "none" and not set(attack.split("+")) <= set(POISONING_ATTACKS):
            raise UserError(
                f"--attack must be of none, {', '.join(POISONING_ATTACKS)}, or several of them "
                f"joined with +, not {attack!r}"
            )
    is_wrmf = issubclass(recommender_config(values.get("victim", "wrmf")), WRMFConfig)
    if not is_wrmf and values.get("enter", CONVERSIONS[0]) != CONVERSIONS[0]:
        raise UserError(
            "--enter says how values enter WRMF; a recommender of ratings takes them as ratings, "
            "and others as clicks"
        )


def _spec(
    values: dict[str, Any], data: Interactions, output_dir: Path, given: tuple[Profiles, ...]
) -> PoisonedSpec:
    k = list_length(values, data, 50 if data.registered and data.name == "gowalla" else 10)
    plans = {group: _plan(values, data, group) for group in values["target_group"]}
    victims = victims_of(values, values.get("victim", "wrmf")) if "victim_epochs" in values else {}
    if "pmf_dims" in values:
        ((name, config),) = victims.items()
        victims = {
            f"{name}({dim})": replace(config, embedding_dim=dim) for dim in values["pmf_dims"]
        }
    return PoisonedSpec(
        data=data,
        output_dir=output_dir,
        seeds=values.get("seed", [0]),
        plans=plans,
        attacks=tuple(dict.fromkeys(values.get("attack") or ())),
        given=given,
        victims=victims,
        epochs=values.get("victim_epochs", 0),
        k=k,
        published=data.registered and as_published(values) and not given,
        values=values,
    )


def _plan(values: dict[str, Any], data: Interactions, group: str) -> Plan:
    """Return what the attacks on one group of targets depend on."""
    default = 125 if data.registered and data.name == "ml-100k" else max(1, data.n_users // 100)
    fakes = values["fakes"] or default
    if fakes > data.n_users:
        raise UserError(f"--fakes={fakes} are more than the {data.n_users} users of {data.name}")
    targets = _targets(values, data)
    count = values["target_count"] or max(1, min(5, len(popularity_groups(data)[group])))
    if targets is None:
        targets = choose_targets(data, group, count, values["target_seed"])
    check_targets(data, tuple(targets))
    (attack_seed,) = values["attack_seed"]
    learned = _learned_fields(values, AWARE_OF.get(data.name if data.registered else "", "50x20"))
    return Plan(
        fakes, tuple(targets), learned, values["clicks"], values["outer_epochs"], attack_seed
    )


def _learned_fields(values: dict[str, Any], known_patch: str) -> dict[str, dict[str, Any]]:
    """Return the fields of each learned attack's configuration.

    known_patch: the reconstruction that the aware attack knows of.
    """
    surrogate = WRMFConfig(**sections.SURROGATE.fields(values))
    recsys20 = {"surrogate": surrogate, **sections.RECSYS20.fields(values)}
    disguised = {**sections.DISGUISED.fields(values), "clicks": None, "click_targets": False}
    probed = WRMFConfig(**sections.PROBED.fields(values))
    recsys19 = {"recommender": probed, **sections.RECSYS19.fields(values)}
    unscored = ("goal", "largest_move")
    return {
        "gan": sections.GAN.fields(values),
        "recsys20": recsys20,
        "recsys20_disguised": recsys20 | disguised,
        **dict.fromkeys(("recsys19", "bootstrap_refined", "bootstrap_blind"), recsys19),
        "bootstrap_scored": {
            name: value for name, value in recsys19.items() if name not in unscored
        },
        "recsys20_aware": recsys20 | {"defense": LowRank(*patch_of(known_patch))},
    }


def _check_ratings(spec: PoisonedSpec) -> None:
    """Raise UserError if an experiment needs ratings and the data have none."""
    configs = list(spec.victims.values())
    if any(MODULES.get(name) == "zeroth_order" for name in spec.single_attacks):
        configs += [plan.learned["recsys19"]["recommender"] for plan in spec.plans.values()]
    of_ratings = "choose_ratings" in spec.values and "enter" not in spec.values
    needed = of_ratings or any(config.reads_ratings for config in configs)
    if needed and spec.data.train_ratings is None:
        raise UserError(
            f"{spec.data.name} has no ratings, which PMF needs: choose another --dataset or "
            "recommender"
        )


def _check_profiles(spec: PoisonedSpec) -> None:
    """Raise UserError if given profiles do not fit the data, the targets or the attacks."""
    names = spec.all_attacks
    if len(set(names)) < len(names):
        raise UserError(
            f"two attacks have the same name among {', '.join(names)}: run them one by one, with "
            "an --output_dir each"
        )
    for fakes in spec.given:
        fakes.stacked_on(spec.data)  # raises UserError for profiles of another catalogue
        if any(set(plan.targets) != set(fakes.targets) for plan in spec.plans.values()):
            targets = ",".join(map(str, fakes.targets))
            raise UserError(
                f"the profiles {fakes.name} promote other items: add --targets={targets}"
            )
