"""Figure 1 of the low-rank defences paper: real and fake users on the first two principal components."""

from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from advrec_tf.defenses.detection import labels_of, principal_components
from advrec_tf.defenses.low_rank import matrix_of
from advrec_tf.files import replacing, write_text
from advrec_tf.poisoning import Profiles
from advrec_tf.reporting import plots, poisoning_plots
from experiments.attack_runs import Running
from experiments.defended import Setting, first_attack, made


def run(setting: Setting, attacks: list[str], given: list[Profiles], how: Running) -> None:
    """Writes every user's coordinates (points.csv), the picture, and how far fakes and real users are apart on each component."""
    data, attack = setting.data, first_attack([*attacks, *(fakes.name for fakes in given)])
    folder = Path(setting.output_dir) / "lowrank_figure1" / data.name
    fakes = given[0] if given else made(setting, [attack], how)[next(iter(setting.plans)), attack]
    poisoned = fakes.stacked_on(data)
    matrix, is_fake = matrix_of(poisoned), labels_of(poisoned, data.n_users)
    pca = principal_components(matrix, 2)
    points = pd.DataFrame(pca.transform(matrix.astype(np.float64)), columns=["first", "second"]).assign(user=poisoned.user_ids, fake=is_fake)
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "points.csv") as temporary:
        points.to_csv(temporary, index=False)
    apart = [roc_auc_score(is_fake, points[name]) for name in ("first", "second")]
    shares, apart = (
        ", ".join(found) for found in ([f"{100 * x:.2f}%" for x in pca.explained_variance_ratio_], [f"{max(a, 1 - a):.4f}" for a in apart])
    )
    text = (
        f"# Figure 1: {data.name} and {attack} on two principal components\n\n{is_fake.sum()} fakes, {data.n_users} real users. The components hold "
        f"{shares} of the variance. AUROC of each as a detector (or of its opposite): {apart}.\n"
    )
    write_text(folder / "report.md", text)
    plots.save_figure(poisoning_plots.components_figure(points), folder / "figure1.png")
    print(f"{text}\nKept in {folder}: points.csv, report.md, figure1.png")
