"""Table 1 of the multi-step perturbations paper: six metrics before and after FGSM, BIM and PGD."""

import contextlib
import importlib
from pathlib import Path

from tqdm import tqdm

from advrec_tf import training
from advrec_tf.data import Interactions
from advrec_tf.files import write_text
from advrec_tf.reporting import plots, published, read_results, recorded_run, tables
from advrec_tf.startup import start_tensorflow
from advrec_tf.training import AMFSettings, BPRMFSettings, Settings, model_folder, selected_factors
from advrec_tf.training.jobs import run as run_jobs
from experiments.points import unmeasured

# (attack, ball); PGD in the paper's ball also gives FGSM's gradient after PGD, the order of the authors' script.
ATTACKS = (("", ""), ("noise", ""), ("fgsm", ""), ("bim", "linf"), ("pgd", "linf"), ("bim", "l2"), ("pgd", "l2"))


def run(
    datasets: list[Interactions], seeds: list[int], output_dir: Path, *, bprmf: BPRMFSettings, amf: AMFSettings, epochs: int,
    model_selection: list[str], keep_epochs: list[int], save_every: int, epsilon: float, step_size: float | None, iterations: list[int],
    pgd_init: float, k: int, save_lists: bool, workers: int, progress: bool,
) -> None:  # fmt: skip
    """Trains what is not trained, measures what is not measured, and writes results.csv, report.md and a figure for each data set."""
    attack = {"epsilon": epsilon, "step_size": step_size, "iterations": iterations, "pgd_init": pgd_init, "k": k}
    config = {"bprmf": vars(bprmf), "amf": {**vars(amf), "start": None}, "epochs": epochs, "model_selection": model_selection, **attack}
    folder, models_dir = Path(output_dir) / "table1", Path(output_dir) / "models"
    with contextlib.ExitStack() as stack:
        results = {data.name: stack.enter_context(recorded_run(folder / data.name, {**config, "data": data.fingerprint})) for data in datasets}
        start_tensorflow()  # only now: what can be refused has been refused
        common = {"models_dir": models_dir, "save_every": save_every, "progress": progress}
        train_models(datasets, seeds, (bprmf, amf), epochs, model_selection, keep_epochs, workers, common)
        jobs = []
        for data in datasets:
            lists_dir = folder / data.name / "lists" if save_lists else None
            for seed in seeds:
                jobs += unmeasured(_jobs(data, seed, models_dir, (bprmf, amf), epochs, model_selection, attack), results[data.name], lists_dir)
        with tqdm(total=len(jobs), desc="attacks", disable=None if progress else True) as bar:
            for index, rows in run_jobs(importlib.import_module("experiments.measuring").measure, jobs, workers):
                results[jobs[index]["data"].name].add(rows)
                bar.update()
    for data in datasets:
        report(folder / data.name, "best" in model_selection)
    if len(datasets) > 1:
        write_text(folder / "report.md", "\n".join((folder / data.name / "report.md").read_text() for data in datasets))


def train_models(
    datasets: list[Interactions], seeds: list[int], models: tuple[BPRMFSettings, AMFSettings], epochs: int,
    model_selection: list[str], keep_epochs: list[int], workers: int, common: dict,
) -> None:  # fmt: skip
    """BPR-MF up to the epoch AMF starts from, then the rest of BPR-MF beside AMF, as many at once as there are workers."""
    bprmf, amf = models
    for stage in ([(bprmf, amf.first_epoch)], [(amf, epochs), (bprmf, epochs)]):
        jobs = []
        for data in datasets:
            for settings, stop in stage:
                measured = [int(name[6:]) for name in _selections(data, settings, model_selection, epochs) if name.startswith("epoch:")]
                keep = (*keep_epochs, *measured, amf.first_epoch)
                jobs += [{"data": data, "settings": settings, "seed": seed, "epochs": stop, "keep_epochs": keep, **common} for seed in seeds]
        for _ in run_jobs(training.train, jobs, workers):
            pass


def _selections(data: Interactions, settings: Settings, model_selection: list[str], epochs: int) -> list[str]:
    """The selections of a model as best, last and epoch:N, without the epochs it does not have."""
    own = published.EPOCHS.get(data.name, {}).get(settings.name, 0)
    names = [f"epoch:{own}" if name == "published" else name for name in model_selection]
    return [name for name in names if not name.startswith("epoch:") or settings.first_epoch < int(name[6:]) <= epochs]


def report(folder: Path, best: bool = True) -> None:
    """Renders report.md and table1.png from results.csv, and prints the report."""
    rows = read_results(folder / "results.csv")
    text = tables.table1_report(rows, best)
    write_text(folder / "report.md", text)
    plots.save_figure(plots.table1_figure(tables.table1(rows, best)), folder / "table1.png")
    print(f"{text}\nKept in {folder}: results.csv, report.md, table1.png")


def _jobs(
    data: Interactions, seed: int, models_dir: Path, models: tuple[Settings, ...], epochs: int, model_selection: list[str], attack: dict
) -> list[dict]:
    """One job for each selected epoch of each model and each attack, and one for the recommenders without factors."""
    common = {"data": data, "seed": seed, "options": attack}
    jobs = [{**common, "model": name, "weights": None, "attack": "", "ball": ""} for name in ("Random", "MostPopular")]
    for settings in models:
        folder = model_folder(models_dir, data, settings, seed)
        chosen = {}
        for selection in _selections(data, settings, model_selection, epochs):
            chosen[selected_factors(folder, selection, epochs)[0]] = selection
        for epoch, selection in chosen.items():
            weights = {"folder": folder, "selection": selection, "epochs": epochs}
            jobs += [{**common, "model": settings.name, "epoch": epoch, "weights": weights, "attack": a, "ball": b} for a, b in ATTACKS]
    return jobs
