"""Figure 3 of the multi-step perturbations paper: how density, size and shape of the data change what perturbations cost."""

from pathlib import Path

import pandas as pd

from advrec_tf.files import replacing, write_text
from advrec_tf.reporting import characteristics, plots, read_results

ATTACKS = (("", ""), ("fgsm", ""), ("bim", "linf"), ("pgd", "linf"))


def report(folders: list[Path]) -> None:
    """Renders, over all sub-samples, report.md, losses.csv and characteristics.png into the folder that holds theirs."""
    folder = folders[0].parent
    losses = pd.concat([characteristics.losses(read_results(each)) for each in folders], ignore_index=True)
    with replacing(folder / "losses.csv") as temporary:
        losses.to_csv(temporary, index=False)
    text = characteristics.report(losses)
    write_text(folder / "report.md", text)
    plots.save_figure(plots.characteristics_figure(losses), folder / "characteristics.png")
    print(f"{text}\nKept in {folder}: losses.csv, report.md, characteristics.png")
