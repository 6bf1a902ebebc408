"""Statistics of a data set."""

from advrec_tf.data import Interactions


def run(datasets: list[Interactions]) -> None:
    """Prints users, items, interactions, density, shape and popularity skew of each data set."""
    for data in datasets:
        print(data.name)
        for name, value in data.statistics().items():
            print(f"  {name:<30} {value:,.4f}" if isinstance(value, float) else f"  {name:<30} {value:,}")
