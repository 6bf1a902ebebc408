"""How detectors do: under the paper's protocol, and on attacks they were not trained on."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.defenses import Svm, unsupervised_scores
from advrec_tf.defenses.detection import detection_scores
from advrec_tf.evaluation import DETECTION
from advrec_tf.files import replacing
from advrec_tf.poisoning import Profiles
from advrec_tf.reporting import tables
from experiments.attack_runs import Running
from experiments.defended import Setting, made

DETECTORS = (("poly2", "imbalanced"), ("linear", "imbalanced"), ("rbf", "imbalanced"), ("poly2", "down-sampled"), ("rbf", "down-sampled"))
COMPONENTS = 20


def protocols(setting: Setting, attack: str, profiles: dict[tuple[str, str], Profiles], folder: Path, how: Running) -> str:
    """A table of every detector: tested out of fold on the fakes it learnt from, on another run's fakes, and on other attacks'; and without labels.

    The other run has another seed and as many outer epochs as `setting.options["other_outer_epochs"]` says.
    """
    data, group = setting.data, next(iter(setting.plans))
    known = profiles[group, attack]
    others = _others(setting, group, attack, how)
    rows = []
    for kernel, sampling in DETECTORS:
        detector = Svm(known, kernel, min(COMPONENTS, len(known.item_ids) - 1, known.n_users), sampling, setting.options["folds"])
        for tested, fakes in [("the same fakes, out of fold", known), *others.items()]:
            poisoned = fakes.stacked_on(data)
            flagged, scores = detector.judged(poisoned, data.n_users, setting.cache_dir)
            rows.append([f"{kernel}, {sampling}", tested, *_measured(data.n_users, flagged, scores)])
    for tested, fakes in [("the same fakes, out of fold", known), *others.items()]:
        scores = unsupervised_scores(fakes.stacked_on(data), COMPONENTS if data.n_users > 500 else 5)
        flagged = scores >= np.sort(scores)[-fakes.n_users]
        rows.append(["Mahalanobis distance, as many as there are fakes", tested, *_measured(data.n_users, flagged, scores)])
    frame = pd.DataFrame(rows, columns=["detector", "tested on", *DETECTION, "real users flagged"])
    with replacing(folder / "detectors.csv") as temporary:
        frame.to_csv(temporary, index=False)
    body = [[*row[:2], *(f"{value:.4f}" for value in row[2:-1]), f"{row[-1]:.0f}"] for row in rows]
    return f"\n## Detectors trained on {attack}\n\n" + tables.markdown(list(frame.columns), body)


def _measured(n_real: int, flagged: np.ndarray, scores: np.ndarray) -> list[float]:
    labels = np.arange(len(flagged)) >= n_real
    return [*detection_scores(labels, flagged, scores).values(), float(flagged[:n_real].sum())]


def _others(setting: Setting, group: str, attack: str, how: Running) -> dict[str, Profiles]:
    """Fakes that the detector has not seen: the same attack from another seed, and other attacks."""
    plan, names = setting.plans[group], [name for name in setting.options["other_attacks"] if name != attack]
    other = replace(plan, seed=plan.seed + 1, outer_epochs=setting.options["other_outer_epochs"])
    again = made(replace(setting, plans={group: other}), [attack], how)[group, attack]
    rest = made(setting, names, how)
    return {f"{attack}, another seed": again} | {name: rest[group, name] for name in names}
