"""The points of a measurement: which rows a job gives, so that what is there is not measured again."""

from itertools import product
from pathlib import Path

from advrec_tf.reporting import Results, user_path

STARTS = {"bim": "zero", "pgd": "uniform"}


def keys_of(job: dict) -> list[dict]:
    """The key columns of a job's rows, in the order they are measured: by epsilon, then by iterations.

    A job's attack is "" (unperturbed), noise, fgsm, bim, pgd, certificate, or "pgd+fgsm": PGD, and then FGSM with its gradient taken
    where PGD ended, which is the order of the authors' script.
    """
    options, attack = job["options"], job["attack"]
    base = {"dataset": job["data"].name, "model": job["model"], "epoch": job.get("epoch"), "seed": job["seed"], "k": options["k"]}
    epsilons = [float(epsilon) for epsilon in options["epsilons"]]
    if attack == "":
        return [base]
    if attack in ("noise", "certificate"):
        return [{**base, "attack": attack, "ball": job["ball"], "epsilon": epsilon} for epsilon in epsilons]
    single = [{**base, "attack": "fgsm", "start": "clean", "epsilon": e, "step_size": e, "iterations": 1} for e in epsilons]
    if attack == "fgsm":
        return single
    name, keys = attack.partition("+")[0], []
    for epsilon, iterations in product(epsilons, options["iterations"]):
        step_size = epsilon / 4 if options["step_size"] is None else float(options["step_size"])
        point = {"epsilon": epsilon, "step_size": step_size, "iterations": iterations}
        keys.append({**base, "attack": name, "ball": job["ball"], "start": STARTS[name], **point})
    return keys + [{**single[-1], "start": "after_pgd"}] if attack == "pgd+fgsm" else keys


def list_path(lists_dir: Path, key: dict) -> Path:
    """Where the lists of a point are saved."""
    named = ("epoch", "attack", "ball", "start", "epsilon", "iterations", "seed")
    return lists_dir / f"{'_'.join([key['model'], *(f'{name}={key[name]}' for name in named if key.get(name) not in (None, ''))])}.tsv"


def users_path(folder: Path, job: dict) -> Path:
    """Where the users' own nDCG of a job's points is kept."""
    return user_path(folder, job["model"], job.get("epoch"), job["attack"], job["ball"], job["seed"])


def unmeasured(jobs: list[dict], results: Results, folder: Path, lists_dir: Path | None) -> list[dict]:
    """The jobs some of whose rows, or files that go with them, are not there yet."""

    def is_done(job):
        keys = keys_of(job)
        lists = lists_dir is None or job["attack"] == "certificate" or all(list_path(lists_dir, key).exists() for key in keys)
        return all(key in results for key in keys) and lists and users_path(folder, job).exists()

    return [{**job, "folder": folder, "lists_dir": lists_dir} for job in jobs if not is_done(job)]
