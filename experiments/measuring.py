"""Measuring perturbations of trained models: the work of one job."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.models import MostPopular, Random
from advrec_tf.training import selected_factors
from experiments.points import keys_of, list_path


def measure(
    data: Interactions, seed: int, options: dict, model: str, weights: dict | None, attack: str, ball: str, epoch: int | None = None,
    lists_dir: Path | None = None, position: int = 0, parent: int | None = None,
) -> list[dict]:  # fmt: skip
    """The rows of one attack on one model: the metrics of its lists at every point of the iteration grid."""
    job = {"data": data, "seed": seed, "options": options, "model": model, "epoch": epoch, "attack": attack, "ball": ball}
    k, rows = options["k"], []
    if model == "Random":
        return [_row(keys_of(job)[0], Random(seed).top_k(data, k), data, lists_dir)]
    if model == "MostPopular":
        popular = MostPopular(data)
        P, Q = popular.user_embedding, popular.item_embedding
    else:
        _, P, Q = selected_factors(**weights)
    for key, delta in zip(keys_of(job), _perturbed(P, Q, job)):
        moved = P + delta.user, Q + delta.item
        norms = {f"{side}_{what}": _mean_norm(x) for what, pair in (("norm", (P, Q)), ("shift", delta)) for side, x in zip(("user", "item"), pair)}
        rows.append(_row(key, evaluation.top_k(*moved, data, k), data, lists_dir, moved) | norms)
    return rows


def _row(key: dict, lists: np.ndarray, data: Interactions, lists_dir: Path | None, factors: tuple = (None, None)) -> dict:
    if lists_dir is not None:
        evaluation.save_lists(list_path(lists_dir, key), lists, data, *factors)
    return key | evaluation.metrics(lists, data)


def _mean_norm(rows: np.ndarray) -> float:
    return float(np.linalg.norm(rows, axis=1).mean())


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
