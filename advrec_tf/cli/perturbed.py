"""The experiments on perturbed factors: what they depend on, what is trained before, and how a point is measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.cli import trainings
from advrec_tf.cli.flags import as_published
from advrec_tf.cli.runner import list_length
from advrec_tf.cli.trainings import Training, weights_of
from advrec_tf.data import Interactions, sample_triples, sampling
from advrec_tf.defenses import Transformation, low_rank, project
from advrec_tf.errors import UserError
from advrec_tf.evaluation import NAMES
from advrec_tf.models.baselines import BASELINES, MostPopular
from advrec_tf.perturbations import ATTACKS
from advrec_tf.reporting import published
from advrec_tf.results import Job, Layout
from advrec_tf.training import selected_factors

KEYS = ("dataset", "model", "selection", "epoch", "attack", "ball", "start", "epsilon", "step_size", "iterations", "seed", "k")
# Mean l2 norm of the embeddings' rows and of the perturbation's rows.
NORMS = ("user_norm", "item_norm", "user_shift", "item_shift")
LAYOUT = Layout(KEYS, (*NAMES, *NORMS))
DRAWN = Layout((*KEYS, "draw"), LAYOUT.values)  # of an experiment in which models are attacked again
AWARE = "projected, aware"  # of an attacker who differentiates through the projection


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
        grid = {name: getattr(self, name) for name in ("epsilons", "iterations", "step_size", "pgd_init", "k", "ranks")}
        versions = {"perturbations": perturbations.VERSION, "evaluation": evaluation.VERSION, "sampling": sampling.VERSION}
        versions |= {"low_rank": low_rank.VERSION} if self.ranks else {}
        versions |= {"certificates": evaluation.CERTIFICATES} if self.experiment == "budget" else {}
        return {**self.models, "model_selection": self.selections, **grid, "versions": versions, "data": self.data.fingerprint}

    def points(self, attack: str, ball: str = "linf", start: str = "") -> list[dict]:
        """The points of one attack over this study's grid."""
        return perturbations.points(attack, self.epsilons, self.iterations, ball, self.step_size, start)

    @property
    def attacks(self) -> list[list[dict]]:
        """The points of each attack of Figures 1 and 2: those of the paper in its ball, BIM in that of FGSM, and further ones."""
        return [self.points(attack) for attack in ("fgsm", "bim", "pgd", *self.more_attacks)] + [self.points("bim", "l2")]


def studies(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
    """The study of each data set.  Raises UserError for settings that do not go together."""
    training = trainings.settings(values)
    unknown = set(values.get("more_attacks", ())) - set(ATTACKS)
    if unknown:
        raise UserError(f"--more_attacks must be of {', '.join(ATTACKS)}, not {min(unknown)!r}")
    found = []
    for data in datasets:
        least = published.EPOCHS.get(data.name, {}).get("AMF")
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
                raise UserError(f"--model_selection={','.join(study.selections)} names no epoch of {settings.name} on {study.data.name}")
    return found


def single(*names: str) -> Callable[..., list[Study]]:
    """`studies` for an experiment in which these flags take one value."""

    def checked(values: dict[str, Any], datasets: list[Interactions], output_dir: Path) -> list[Study]:
        for name in names:
            if len(values[name]) > 1:
                raise UserError(f"--{name} takes one value in this experiment, not {len(values[name])}")
        return studies(values, datasets, output_dir)

    return checked


def jobs(study: Study, attacks: Sequence[list[dict]], function: str = "attack", **more: Any) -> list[Job]:
    """One job for each of the attacks (lists of points, each counted once) on each selected epoch of each model; function: of this module."""
    found = []
    different = [points for place, points in enumerate(attacks) if points not in attacks[:place]]
    for seed in study.seeds:
        for settings, epoch, selections, weights in weights_of(study, seed):
            base = {"dataset": study.data.name, "model": settings.name, "epoch": epoch, "seed": seed, "k": study.k}
            for points in different:
                keys = [{**base, **point, "selection": name} for point in points for name in selections]
                arguments = {"data": study.data, "weights": weights, "seed": seed, "init_range": study.pgd_init, **more}
                found.append(_job(study, function, keys, arguments))
    return found


def further_draws(study: Study, attacks: Sequence[list[dict]], **more: Any) -> list[Job]:
    """`jobs` of models of the first selection under the same attacks with other negatives and other starts of PGD."""
    drawn = [[point | {"draw": draw} for point in points] for draw in range(1, study.attack_draws) for points in attacks]
    return jobs(replace(study, selections=study.selections[:1]), drawn, **more)


def baselines(study: Study, **more: Any) -> list[Job]:
    """A job for each recommender that has no factors to perturb, or none worth it, and each seed."""
    keys = [{"dataset": study.data.name, "model": name, "seed": seed, "k": study.k} for seed in study.seeds for name in BASELINES]
    return [_job(study, "baseline", [key], {"data": study.data, **more}) for key in keys]


def certificates(study: Study) -> list[Job]:
    """A job for each ball of every model, where users have one test item each, which certificates need."""
    balls = perturbations.BALLS if study.data.has_one_test_item_each else ()
    points = [[{"attack": "certificate", "ball": ball, "epsilon": epsilon} for epsilon in study.epsilons] for ball in balls]
    return [job._replace(files=()) for job in jobs(study, points, "certify")]


def _job(study: Study, function: str, keys: list[dict], arguments: dict) -> Job:
    lists_dir = study.output_dir / study.experiment / study.data.name / "lists" if study.save_lists else None
    files = tuple(list_path(lists_dir, key) for key in keys) if lists_dir else ()
    return Job(f"advrec_tf.cli.perturbed:{function}", keys, {**arguments, "lists_dir": lists_dir}, files)


def list_path(lists_dir: Path, key: dict) -> Path:
    """Where the lists of a point are saved."""
    named = ("epoch", "attack", "ball", "start", "epsilon", "iterations", "seed", "draw")
    return lists_dir / f"{'_'.join([key['model'], *(f'{name}={key[name]}' for name in named if key.get(name) not in (None, ''))])}.tsv"


class _Measured:
    """The rows of a job as they come, and beside them every tested user's nDCG and, if asked, all metrics of users drawn with replacement."""

    def __init__(self, data: Interactions, lists_dir: Path | None, resample: bool = False):
        self.data, self.lists_dir, self.resample = data, lists_dir, resample
        self.rows: list[dict] = []
        self.users: list[np.ndarray] = []
        self.resampled: list[np.ndarray] = []

    def add(self, point: dict, lists: np.ndarray, factors: tuple = (), before: tuple = (), delta: tuple = ()) -> None:
        """One point.  factors: P and Q that the lists come from, if there are any; before, delta: what they are the sum of"""
        if self.lists_dir is not None:
            evaluation.save_lists(list_path(self.lists_dir, point), lists, self.data, *factors)
        norms = dict(zip(NORMS, (float(np.linalg.norm(x, axis=1).mean()) for x in (*before, *delta))))
        self.rows.append(point | evaluation.metrics(lists, self.data) | norms)
        self.users.append(np.asarray(evaluation.per_user_metrics(lists, self.data)["nDCG"], np.float32))
        if self.resample:
            self.resampled.append(evaluation.resampled_metrics(lists, self.data).astype(np.float32))

    def again(self, point: dict) -> None:
        """The same lists under another key."""
        self.rows.append(self.rows[-1] | point)
        self.users.append(self.users[-1])
        self.resampled += self.resampled[-1:]

    @property
    def result(self) -> tuple[list[dict], dict[str, np.ndarray]]:
        return self.rows, {"nDCG": np.array(self.users)} | ({"resampled": np.array(self.resampled)} if self.resample else {})


def attack(
    points: list[dict], data: Interactions, weights: dict, seed: int, init_range: float, lists_dir: Path | None, resample: bool = False,
    position: int = 0,
) -> tuple[list[dict], dict[str, np.ndarray]]:  # fmt: skip
    """The metrics of the lists of one attack on one model at every point; points of a further draw have `draw`, all the same."""
    _, P, Q = selected_factors(**weights)
    if draw := points[0].get("draw", 0):
        seed = int(np.random.SeedSequence((seed, draw)).generate_state(1)[0])
    measured, last = _Measured(data, lists_dir, resample), None
    for point, delta in perturbations.perturbed(P, Q, _triples(points, data, seed), points, seed, init_range):
        if delta is last:
            measured.again(point)
            continue
        moved, last = (P + delta.user, Q + delta.item), delta
        measured.add(point, evaluation.top_k(*moved, data, point["k"]), moved, (P, Q), delta)
    return measured.result


def _triples(points: list[dict], data: Interactions, seed: int):
    """The triples whose loss an attack raises, laid out once; none where no point follows a gradient."""
    follows = any(point.get("attack") in ATTACKS and not ATTACKS[point["attack"]].draw for point in points)
    return perturbations.chunk_triples(sample_triples(data, seed), data.n_users, data.n_items) if follows else None


def baseline(
    points: list[dict], data: Interactions, lists_dir: Path | None, resample: bool = False, position: int = 0
) -> tuple[list[dict], dict[str, np.ndarray]]:
    """The metrics of a recommender that learns nothing or next to nothing."""
    measured = _Measured(data, lists_dir, resample)
    for point in points:
        model = BASELINES[point["model"]](data, point["seed"])
        factors = (model.user_embedding, model.item_embedding) if isinstance(model, MostPopular) else ()
        measured.add(point, model.top_k(data, point["k"]), factors, factors, tuple(map(np.zeros_like, factors)))
    return measured.result


def certify(points: list[dict], data: Interactions, weights: dict, position: int = 0, **_: Any) -> tuple[list[dict], dict[str, np.ndarray]]:
    """RE and nDCG that no perturbation of a point's size can go below."""
    P, Q = selected_factors(**weights)[1:]
    k = points[0]["k"]
    radii = evaluation.certified_radii(P, Q, data, points[0]["ball"], k)
    bounds = [evaluation.certified_metrics(radii, point["epsilon"]) for point in points]
    return [point | {"RE": bound[f"HR@{k}"], "nDCG": bound[f"nDCG@{k}"]} for point, bound in zip(points, bounds)], {}


def defend(
    points: list[dict], data: Interactions, weights: dict, seed: int, init_range: float, defense: Transformation, cache_dir: Path, position: int = 0,
    **_: Any,
) -> tuple[list[dict], dict[str, np.ndarray]]:  # fmt: skip
    """The same for factors that are projected before users are served from them, by attackers who know of it and who do not.

    defense: of the highest rank; a point without a rank is undefended, and one of a lower rank has the first of its vectors
    """
    P, Q = selected_factors(**weights)[1:]
    measured, triples = _Measured(data, None), _triples(points, data, seed)
    U, V = defense.bases(data, cache_dir)
    for rank, group in groupby(points, key=lambda point: point["rank"] if point["defense"] == AWARE else None):
        through = None if rank is None else (U[:, :rank], V[:, :rank])
        for point, delta in perturbations.perturbed(P, Q, triples, list(group), seed, init_range, through=through):
            width, users, items = point.get("rank"), P + delta.user, Q + delta.item
            if width:
                users, items = project(users, items, U[:, :width], V[:, :width])
            measured.add(point, evaluation.top_k(users, items, data, point["k"]))
    return measured.result
