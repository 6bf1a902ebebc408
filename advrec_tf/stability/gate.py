"""A gate for releases: two trainings of one model, measured beside each other, and bounds."""

import re
from typing import NamedTuple

import numpy as np
import pandas as pd

from advrec_tf import evaluation, perturbations
from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.perturbations.arguments import Tables
from advrec_tf.stability.measures import epsilons, list_changes, units
from advrec_tf.stability.procrustes import aligned, check_rows

# What a bound can be set for. Of the quality of lists and of the radius it is after / before.
MEASURES = {
    "overlap": "share of the items of the lists that stay",
    "RBO": "rank-biased overlap of the lists",
    "same_list": "share of users whose list stays",
    "same_first": "share of users whose first item stays",
    "epsilon": "how far the factors have moved, in RMS row norms",
    "nDCG": "nDCG, after / before",
    "HR": "hit rate, after / before",
    "ICov": "distinct items in all lists, after / before",
    "radius": "median certified radius of the held-out items that were listed, after / before",
}
_BOUND = re.compile(r"\s*(\w+)\s*([<>])\s*([0-9]*\.?[0-9]+(?:e-?[0-9]+)?)\s*")


class Bound(NamedTuple):
    """A bound that breaks a release: measure < limit, or measure > limit."""

    measure: str
    sign: str
    limit: float

    def __str__(self) -> str:
        return f"{self.measure}{self.sign}{self.limit:g}"

    def breaks(self, value: float) -> bool:
        """Return whether a value is beyond the limit. NaN, which nobody can vouch for, is."""
        within = value >= self.limit if self.sign == "<" else value <= self.limit
        return not within


class Comparison(NamedTuple):
    """What changed between two trainings.

    values: MEASURES by name; before, after: quality of each; broken: the bounds that are exceeded
    """

    values: dict[str, float]
    before: dict[str, float]
    after: dict[str, float]
    broken: list[str]

    @property
    def table(self) -> pd.DataFrame:
        """The measures, with what they were before and after where they are ratios."""
        frame = pd.DataFrame({"value": self.values, "before": self.before, "after": self.after})
        return frame.reindex(list(MEASURES))


def parse_bound(text: str) -> Bound:
    """Return the bound that `measure<number` or `measure>number` says. Raises UserError."""
    match = _BOUND.fullmatch(text)
    if not match or match[1] not in MEASURES:
        raise UserError(
            f"--fail_if takes MEASURE<NUMBER or MEASURE>NUMBER with one of {', '.join(MEASURES)}, "
            f"not {text!r}"
        )
    return Bound(match[1], match[2], float(match[3]))


def compare(
    before: Tables,
    after: Tables,
    data: Interactions,
    k: int = 10,
    bounds: tuple[Bound, ...] = (),
) -> Comparison:
    """Return what changed from one pair of factors (P [U, D], Q [I, D]) to another of the same ids.

    The epsilon is that after the best orthogonal map (`procrustes.aligned`).  Certificates need one
    test item a user; elsewhere the radius is NaN.
    Raises UserError for trainings whose rows do not correspond.
    """
    first, second = (perturbations.quantized_canonical(*pair) for pair in (before, after))
    check_rows(first, second)
    lists = [evaluation.top_k(*pair, data, k) for pair in (first, second)]
    moved = epsilons(*aligned(first, second))["epsilon"]
    quality = [_quality(each, data) for each in lists]
    if data.has_one_test_item_each:
        edges = [_edges(pair, data, k) for pair in (first, second)]
        listed = edges[0] > 0
        for values, radii in zip(quality, edges):
            values["radius"] = float(np.median(radii[listed])) if listed.any() else np.nan
    ratios = {name: _ratio(quality[1][name], quality[0][name]) for name in quality[0]}
    values = {**list_changes(*lists), "epsilon": moved, **ratios}
    broken = [str(bound) for bound in bounds if bound.breaks(values.get(bound.measure, np.nan))]
    return Comparison(values, quality[0], quality[1], broken)


def _ratio(after: float, before: float) -> float:
    """Return after / before, 1 where they are equal, also if infinite, and NaN for before = 0."""
    if after == before:
        return 1.0
    return after / before if before else float("nan")


def _quality(lists: np.ndarray, data: Interactions) -> dict[str, float]:
    """Return the quality of lists."""
    metrics = evaluation.metrics(lists, data)
    return {"nDCG": metrics["nDCG"], "HR": metrics["RE"], "ICov": float(metrics["ICov"])}


def _edges(tables: Tables, data: Interactions, k: int) -> np.ndarray:
    """Return the epsilon up to which each held-out item is certified to stay in its list, [M]."""
    return evaluation.certified_radii(*tables, data, "l2", k, units(tables))[:, -1]
