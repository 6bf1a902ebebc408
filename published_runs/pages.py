"""Pages whose numbers come from the published rows, rendered from templates."""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from advrec_tf.leaderboard import comparison, promotion_page, stability_page
from advrec_tf.reporting import verdict_table
from advrec_tf.reporting.vocabulary import cell
from experiments.multistep import paper
from experiments.multistep.labels import MODELS
from experiments.today import baselines, surfaces_page
from published_runs import findings, measured

TEMPLATES = Path(__file__).parent / "templates"


def environment(rows: measured.Published) -> Environment:
    """Return the environment of the templates: the functions that read published rows."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.globals |= {
        "rows": rows.rows,
        "values": rows.values,
        "board": rows.board,
        "speed": rows.speed,
        "wall_time": rows.wall_time,
        "multistep": findings.MultiStep(rows),
        "lowrank": findings.LowRank(rows),
        "paper": measured.paper,
        "clear_sign": measured.clear_sign,
        "cell": cell,
        "PUBLISHED_SLOPES": paper.SLOPES,
        "MODELS": MODELS,
        "comparison": comparison,
        "folders": rows.folders,
        "promotion_page": promotion_page,
        "stability_page": stability_page,
        "baselines": baselines,
        "surfaces_page": surfaces_page,
        "verdict_table": verdict_table,
    }
    for name in ("estimate", "fixed", "percent"):
        made.filters[name] = getattr(measured, name)
    return made


def render(published: Path) -> dict[Path, str]:
    """Return the text of every page that has a template, by its path below the project.

    A page that reads runs ends with a line on them.
    """
    rows, texts = measured.Published(published), {}
    templates = environment(rows)
    for path in sorted(TEMPLATES.rglob("*.md.j2")):
        name = path.relative_to(TEMPLATES)
        rows.sources.clear()
        text = templates.get_template(name.as_posix()).render()
        if rows.sources:
            text = f"{text.rstrip()}\n\n{rows.last_line()}\n"
        texts[name.with_suffix("")] = text
    return texts
