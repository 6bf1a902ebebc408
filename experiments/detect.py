"""How many of anybody's fake users are found, without labels and by a machine that knows them."""

from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.defenses import Svm
from advrec_tf.defenses.detection import FLAGGED, evaluate_detector
from advrec_tf.errors import UserError
from advrec_tf.execution.inputs import load_datasets
from advrec_tf.execution.runner import Page
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.reading import existing, read_profiles

COMPONENTS = 20


def show(values: dict[str, Any]) -> int:
    """Print what each detector finds of each file of profiles; return the exit status."""
    if not values["profiles"]:
        raise UserError("--profiles is needed: the files of fake users to look for")
    for path in values["profiles"]:
        existing(path)
    datasets, skipped = load_datasets(values)
    for data in datasets:
        for path in values["profiles"]:
            _print(path, data, read_profiles(path, data), Path(values["output_dir"]) / "cache")
    return 1 if skipped else 0


def _print(path: str, data: Interactions, fakes: Profiles, cache_dir: Path) -> None:
    """Print a line for each detector."""
    print(f"{path}: {fakes.n_users} fakes beside the {data.n_users:,} users of {data.name}")
    detectors = {
        "without labels (principal components)": None,
        "knowing such fakes (SVM, out of fold)": Svm(fakes, "linear", COMPONENTS),
    }
    point = {"tested_on": fakes.name, "components": COMPONENTS}
    for name, detector in detectors.items():
        if detector and fakes.n_users < detector.folds:
            print(f"  {name}: too few fakes for {detector.folds} folds")
            continue
        ((row,), _) = evaluate_detector([point], data, {fakes.name: fakes}, detector, cache_dir)
        print(
            f"  {name}: {row['recall']:.0%} are found, {row[FLAGGED]:.0f} real users are flagged; "
            f"precision {row['precision']:.2f}, AUROC {row['AUROC']:.3f}"
        )


EXPERIMENT = Page(show)
