"""Figure 2 of the low-rank defences paper: the SVM's recall over the principal components, by kernel, on imbalanced and down-sampled data."""

from pathlib import Path

from advrec_tf.defenses.detection import KERNELS, SAMPLINGS, labels_of
from advrec_tf.defenses.low_rank import matrix_of
from advrec_tf.files import write_text
from advrec_tf.poisoning import Profiles
from advrec_tf.reporting import detection, plots, poisoning_plots, read_results, recorded_run
from advrec_tf.reporting.results import DETECTED
from experiments.attack_runs import Running, finished
from experiments.defended import Setting, first_attack, made


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """Stratified cross-validation of every kernel on every number of components; a job is a fold."""
    data, attack = setting.data, first_attack([*attacks, *(fakes.name for fakes in given)])
    folder = Path(setting.output_dir) / "lowrank_figure2" / data.name
    fakes = given[0] if given else made(setting, [attack], how)[next(iter(setting.plans)), attack]
    poisoned = fakes.stacked_on(data)
    dimensions, folds, seed = tuple(setting.options["svm_components"]), setting.options["folds"], setting.seeds[0]
    common = {"matrix": matrix_of(poisoned), "labels": labels_of(poisoned, data.n_users), "kernels": tuple(KERNELS), "dimensions": dimensions}
    named = {"dataset": data.name, "attack": attack, "profiles": fakes.digest()[:12], "seed": seed}
    config = {"data": poisoned.fingerprint, "components": dimensions, "folds": folds}
    with recorded_run(folder, config, data.statistics(), how.flags, DETECTED) as results:
        jobs = [{**common, "sampling": sampling, "fold": fold, "folds": folds, "seed": seed} for sampling in SAMPLINGS for fold in range(folds)]
        # The widest PCA may not be had on few profiles; the narrowest always is.
        first = {"kernel": next(iter(KERNELS)), "components": min(dimensions)}
        left = [job for job in jobs if named | first | {"sampling": job["sampling"], "fold": job["fold"]} not in results]
        for _, rows in finished("advrec_tf.defenses.detection:fold_scores", left, "folds", how):
            results.add([named | row for row in rows])
    rows = read_results(folder)
    text = detection.report(rows)
    write_text(folder / "report.md", text)
    plots.save_figure(poisoning_plots.detection_figure(rows), folder / "figure2.png")
    print(f"{text}\nKept in {folder}: results.csv, report.md, figure2.png")
