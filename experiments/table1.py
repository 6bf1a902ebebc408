"""Table 1 of the multi-step perturbations paper: six metrics before and after FGSM, BIM and PGD."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.files import write_text
from advrec_tf.models import MostPopular, Random
from advrec_tf.reporting import plots, published, read_results, recorded_run, tables
from advrec_tf.training import AMFSettings, BPRMFSettings, Settings, model_folder, selected_factors, train
from advrec_tf.training.jobs import run as run_jobs

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
        results = {data.name: stack.enter_context(recorded_run(folder / data.name, config)) for data in datasets}
        train_models(datasets, seeds, models_dir, bprmf, amf, epochs, keep_epochs, save_every, workers, progress)
        jobs = []
        for data in datasets:
            lists_dir = folder / data.name / "lists" if save_lists else None
            for seed in seeds:
                jobs += _unmeasured(_jobs(data, seed, models_dir, (bprmf, amf), epochs, model_selection, attack), results[data.name], lists_dir)
        with tqdm(total=len(jobs), desc="attacks", disable=None if progress else True) as bar:
            for index, rows in run_jobs(measure, jobs, workers):
                results[jobs[index]["data"].name].add(rows)
                bar.update()
    for data in datasets:
        report(folder / data.name, "best" in model_selection)
    if len(datasets) > 1:
        write_text(folder / "report.md", "\n".join((folder / data.name / "report.md").read_text() for data in datasets))


def train_models(
    datasets: list[Interactions], seeds: list[int], models_dir: Path, bprmf: BPRMFSettings, amf: AMFSettings, epochs: int,
    keep_epochs: list[int], save_every: int, workers: int, progress: bool,
) -> None:  # fmt: skip
    """BPR-MF up to the epoch AMF starts from, then the rest of BPR-MF beside AMF, as many at once as there are workers."""
    common = {"models_dir": models_dir, "keep_epochs": tuple(keep_epochs) + (amf.first_epoch,), "save_every": save_every, "progress": progress}
    for stage in ([(bprmf, amf.first_epoch)], [(amf, epochs), (bprmf, epochs)]):
        jobs = [
            {"data": data, "settings": settings, "seed": seed, "epochs": stop, **common}
            for data in datasets for seed in seeds for settings, stop in stage
        ]  # fmt: skip
        for _ in run_jobs(train, jobs, workers):
            pass


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
        for selection in model_selection:
            if selection == "published":
                if settings.name not in published.EPOCHS.get(data.name, {}):
                    continue
                selection = f"epoch:{published.EPOCHS[data.name][settings.name]}"
            if selection.startswith("epoch:") and not settings.first_epoch < int(selection[6:]) <= epochs:
                continue
            chosen[selected_factors(folder, selection, epochs)[0]] = selection
        for epoch, selection in chosen.items():
            weights = {"folder": folder, "selection": selection, "epochs": epochs}
            jobs += [{**common, "model": settings.name, "epoch": epoch, "weights": weights, "attack": a, "ball": b} for a, b in ATTACKS]
    return jobs


def _keys(job: dict) -> list[dict]:
    """The key columns of a job's rows, in the order `_perturbed` yields them."""
    options, attack, seed = job["options"], job["attack"], job["seed"]
    base = {"dataset": job["data"].name, "model": job["model"], "epoch": job.get("epoch"), "seed": seed, "k": options["k"]}
    epsilon = float(options["epsilon"])
    single = {"attack": "fgsm", "epsilon": epsilon, "step_size": epsilon, "iterations": 1}
    if attack == "":
        return [base]
    if attack == "noise":
        return [{**base, "attack": "noise", "epsilon": epsilon}]
    if attack == "fgsm":
        return [{**base, **single, "start": "clean"}]
    step_size = epsilon / 4 if options["step_size"] is None else float(options["step_size"])
    multi = {"attack": attack, "ball": job["ball"], "start": "zero" if attack == "bim" else "uniform", "epsilon": epsilon, "step_size": step_size}
    keys = [{**base, **multi, "iterations": n} for n in options["iterations"]]
    return keys + [{**base, **single, "start": "after_pgd"}] if (attack, job["ball"]) == ("pgd", "linf") else keys


def _perturbed(P: np.ndarray, Q: np.ndarray, job: dict) -> Iterator[perturbations.Perturbation]:
    """The perturbations of a job, one for each of its keys."""
    options, attack, seed = job["options"], job["attack"], job["seed"]
    epsilon, still = options["epsilon"], perturbations.Perturbation(np.zeros_like(P), np.zeros_like(Q))
    if attack == "":
        yield still
        return
    if attack == "noise":
        yield perturbations.noise(P, Q, epsilon, seed)
        return
    triples = sample_triples(job["data"], seed)
    if attack == "fgsm":
        yield perturbations.fgsm(P, Q, triples, epsilon)
        return
    init = still if attack == "bim" else perturbations.uniform_start(P, Q, seed, options["pgd_init"])
    for delta in perturbations.trajectory(P, Q, triples, epsilon, options["step_size"], job["ball"], init, options["iterations"]):
        yield delta
    if (attack, job["ball"]) == ("pgd", "linf"):
        yield perturbations.fgsm(P, Q, triples, epsilon, init=delta)


def _list_path(lists_dir: Path, key: dict) -> Path:
    parts = [
        key["model"],
        *(f"{name}={key[name]}" for name in ("epoch", "attack", "ball", "start", "iterations", "seed") if key.get(name) not in (None, "")),
    ]
    return lists_dir / f"{'_'.join(parts)}.tsv"


def _unmeasured(jobs: list[dict], results, lists_dir: Path | None) -> list[dict]:
    def is_done(job):
        return all(key in results and (lists_dir is None or _list_path(lists_dir, key).exists()) for key in _keys(job))

    return [{**job, "lists_dir": lists_dir} for job in jobs if not is_done(job)]


def measure(
    data: Interactions, seed: int, options: dict, model: str, weights: dict | None, attack: str, ball: str, epoch: int | None = None,
    lists_dir: Path | None = None, position: int = 0, parent: int | None = None,
) -> list[dict]:  # fmt: skip
    """The rows of one attack on one model: the metrics of its lists at every point of the iteration grid."""
    job = {"data": data, "seed": seed, "options": options, "model": model, "epoch": epoch, "attack": attack, "ball": ball}
    k, rows = options["k"], []
    if model == "Random":
        return [_row(_keys(job)[0], Random(seed).top_k(data, k), data, lists_dir)]
    if model == "MostPopular":
        popular = MostPopular(data)
        P, Q = popular.user_embedding, popular.item_embedding
    else:
        _, P, Q = selected_factors(**weights)
    for key, delta in zip(_keys(job), _perturbed(P, Q, job)):
        moved = P + delta.user, Q + delta.item
        norms = {f"{side}_{what}": _mean_norm(x) for what, pair in (("norm", (P, Q)), ("shift", delta)) for side, x in zip(("user", "item"), pair)}
        rows.append(_row(key, evaluation.top_k(*moved, data, k), data, lists_dir, moved) | norms)
    return rows


def _row(key: dict, lists: np.ndarray, data: Interactions, lists_dir: Path | None, factors: tuple = (None, None)) -> dict:
    if lists_dir is not None:
        evaluation.save_lists(_list_path(lists_dir, key), lists, data, *factors)
    return key | evaluation.metrics(lists, data)


def _mean_norm(rows: np.ndarray) -> float:
    return float(np.linalg.norm(rows, axis=1).mean())
