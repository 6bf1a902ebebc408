"""The experiments on perturbed factors: their specification, and the jobs that measure it."""

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
from .trainings import TrainingSpec, weights_of

KEYS = (
    *("dataset", "model", "selection", "epoch"),
    *("attack", "ball", "start", "epsilon", "step_size", "iterations"),
    *("seed", "k"),
)
LAYOUT = Layout(KEYS, (*NAMES, *NORMS))
DRAWN_LAYOUT = Layout((*KEYS, "draw"), LAYOUT.values)  # where models are attacked several times


@dataclass(frozen=True, kw_only=True)
class MultistepSpec(TrainingSpec):
    """What the measurements on one data set depend on."""

    experiment: str
    epsilons: list[float]
    iterations: list[int]
    step_size: float | None
    pgd_init: float
    k: int
    published: bool  # whether the paper's numbers are of this setting
    more_attacks: tuple[str, ...] = ()
    attack_draws: int = 1
    save_lists: bool = False
    ranks: tuple[int, ...] = ()  # of projections

    @property
    def config(self) -> dict[str, Any]:
        """What the results depend on, as plain values."""
        grid = ("epsilons", "iterations", "step_size", "pgd_init", "k", "ranks")
        versions = {
            "perturbations": perturbations.VERSION,
            "evaluation": evaluation.VERSION,
            "sampling": sampling.VERSION,
        }
        if self.ranks:
            versions["low_rank"] = low_rank.VERSION
        if self.experiment == "budget":
            versions["certificates"] = evaluation.CERTIFICATES
        return {
            **self.models,
            "model_selection": self.selections,
            **{name: getattr(self, name) for name in grid},
            "versions": versions,
            "data": self.data.fingerprint,
        }

    def points(self, attack: str, ball: str = "linf", start: str = "") -> list[dict]:
        """Return the points of one attack over the epsilons and iterations."""
        return perturbations.points(
            attack, self.epsilons, self.iterations, ball, self.step_size, start
        )

    @property
    def attacks(self) -> list[list[dict]]:
        """The points of each attack of Figures 1 and 2.

        They are the paper's attacks in its ball, further ones, and BIM in the ball of FGSM.
        """
        names = ("fgsm", "bim", "pgd", *self.more_attacks)
        return [*map(self.points, names), self.points("bim", "l2")]


def specs(
    values: dict[str, Any], datasets: list[Interactions], output_dir: Path
) -> list[MultistepSpec]:
    """Return the spec of each data set. Raises UserError for flags that do not fit together."""
    training = trainings.settings(values)
    more_attacks = tuple(values.get("more_attacks", ()))
    for attack in sorted(set(more_attacks) - set(EMBEDDING_ATTACKS)):
        names = ", ".join(EMBEDDING_ATTACKS)
        raise UserError(f"--more_attacks must be of {names}, not {attack!r}")
    made = []
    for data in datasets:
        paper_epochs = paper.EPOCHS.get(data.name, {}).get("AMF")
        spec = MultistepSpec(
            **training,
            data=data,
            output_dir=output_dir,
            experiment=values["experiment"],
            epsilons=sorted(values["epsilon"]),
            iterations=sorted(values["iterations"]),
            step_size=values["step_size"],
            pgd_init=values["pgd_init"],
            k=list_length(values, data),
            published=data.registered and as_published(values, paper_epochs),
            more_attacks=more_attacks,
            attack_draws=values.get("attack_draws", 1),
            save_lists=values.get("save_lists", False),
            ranks=tuple(sorted(values.get("svd_ranks", ()))),
        )
        for config in (spec.bprmf, spec.amf):
            if not spec.epochs_of(config):
                raise UserError(
                    f"--model_selection={','.join(spec.selections)} names no epoch of "
                    f"{config.name} on {data.name}"
                )
        made.append(spec)
    return made


def single(*names: str) -> Callable[..., list[MultistepSpec]]:
    """Return `specs` for an experiment in which these flags take one value."""

    def checked(
        values: dict[str, Any], datasets: list[Interactions], output_dir: Path
    ) -> list[MultistepSpec]:
        """Return `specs`. Raises UserError if one of the flags has several values."""
        for name in names:
            count = len(values[name])
            if count > 1:
                raise UserError(f"--{name} takes one value in this experiment, not {count}")
        return specs(values, datasets, output_dir)

    return checked


def jobs(
    spec: MultistepSpec, attacks: Sequence[list[dict]], function: str = "attack", **more: Any
) -> list[Job]:
    """Return a job for each attack on each selected epoch of each model.

    attacks: lists of points; equal ones count once.  function: of `defenses.perturbed`.
    more: its further arguments.
    """
    distinct = [points for index, points in enumerate(attacks) if points not in attacks[:index]]
    made = []
    for seed in spec.seeds:
        for config, epoch, selections, weights in weights_of(spec, seed):
            base = {
                "dataset": spec.data.name,
                "model": config.name,
                "epoch": epoch,
                "seed": seed,
                "k": spec.k,
            }
            arguments = {
                "data": spec.data,
                "weights": weights,
                "init_range": spec.pgd_init,
                **more,
            }
            for points in distinct:
                keys = []
                for point in points:
                    keys += [{**base, **point, "selection": name} for name in selections]
                made.append(_job(spec, function, keys, arguments))
    return made


def further_draws(spec: MultistepSpec, attacks: Sequence[list[dict]], **more: Any) -> list[Job]:
    """Return `jobs` on the first selection with other negatives and other starts of PGD."""
    drawn = []
    for draw in range(1, spec.attack_draws):
        drawn += [[point | {"draw": draw} for point in points] for points in attacks]
    return jobs(replace(spec, selections=spec.selections[:1]), drawn, **more)


def baselines(spec: MultistepSpec, **more: Any) -> list[Job]:
    """Return a job for each seed and each recommender without factors to perturb."""
    made = []
    for seed in spec.seeds:
        for name in BASELINES:
            key = {"dataset": spec.data.name, "model": name, "seed": seed, "k": spec.k}
            made.append(_job(spec, "baseline", [key], {"data": spec.data, **more}))
    return made


def certificates(spec: MultistepSpec) -> list[Job]:
    """Return a job for each ball of every model, over all epsilons. It writes no lists.

    There is none unless every user has one test item, which certificates need.
    """
    points = []
    for ball in perturbations.BALLS if spec.data.has_one_test_item_each else ():
        base = {"attack": "certificate", "ball": ball}
        points.append([{**base, "epsilon": epsilon} for epsilon in spec.epsilons])
    return [job._replace(files=()) for job in jobs(spec, points, "certify")]


def _job(spec: MultistepSpec, function: str, keys: list[dict], arguments: dict) -> Job:
    """Return a job whose lists are saved, one file for each key, if the spec says so.

    function: of `defenses.perturbed`
    """
    lists_dir, files = None, ()
    if spec.save_lists:
        lists_dir = spec.output_dir / spec.experiment / spec.data.name / "lists"
        files = tuple(list_path(lists_dir, key) for key in keys)
    arguments = {**arguments, "lists_dir": lists_dir}
    return Job(f"advrec_tf.defenses.perturbed:{function}", keys, arguments, files)
