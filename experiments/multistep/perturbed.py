"""The experiments on perturbed factors: what they depend on, what is trained before, and how a point is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from advrec_tf import evaluation, perturbations
from advrec_tf.cli.flags import as_published
from advrec_tf.data import Interactions, sampling
from advrec_tf.defenses import low_rank
from advrec_tf.defenses.perturbed import NORMS, list_path
from advrec_tf.errors import UserError
from advrec_tf.evaluation import NAMES
from advrec_tf.execution.results import Job, Layout
from advrec_tf.execution.runner import list_length
from advrec_tf.perturbations import EMBEDDING_ATTACKS
from advrec_tf.recommenders.baselines import BASELINES

from . import paper, trainings
from .trainings import Training, weights_of

KEYS = (
    "dataset",
    "model",
    "selection",
    "epoch",
    "attack",
    "ball",
    "start",
    "epsilon",
    "step_size",
    "iterations",
    "seed",
    "k",
)
LAYOUT = Layout(KEYS, (*NAMES, *NORMS))
DRAWN = Layout(
    (*KEYS, "draw"), LAYOUT.values
)  # of an experiment in which models are attacked again


@dataclass(frozen=True, kw_only=True)
class Study(Training):
    """What the measurements on one data set depend on."""

    experiment: str
    epsilons: list[float]
    iterations: list[int]
    step_size: float | None
    pgd_init: float
    k: int
    published: bool  # whether the paper's numbers may stand beside
    more_attacks: tuple[str, ...] = ()
    attack_draws: int = 1
    save_lists: bool = False
    ranks: tuple[int, ...] = ()  # of projections

    @property
    def config(self) -> dict[str, Any]:
        grid = {
            name: getattr(self, name)
            for name in ("epsilons", "iterations", "step_size", "pgd_init", "k", "ranks")
        }
        versions = {
            "perturbations": perturbations.VERSION,
            "evaluation": evaluation.VERSION,
            "sampling": sampling.VERSION,
        }
        versions |= {"low_rank": low_rank.VERSION} if self.ranks else {}
        versions |= {"certificates": evaluation.CERTIFICATES} if self.experiment == "budget" else {}
        return {
            **self.models,
            "model_selection": self.selections,
            **grid,
            "versions": versions,
            "data": self.data.fingerprint,
        }

    def points(self, attack: str, ball: str = "linf", start: str = "") -> list[dict]:
        """The points of one attack over this study's grid."""
        return perturbations.points(
            attack, self.epsilons, self.iterations, ball, self.step_size, start
        )

    @property
    def attacks(self) -> list[list[dict]]:
        """The points of each attack of Figures 1 and 2: those of the paper in its ball, BIM in that of FGSM, and further ones."""
        return [self.points(attack) for attack in ("fgsm", "bim", "pgd", *self.more_attacks)] + [
            self.points("bim", "l2")
        ]


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The study of each data set.  Raises UserError for settings that do not go together."""
    training = trainings.settings(values)
    unknown = set(values.get("more_attacks", ())) - set(EMBEDDING_ATTACKS)
    if unknown:
        raise UserError(
            f"--more_attacks must be of {', '.join(EMBEDDING_ATTACKS)}, not {min(unknown)!r}"
        )
    found = []
    for data in datasets:
        least = paper.EPOCHS.get(data.name, {}).get("AMF")
        found.append(
            Study(
                **training,
                data=data,
                output_dir=output_dir,
                experiment=values["experiment"],
                epsilons=sorted(values["epsilon"]),
                iterations=sorted(values["iterations"]),
                step_size=values["step_size"],
                pgd_init=values["pgd_init"],
                k=list_length(values, data),
                published=data.registered and as_published(values, least),
                more_attacks=tuple(values.get("more_attacks", ())),
                attack_draws=values.get("attack_draws", 1),
                save_lists=values.get("save_lists", False),
                ranks=tuple(sorted(values.get("svd_ranks", ()))),
            )
        )
    for study in found:
        for settings in (study.bprmf, study.amf):
            if not study.epochs_of(settings):
                raise UserError(
                    f"--model_selection={','.join(study.selections)} names no epoch of {settings.name} on {study.data.name}"
                )
    return found


def single(*names: str) -> Callable[..., list[Study]]:
    """`studies` for an experiment in which these flags take one value."""

    def checked(
        values: dict[str, Any], datasets: list[Interactions], output_dir: Path
    ) -> list[Study]:
        for name in names:
            if len(values[name]) > 1:
                raise UserError(
                    f"--{name} takes one value in this experiment, not {len(values[name])}"
                )
        return studies(values, datasets, output_dir)

    return checked


def jobs(
    study: Study, attacks: Sequence[list[dict]], function: str = "attack", **more: Any
) -> list[Job]:
    """One job for each of the attacks (lists of points, each counted once) on each selected epoch of each model.

    function: of `defenses.perturbed`."""
    found = []
    different = [points for place, points in enumerate(attacks) if points not in attacks[:place]]
    for seed in study.seeds:
        for settings, epoch, selections, weights in weights_of(study, seed):
            base = {
                "dataset": study.data.name,
                "model": settings.name,
                "epoch": epoch,
                "seed": seed,
                "k": study.k,
            }
            for points in different:
                keys = [
                    {**base, **point, "selection": name} for point in points for name in selections
                ]
                arguments = {
                    "data": study.data,
                    "weights": weights,
                    "seed": seed,
                    "init_range": study.pgd_init,
                    **more,
                }
                found.append(_job(study, function, keys, arguments))
    return found


def further_draws(study: Study, attacks: Sequence[list[dict]], **more: Any) -> list[Job]:
    """`jobs` of models of the first selection under the same attacks with other negatives and other starts of PGD."""
    drawn = [
        [point | {"draw": draw} for point in points]
        for draw in range(1, study.attack_draws)
        for points in attacks
    ]
    return jobs(replace(study, selections=study.selections[:1]), drawn, **more)


def baselines(study: Study, **more: Any) -> list[Job]:
    """A job for each recommender that has no factors to perturb, or none worth it, and each seed."""
    keys = [
        {"dataset": study.data.name, "model": name, "seed": seed, "k": study.k}
        for seed in study.seeds
        for name in BASELINES
    ]
    return [_job(study, "baseline", [key], {"data": study.data, **more}) for key in keys]


def certificates(study: Study) -> list[Job]:
    """A job for each ball of every model, where users have one test item each, which certificates need."""
    balls = perturbations.BALLS if study.data.has_one_test_item_each else ()
    points = [
        [{"attack": "certificate", "ball": ball, "epsilon": epsilon} for epsilon in study.epsilons]
        for ball in balls
    ]
    return [job._replace(files=()) for job in jobs(study, points, "certify")]


def _job(study: Study, function: str, keys: list[dict], arguments: dict) -> Job:
    lists_dir = (
        study.output_dir / study.experiment / study.data.name / "lists"
        if study.save_lists
        else None
    )
    files = tuple(list_path(lists_dir, key) for key in keys) if lists_dir else ()
    return Job(
        f"advrec_tf.defenses.perturbed:{function}",
        keys,
        {**arguments, "lists_dir": lists_dir},
        files,
    )
