"""Statistics of a data set, and of fake profiles."""

from pathlib import Path

from advrec_tf.data import Interactions
from advrec_tf.poisoning import Profiles, likeness


def run(datasets: list[Interactions], profiles: list[Path]) -> None:
    """Prints users, items, interactions, density, shape and popularity skew of each data set; and of fake profiles, what gives them away.

    Raises UserError for profiles of another catalogue than the data's.
    """
    for data in datasets:
        _show(data.name, data.statistics())
        for path in profiles:
            fakes = Profiles.load(path)
            fakes.stacked_on(data)  # only a check
            _show(f"{path} ({fakes.name}) beside {data.name}", fakes.statistics(data) | likeness(fakes, data))


def _show(name: str, values: dict) -> None:
    print(name)
    for label, value in values.items():
        print(
            f"  {label:<44} {value:,.4f}"
            if isinstance(value, float)
            else f"  {label:<44} {value:,}"
            if isinstance(value, int)
            else f"  {label:<44} {value}"
        )
