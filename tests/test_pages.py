"""Pages with templates: their numbers come from the published rows, and they are up to date."""

import re

import pytest
from jinja2 import nodes

from published_runs import measured, pages

from rows import write_run
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
    """Return the decimals and percentages of a template outside of code, links and paper()."""
    written = "".join(texts(pages.environment(measured.Published(SHIPPED)).parse(source)))
    written = re.sub(r"(?s)```.*?```", "", written)
    return NUMBER.findall(re.sub(r"`[^`\n]*`|\]\([^)\n]*\)", "", written))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_a_template_holds_no_number_of_its_own(path):
    assert stray_numbers(path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "nDCG is 0.0440.",
        "half: .5",
        "keeps 48% of it",
        "{{ 0.25 }}",
        "{{ '.5' }}",
        "{{ 0.5 | fixed(1) }}",
        "{% set x = 0.5 %}{{ x }}",
        "{% if a %}at 0.1{% endif %}",
        "{{ 2 * 0.5 }}",
        "{{ '0.1' if a else '' }}",
    ],
)
def test_a_number_of_its_own_is_found(source):
    assert stray_numbers(source)


@pytest.mark.parametrize(
    "source",
    [
        "epsilon `0.5`",
        "```sh\nrun --epsilon=0.5\n```",
        '{{ paper("-96.10") }}',
        "1,000 epochs",
        "{{ values('a', 'b', epsilon=0.5) | estimate(1) }}",
        "version 0.12.0 of 5.1.1",
        "the 95% interval",
        "{% for e in [0.5] %}{{ f(e) }}{% endfor %}",
    ],
)
def test_code_quotations_and_keys_are_no_such_numbers(source):
    assert not stray_numbers(source)


SECTION = "### Variance of the attacks"


def beside_what_ships(folder, lines):
    """Return docs/measured.md of all that ships, with these rows of `poison` on both data sets."""
    (folder / "lowrank").mkdir(parents=True)
    for path in (
        path
        for path in (*SHIPPED.iterdir(), *(SHIPPED / "lowrank").iterdir())
        if path.name not in ("lowrank", "poison")
    ):
        (folder / path.relative_to(SHIPPED)).symlink_to(path)
    for dataset, k in (("gowalla", 50), ("ml-100k", 10)):
        header = "dataset,model,group,attack,k,attack_seed,seed,target_HR"
        own = [f"{dataset},WRMF,head,{line.replace('K', str(k))}" for line in lines]
        write_run(
            folder / "lowrank/poison" / dataset, header, *own, f"{dataset},,head,recsys20,,0,,"
        )
    return (
        pages.environment(measured.Published(folder)).get_template("docs/measured.md.j2").render()
    )


def test_the_variance_of_attacks_is_shown_where_several_seeds_of_them_ship(tmp_path):
    one = ["none,K,,0,0.1", "none,K,,1,0.1", "recsys20,K,0,0,0.1", "recsys20,K,0,1,0.2"]
    page = beside_what_ships(tmp_path / "two", [*one, "recsys20,K,4,0,0.2", "recsys20,K,4,1,0.4"])
    # means .15 and .3: 0.225 -+ 12.706 * 0.10607 / root 2
    # squares of .005 + .02 on 2 degrees of freedom
    spreads = "0.2250 [-0.7280, 1.1780] | 0.1061 | 0.1118"
    for dataset, k in (("gowalla", 50), ("ml-100k", 10)):
        assert f"| {dataset} | head | recsys20 | 2 | 2 | {k} | {spreads} |\n" in page
    assert page.count("\n| gowalla | head |") == 1 and f"\n\n{SECTION}\n\n" in page
    assert (
        "no interval but that of the section on the variance of the attacks contains the variance "
        "of the attack itself" in page
    )
    without = beside_what_ships(tmp_path / "one", one)
    assert SECTION not in without and "so no interval contains the variance" in without
