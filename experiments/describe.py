"""Statistics of data sets, and of fake profiles."""

from typing import Any

from advrec_tf.execution.inputs import load_datasets
from advrec_tf.execution.runner import Page
from advrec_tf.poisoning import likeness
from advrec_tf.poisoning.reading import existing, read_profiles


def show(values: dict[str, Any]) -> int:
    """Print size, density, shape and popularity skew of each data set; return the exit status.

    For fake profiles, print what gives them away.
    Raises UserError for profiles of another catalogue than the data's.
    """
    datasets, skipped = load_datasets(values)
    for path in values["profiles"]:
        existing(path)
    for data in datasets:
        _print(data.name, data.statistics())
        for path in values["profiles"]:
            fakes = read_profiles(path, data)
            fakes.stacked_on(data)  # checks the catalogue
            statistics = fakes.statistics(data) | likeness(fakes, data)
            _print(f"{path} ({fakes.name}) beside {data.name}", statistics)
    return 1 if skipped else 0


def _print(name: str, values: dict[str, Any]) -> None:
    """Print a title, and a line for each value."""
    print(name)
    for label, value in values.items():
        if isinstance(value, float):
            value = f"{value:,.4f}"
        elif isinstance(value, int):
            value = f"{value:,}"
        print(f"  {label:<44} {value}")


EXPERIMENT = Page(show)
