"""Pages with templates: their numbers come from the published rows, and they are up to date."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from jinja2 import nodes
from scipy import stats

from advrec_tf.reporting import published
from published_runs import findings, measured, pages

from running import ROOT

SHIPPED = ROOT / "published_runs"
SOURCES = sorted(pages.TEMPLATES.rglob("*.md.j2"))
NUMBER = re.compile(r"(?<![\w.])\d*\.\d+(?!\w|\.\w)|(?<![\w.])(?!(?:5|95)%)\d+%")

# Expressions whose constants select rows, and are not printed.
SELECTING = nodes.Call | nodes.Compare | nodes.Getitem | nodes.List | nodes.Tuple | nodes.Dict


def printed_constants(node: nodes.Node):
    """Yield the constants that an expression prints itself, not those that select rows."""
    if isinstance(node, nodes.Filter):
        yield from printed_constants(node.node)
    elif isinstance(node, nodes.Const):
        yield str(node.value)
    elif not isinstance(node, SELECTING):
        for child in node.iter_child_nodes():
            yield from printed_constants(child)


def texts(node: nodes.Node):
    """Yield what a template writes itself, an expression as the constants that it prints."""
    for child in node.iter_child_nodes():
        if isinstance(child, nodes.TemplateData):
            yield child.data
        elif isinstance(child, nodes.Expr):
            if isinstance(node, nodes.Output | nodes.Assign):
                yield " ".join([" X ", *printed_constants(child)])
        else:
            yield from texts(child)


def stray_numbers(source: str) -> list[str]:
    """Return the decimals and percentages of a template outside of code and paper()."""
    written = "".join(texts(pages.environment(measured.Published(SHIPPED)).parse(source)))
    written = re.sub(r"(?s)```.*?```", "", written)
    return NUMBER.findall(re.sub(r"`[^`\n]*`", "", written))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_template_holds_no_number_of_its_own(path):
    assert stray_numbers(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    ["nDCG is 0.0440.", "half: .5", "keeps 48% of it", "{{ 0.25 }}", "{{ '.5' }}",
     "{{ 0.5 | fixed(1) }}", "{% set x = 0.5 %}{{ x }}", "{% if a %}at 0.1{% endif %}",
     "{{ 2 * 0.5 }}", "{{ '0.1' if a else '' }}"],
)  # fmt: skip
def test_a_number_of_its_own_is_found(source):
    assert stray_numbers(source)


@pytest.mark.parametrize(
    "source",
    ["epsilon `0.5`", "```sh\nrun --epsilon=0.5\n```", '{{ paper("-96.10") }}', "1,000 epochs",
     "{{ values('a', 'b', epsilon=0.5) | estimate(1) }}", "version 0.12.0 of 5.1.1",
     "the 95% interval",
     "{% for e in [0.5] %}{{ f(e) }}{% endfor %}"],
)  # fmt: skip
def test_code_quotations_and_keys_are_no_such_numbers(source):
    assert not stray_numbers(source)


def test_what_ships_is_rendered_from_the_shipped_rows():
    rendered = pages.render(SHIPPED)
    assert Path("README.md") in rendered and len(rendered) == len(SOURCES)
    for place, text in rendered.items():
        assert text.splitlines()[-1].startswith("Measured with: version"), place
        assert text == (ROOT / place).read_text(), f"{place}: python published_runs/publish.py"


# What the templates use


@pytest.fixture
def small(tmp_path):
    folder = tmp_path / "paper" / "table" / "data"
    folder.mkdir(parents=True)
    header, lines = "model,seed,epsilon,column,value", ["A,0,0.1,x,1", "A,1,0.1,x,2", "A,1,0.1,x,4"]
    lines += ["A,0,,x,7", "B,0,0.1,y,9"]
    (folder / "results.csv").write_text("\n".join([header, *lines]))
    (folder / "config.json").write_text("{}")
    return measured.Published(tmp_path)


def test_values_are_means_by_replicate_of_the_selected_rows(small):
    place = "paper/table/data"
    assert small.values(place, "value", model="A", epsilon=0.1).to_dict() == {0: 1.0, 1: 3.0}
    assert small.values(place, "value", model="A", epsilon=None).to_dict() == {0: 7.0}
    either = small.values(place, "value", column=["x", "y"], per="model")
    assert either.to_dict() == {"A": 3.5, "B": 9.0}


def test_what_a_page_reads_are_its_sources(small):
    assert small.sources == set()
    small.values("paper/table/data", "value", model="A")
    assert small.sources == {small.folder / "paper/table/data"}


def test_a_value_that_was_not_measured_is_an_error(small):
    with pytest.raises(ValueError, match="no row with {'model': 'C'}"):
        small.values("paper/table/data", "value", model="C")


def test_an_estimate_has_student_s_interval():
    assert measured.estimate(pd.Series([1.0, 2.0, 3.0]), 2) == "2.00 [-0.48, 4.48]"  # t(2) = 4.303
    assert measured.estimate(pd.Series([0.5]), 1, "+", "%") == "+0.5%"


def test_a_sign_is_clear_where_the_interval_leaves_zero_out():
    values = pd.Series([1.0, 2.0, 3.0])  # the interval reaches 2.48 to either side of the mean
    assert [measured.clear_sign(values + shift) for shift in (1, 0, -4, -5)] == [1, 0, 0, -1]


CLEAN, TEST = ("", "", 0.0), ("test", "l2", 0.01)


def test_a_board_ranks_from_its_rows():
    values = {"A": (0.5, 0.1), "B": (0.4, 0.3), "C": (0.3, 0.2)}
    worst = [
        (entry, seed, *condition, nDCG + seed / 100)
        for seed in (0, 1)
        for entry, own in values.items()
        for condition, nDCG in zip((CLEAN, TEST), own)
    ]
    columns = ["entry", "seed", "threat", "ball", "rho", "nDCG"]
    shares = pd.DataFrame({"entry": ["A", "B"], "by": "user activity", "of": "test, l2 0.01"})
    board = measured.Board(
        pd.DataFrame(worst, columns=columns),
        pd.DataFrame({"first": ["B", "B"], "second": ["A", "C"]}),
        shares.assign(**{"quartile 1": [0.2, 0.7]}),
    )
    assert board.compared == "B" and board.has("A", "B") and not board.has("A", "D")
    assert board.ranking(CLEAN).to_dict() == pytest.approx({"A": 0.505, "B": 0.405, "C": 0.305})
    assert board.ranking(TEST).index.tolist() == ["B", "C", "A"]
    assert board.gain("C", "B", TEST).tolist() == pytest.approx([0.1, 0.1])
    assert board.protects("B", "user activity", TEST)["quartile 1"] == 0.7
    assert board.spotlight(TEST) == ["B", "A", "AMF", "BPR-MF"]


def test_agreement_counts_what_is_near_inside_and_either():
    multistep = findings.MultiStep(measured.Published(SHIPPED))
    cells = pd.read_csv(SHIPPED / "multi_step/table1/ml-1m/cells.csv")
    cells = cells[(cells["selection"] == "best") & (cells["draw"] == 0)]
    for name, fgsm in {"of Eq. 4": "fgsm", "after PGD": "fgsm after pgd"}.items():
        near, inside = set(), set()
        for row in published.table1().itertuples():
            column = fgsm if row.column == "fgsm" else row.column
            own = cells[(cells["model"] == row.model) & (cells["metric"] == row.metric)]
            values = own[own["column"] == column]["value"]
            if row.dataset == "ml-1m":
                t = stats.ttest_1samp(values, row.published)
                near |= {row.Index} if abs(values.mean() / row.published - 1) <= 0.05 else set()
                inside |= {row.Index} if t.pvalue >= 0.05 else set()
        counts = len(near), len(inside), len(near | inside)
        found = multistep.agreements("ml-1m").loc[("best", name)]
        assert found[["cells", "near", "inside", "either"]].tolist() == [48, *counts]


def test_a_matched_victim_is_what_others_are_compared_with(tmp_path):
    folder = tmp_path / "lowrank" / "lowrank_controls" / "data"
    folder.mkdir(parents=True)
    header = "attack,defense,order,seed,target_HR"
    lines = ["a,none,as made,0,0.4", "a,none,as made,1,0.3"]
    lines += ["a,none,permuted,0,0.1", "a,none,permuted,0,0.3"]
    lines += ["a,low_rank,as made,0,0.3", "a,low_rank,as made,1,0.1"]
    (folder / "results.csv").write_text("\n".join([header, *lines]))
    (folder / "config.json").write_text("{}")
    lowrank = findings.LowRank(measured.Published(tmp_path))
    beside = lowrank.beside_matched("data", "a").to_dict()
    assert beside == pytest.approx({"as made": 0.75, "permuted": 0.5})
    assert np.allclose(lowrank.effect("data", "low_rank", "a", "target_HR"), [-0.1, -0.2])
