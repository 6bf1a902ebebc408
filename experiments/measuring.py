"""Measuring perturbations of trained models: the work of one job."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions, sample_triples
from advrec_tf.models import MostPopular, Random
from advrec_tf.perturbations import Perturbation
from advrec_tf.training import checkpoints, selected_factors
from experiments.points import STARTS, keys_of, list_path, users_path


def measure(
    data: Interactions, seed: int, options: dict, model: str, weights: dict | None, attack: str, ball: str, folder: Path,
    epoch: int | None = None, lists_dir: Path | None = None, position: int = 0,
) -> list[dict]:  # fmt: skip
    """The rows of one attack on one model: the metrics of its lists at every point of its grid.

    Beside them, in a file of `folder`/users, every tested user's nDCG at each point, for intervals and paired tests.
    """
    job = {"data": data, "seed": seed, "options": options, "model": model, "epoch": epoch, "attack": attack, "ball": ball}
    keys, k = keys_of(job), options["k"]
    if model == "Random":
        P = Q = None
    elif model == "MostPopular":
        popular = MostPopular(data)
        P, Q = popular.user_embedding, popular.item_embedding
    else:
        _, P, Q = selected_factors(**weights)
    if attack == "certificate":
        radii = evaluation.certified_radii(P, Q, data, ball, k)
        bounds = [evaluation.certified_metrics(radii, key["epsilon"]) for key in keys]
        rows = [key | {"RE": bound[f"HR@{k}"], "nDCG": bound[f"nDCG@{k}"]} for key, bound in zip(keys, bounds)]
        users = [_discount(1 + np.sum(radii <= key["epsilon"], axis=1), k) for key in keys]
    else:
        rows, users = [], []
        for key, delta in zip(keys, _perturbed(P, Q, job)):
            moved = (P + delta.user, Q + delta.item) if P is not None else (None, None)
            lists = evaluation.top_k(*moved, data, k) if P is not None else Random(seed).top_k(data, k)
            if lists_dir is not None:
                evaluation.save_lists(list_path(lists_dir, key), lists, data, *moved)
            rows.append(key | evaluation.metrics(lists, data) | (_norms(P, Q, delta) if P is not None else {}))
            users.append(evaluation.per_user_metrics(lists, data)["nDCG"])
    points = {name: np.array([key.get(name) or 0 for key in keys]) for name in ("epsilon", "iterations")}
    checkpoints.save(users_path(folder, job), {**points, "nDCG": np.array(users, np.float32)})
    return rows


def _perturbed(P: np.ndarray, Q: np.ndarray, job: dict) -> Iterator[Perturbation]:
    """The perturbations of a job, one for each of its keys."""
    options, attack, ball, seed = job["options"], job["attack"], job["ball"], job["seed"]
    if attack == "":
        yield None if P is None else Perturbation(np.zeros_like(P), np.zeros_like(Q))
    elif attack == "noise":
        yield from (perturbations.noise(P, Q, epsilon, seed) for epsilon in options["epsilons"])
    else:
        triples = perturbations.chunk_triples(sample_triples(job["data"], seed), len(P), len(Q))
        if attack == "fgsm":
            direction = perturbations.fgsm(P, Q, triples, 1.0)  # the same at every budget
            yield from (Perturbation(*(np.float32(epsilon) * side for side in direction)) for epsilon in options["epsilons"])
            return
        start = STARTS[attack.partition("+")[0]]
        init = perturbations.uniform_start(P, Q, seed, options["pgd_init"]) if start == "uniform" else None
        for epsilon in options["epsilons"]:
            for delta in perturbations.trajectory(P, Q, triples, epsilon, options["step_size"], ball, init, options["iterations"]):
                yield delta
        if attack == "pgd+fgsm":
            yield perturbations.fgsm(P, Q, triples, options["epsilons"][-1], init=delta)


def _norms(P: np.ndarray, Q: np.ndarray, delta: Perturbation) -> dict[str, float]:
    """Mean row norms of the embeddings and of what is added to them."""
    rows = {"user_norm": P, "item_norm": Q, "user_shift": delta.user, "item_shift": delta.item}
    return {name: float(np.linalg.norm(x, axis=1).mean()) for name, x in rows.items()}


def _discount(ranks: np.ndarray, k: int) -> np.ndarray:
    return np.where(ranks <= k, 1 / np.log2(ranks + 1), 0)
