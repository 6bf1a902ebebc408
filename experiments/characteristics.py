"""Figure 3 of the multi-step perturbations paper: how density, size and shape of the data change what perturbations cost."""

from itertools import groupby
from pathlib import Path

import pandas as pd

from advrec_tf.files import replacing, write_text
from advrec_tf.reporting import characteristics, plots, read_results

ATTACKS = (("", ""), ("fgsm", ""), ("bim", "linf"), ("pgd", "linf"))


def report(folders: list[Path]) -> None:
    """Renders report.md, losses.csv and characteristics.png over the sub-samples of each data set, into <data set>-<protocol>."""
    for name, own in groupby(sorted(folders), key=lambda folder: folder.with_name(folder.name.rpartition("-")[0])):
        losses = pd.concat([characteristics.losses(read_results(each)) for each in own], ignore_index=True)
        losses = losses.sort_values(["density", "model", "attack", "seed", "iterations"], ignore_index=True)
        with replacing(name / "losses.csv") as temporary:
            losses.to_csv(temporary, index=False)
        text = characteristics.report(losses)
        write_text(name / "report.md", text)
        plots.save_figure(plots.characteristics_figure(losses), name / "characteristics.png")
        print(f"{text}\nKept in {name}: losses.csv, report.md, characteristics.png")
