"""Both papers together: does the low-rank transformation of the factors protect BPR-MF and AMF against FGSM, BIM and PGD?"""

from dataclasses import asdict
from pathlib import Path

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.defenses.low_rank import matrix_of, projection, transform
from advrec_tf.files import write_text
from advrec_tf.reporting import plots, poisoning_plots, projected, read_results, recorded_run
from advrec_tf.reporting.results import PROJECTED
from advrec_tf.training import cache, selected_factors
from experiments.attack_runs import Running, TrainingPlan, finished, selected_models, train
from experiments.points import STARTS

NAME = "low_rank_against_perturbations"
ATTACKS = ("", "fgsm", "bim", "pgd")


def run(datasets: list[Interactions], seeds: list[int], output_dir: Path, plan: TrainingPlan, options: dict, how: Running) -> None:
    """Measures every attack on every model without the projection, and with it on attackers who do not know of it and who do."""
    models_dir = Path(output_dir) / "models"
    train(datasets, seeds, models_dir, plan, how)
    for data in datasets:
        folder = Path(output_dir) / NAME / data.name
        ranks = sorted({min(rank, *matrix_of(data).shape) for rank in options["svd_ranks"]})
        config = {"bprmf": asdict(plan.bprmf), "amf": asdict(plan.amf), "epochs": plan.epochs}
        config |= {"model_selection": plan.model_selection, **options, "data": data.fingerprint}
        with recorded_run(folder, config, data.statistics(), how.flags, PROJECTED) as results:
            jobs = []
            for seed in seeds:
                for model, epoch, weights in selected_models(data, seed, models_dir, plan):
                    common = {"data": data, "seed": seed, "model": model, "epoch": epoch, "weights": weights, "options": options, "ranks": ranks}
                    jobs += [{**common, "attack": attack, "cache_dir": Path(output_dir) / "cache"} for attack in ATTACKS]
            left = [job for job in jobs if not all(key in results for key in keys_of(job))]
            for _, rows in finished("experiments.low_rank_against_perturbations:measure", left, "attacks", how):
                results.add(rows)
        rows = read_results(folder)
        text = projected.report(rows)
        write_text(folder / "report.md", text)
        plots.save_figure(poisoning_plots.projected_figure(rows), folder / "ranks.png")
        print(f"{text}\nKept in {folder}: results.csv, report.md, ranks.png")


def keys_of(job: dict) -> list[dict]:
    """The key columns of a job's rows: without a projection, then for each rank by an attacker who does not know of it and by one who does."""
    options, attack = job["options"], job["attack"]
    base = {"dataset": job["data"].name, "model": job["model"], "epoch": job["epoch"], "attack": attack, "seed": job["seed"], "k": options["k"]}
    if attack:
        epsilon, single = options["epsilons"][0], attack == "fgsm"
        step_size = epsilon if single else epsilon / 4 if options["step_size"] is None else options["step_size"]
        base |= {"epsilon": epsilon, "step_size": step_size, "iterations": 1 if single else options["iterations"][0]}
        base |= {"start": "clean"} if single else {"start": STARTS[attack], "ball": "linf"}
    knowing = ("projected",) if not attack else ("projected, unaware", "projected, aware")
    return [base | {"defense": "none"}] + [base | {"defense": name, "rank": rank} for rank in job["ranks"] for name in knowing]


def measure(
    data: Interactions, seed: int, model: str, epoch: int, weights: dict, options: dict, ranks: list[int], attack: str, cache_dir: Path,
    position: int = 0,
) -> list[dict]:  # fmt: skip
    """The rows of one attack on one model."""
    from advrec_tf.defenses.perturbed import through_projection

    job = {"data": data, "seed": seed, "model": model, "epoch": epoch, "options": options, "ranks": ranks, "attack": attack}
    _, P, Q = selected_factors(**weights)
    bases = cache.cached(
        cache_dir / "bases", {"clicks": data.fingerprint, "rank": ranks[-1]}, lambda: dict(zip("UV", projection(matrix_of(data), ranks[-1])))
    )
    chunks = perturbations.chunk_triples(sample_triples(data, seed), len(P), len(Q))
    init = perturbations.uniform_start(P, Q, seed, options["pgd_init"]) if attack == "pgd" else None
    unaware, rows = None, []
    for key in keys_of(job):
        U, V = (bases[name][:, : key.get("rank", 0)] for name in "UV")
        if not attack:
            moved = P, Q
        else:
            how = {"epsilon": key["epsilon"], "step_size": key["step_size"]}
            if unaware is None:
                unaware = next(perturbations.trajectory(P, Q, chunks, **how, init=init, read_at=(key["iterations"],)))
            delta = unaware
            if key["defense"] == "projected, aware":
                delta = through_projection(P, Q, U, V, chunks, iterations=key["iterations"], init=init, **how)
            moved = P + delta.user, Q + delta.item
        shown = moved if key["defense"] == "none" else transform(*moved, U, V)
        rows.append(key | evaluation.metrics(evaluation.top_k(*map(np.float32, shown), data, options["k"]), data))
    return rows
