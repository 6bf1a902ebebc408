"""Statistics of a data set, and of fake profiles."""

from pathlib import Path
from typing import Any

from advrec_tf.data import Interactions
from advrec_tf.poisoning import Profiles, likeness


def run(values: dict[str, Any], datasets: list[Interactions]) -> None:
    """Prints users, items, interactions, density, shape and popularity skew of each data set; and of fake profiles, what gives them away.

    Raises UserError for profiles of another catalogue than the data's.
    """
    profiles = [(path, Profiles.load(Path(path))) for path in values["profiles"]]
    for data in datasets:
        _show(data.name, data.statistics())
        for path, fakes in profiles:
            fakes.stacked_on(data)  # only a check
            _show(
                f"{path} ({fakes.name}) beside {data.name}",
                fakes.statistics(data) | likeness(fakes, data),
            )


def _show(name: str, values: dict[str, Any]) -> None:
    print(name)
    for label, value in values.items():
        shown = (
            f"{value:,.4f}"
            if isinstance(value, float)
            else f"{value:,}"
            if isinstance(value, int)
            else value
        )
        print(f"  {label:<44} {shown}")
