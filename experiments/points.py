"""The points of a measurement: which rows a job gives, so that what is there is not measured again."""

from pathlib import Path

from advrec_tf.reporting import Results


def keys_of(job: dict) -> list[dict]:
    """The key columns of a job's rows, in the order they are measured."""
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


def list_path(lists_dir: Path, key: dict) -> Path:
    parts = [
        key["model"],
        *(f"{name}={key[name]}" for name in ("epoch", "attack", "ball", "start", "iterations", "seed") if key.get(name) not in (None, "")),
    ]
    return lists_dir / f"{'_'.join(parts)}.tsv"


def unmeasured(jobs: list[dict], results: Results, lists_dir: Path | None) -> list[dict]:
    def is_done(job):
        return all(key in results and (lists_dir is None or list_path(lists_dir, key).exists()) for key in keys_of(job))

    return [{**job, "lists_dir": lists_dir} for job in jobs if not is_done(job)]
