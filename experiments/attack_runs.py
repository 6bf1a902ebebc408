"""What the experiments on perturbed embeddings have in common: train, select epochs, measure, report."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tqdm import tqdm

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.reporting import published, recorded_run
from advrec_tf.training import AMFSettings, BPRMFSettings, Settings, model_folder, selected_factors
from advrec_tf.training.jobs import run as run_jobs
from experiments.points import unmeasured


@dataclass(frozen=True)
class TrainingPlan:
    """Which models are trained, how far, and which of their epochs are measured."""

    bprmf: BPRMFSettings
    amf: AMFSettings
    epochs: int
    model_selection: list[str]
    keep_epochs: list[int]

    def selections(self, data: Interactions, settings: Settings) -> list[str]:
        """The selections of one model as best, last and epoch:N, without the epochs it does not have."""
        own = published.EPOCHS.get(data.name, {}).get(settings.name, 0)
        names = [f"epoch:{own}" if name == "published" else name for name in self.model_selection]
        return [name for name in names if not name.startswith("epoch:") or settings.first_epoch < int(name[6:]) <= self.epochs]

    def stages(self) -> list[list[tuple[Settings, int]]]:
        """BPR-MF up to the epoch AMF starts from; then the rest of BPR-MF beside AMF."""
        return [[(self.bprmf, self.amf.first_epoch)], [(self.amf, self.epochs), (self.bprmf, self.epochs)]]


@dataclass(frozen=True)
class Running:
    """How a run goes about it; none of this changes a result."""

    workers: int
    backend: str
    save_every: int
    save_lists: bool
    progress: bool
    flags: dict


def run(
    name: str, attacks: tuple[tuple[str, str], ...], datasets: list[Interactions], seeds: list[int], output_dir: Path, plan: TrainingPlan,
    options: dict, how: Running, report: Callable[[list[Path]], None],
) -> None:  # fmt: skip
    """Trains what is not trained, measures what is not measured, and has the report on the data sets written.

    attacks: (attack, ball) pairs of `points.keys_of`; options: epsilons, step_size, iterations, pgd_init and k.
    """
    settings = {"bprmf": vars(plan.bprmf), "amf": {**vars(plan.amf), "start": None}, "epochs": plan.epochs, "model_selection": plan.model_selection}
    folder, models_dir = Path(output_dir) / name, Path(output_dir) / "models"
    with contextlib.ExitStack() as stack:
        results = {}
        for data in datasets:
            for model in (plan.bprmf, plan.amf):
                if not plan.selections(data, model):
                    raise UserError(f"--model_selection={','.join(plan.model_selection)} names no epoch of {model.name} on {data.name}")
            config = {**settings, **options, "data": data.fingerprint}
            results[data.name] = stack.enter_context(recorded_run(folder / data.name, config, data.statistics(), how.flags))
        train(datasets, seeds, models_dir, plan, how)
        jobs = []
        for data in datasets:
            own = [job for seed in seeds for job in _jobs(attacks, data, seed, models_dir, plan, options)]
            lists_dir = folder / data.name / "lists" if how.save_lists else None
            jobs += unmeasured(own, results[data.name], folder / data.name, lists_dir)
        for job, rows in finished("experiments.measuring:measure", jobs, "attacks", how):
            results[job["data"].name].add(rows)
        report([folder / data.name for data in datasets])


def finished(function: str, jobs: list[dict], label: str, how: Running, done: int = 0) -> Iterator[tuple[dict, list[dict]]]:
    """Runs the jobs side by side behind a progress bar; yields each with its rows as it ends.  done: how many more were there before"""
    with tqdm(total=len(jobs) + done, initial=done, desc=label, disable=None if how.progress else True) as bar:
        for index, rows in run_jobs(function, jobs, how.workers, how.backend):
            yield jobs[index], rows
            bar.update()


def train(datasets: list[Interactions], seeds: list[int], models_dir: Path, plan: TrainingPlan, how: Running) -> None:
    """Every model of every data set and seed, as many at once as there are workers."""
    common = {"models_dir": models_dir, "save_every": how.save_every, "progress": how.progress}
    for stage in plan.stages():
        jobs = []
        for data in datasets:
            for settings, stop in stage:
                measured = [int(name[6:]) for name in plan.selections(data, settings) if name.startswith("epoch:")]
                keep = (*plan.keep_epochs, *measured, plan.amf.first_epoch)
                jobs += [{"data": data, "settings": settings, "seed": seed, "epochs": stop, "keep_epochs": keep, **common} for seed in seeds]
        for _ in run_jobs("advrec_tf.training.trainer:train", jobs, how.workers, how.backend):
            pass


def _jobs(attacks: tuple, data: Interactions, seed: int, models_dir: Path, plan: TrainingPlan, options: dict) -> list[dict]:
    """One job for each attack on each selected epoch of each model, and one for each recommender without factors to perturb."""
    if not data.has_one_test_item_each:  # what certificates need
        attacks = tuple(pair for pair in attacks if pair[0] != "certificate")
    common = {"data": data, "seed": seed, "options": options}
    jobs = [{**common, "model": name, "weights": None, "attack": "", "ball": ""} for name in ("Random", "MostPopular")]
    for model, epoch, weights in selected_models(data, seed, models_dir, plan):
        jobs += [{**common, "model": model, "epoch": epoch, "weights": weights, "attack": a, "ball": b} for a, b in attacks]
    return jobs


def selected_models(data: Interactions, seed: int, models_dir: Path, plan: TrainingPlan) -> Iterator[tuple[str, int, dict]]:
    """The name, the epoch and the arguments of `selected_factors` of every trained model that is to be measured."""
    for settings in (plan.bprmf, plan.amf):
        chosen = {}
        for selection in plan.selections(data, settings):
            weights = {"folder": model_folder(models_dir, data, settings, seed), "selection": selection, "epochs": plan.epochs}
            chosen[selected_factors(**weights)[0]] = weights
        yield from ((settings.name, epoch, weights) for epoch, weights in chosen.items())
