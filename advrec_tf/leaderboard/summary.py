"""The findings of a leaderboard: tables, and what each threat model leaves in words."""

from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from advrec_tf.evaluation import mean_interval
from advrec_tf.leaderboard.measuring import VERSION
from advrec_tf.leaderboard.worst_case import GROUPS, THREAT_MODELS, halving_epsilon, quartiles
from advrec_tf.reporting.vocabulary import BASELINES, markdown, number

VERDICT_EPSILON = 0.05  # of the l2 ball; tables are ordered by it
EXPLAINED = (
    "Epsilon bounds each row of a perturbation (l2) or each of its elements (linf). It is "
    "relative: a share of the root mean square of the table's row norms, for normalised factors, "
    "so no scale, basis or shift of the factors changes a figure. Each cell is the worst of an "
    "ensemble of attacks, and never above the clean value, because an attacker can do nothing. "
    "The true worst case lies between this cell and the certificate, where there is one."
)


def table(rows: pd.DataFrame, threat_model: str, value: str = "nDCG") -> pd.DataFrame:
    """Return a value of every entry: clean, and at every epsilon of a threat model.

    Means over seeds, the entry that keeps most at VERDICT_EPSILON first.  Of "certified_nDCG" the
    clean column has nDCG.

    rows: of `worst_cases`
    """
    metric = "nDCG" if value == "certified_nDCG" else value
    clean = rows[rows["threat_model"] == ""].groupby("entry")[metric].mean()
    attacked = rows[rows["threat_model"] == threat_model]
    wide = attacked.pivot_table(index="entry", columns=["ball", "epsilon"], values=value)
    wide.columns = [f"{ball} {epsilon:.4g}" for ball, epsilon in wide.columns]
    ordered = wide.assign(clean=clean)[["clean", *wide.columns]]
    return ordered.sort_values(verdict_column(wide), ascending=False)


def verdict_column(wide: pd.DataFrame) -> str:
    """Return the column of a `table` by which entries are ordered."""
    columns = [name for name in wide.columns if name != "clean"]
    wanted = f"l2 {VERDICT_EPSILON:g}"
    return wanted if wanted in columns else columns[0]


def threat_models(rows: pd.DataFrame) -> dict[str, str]:
    """Return those of THREAT_MODELS that were measured."""
    measured = set(rows["threat_model"])
    return {name: knows for name, knows in THREAT_MODELS.items() if name in measured}


def verdicts(rows: pd.DataFrame) -> list[str]:
    """Say for each threat model, `test` first, which entry keeps most.

    The most accurate entry and a better baseline are named beside it.
    """
    sentences, factors = [], rows[~rows["entry"].isin(BASELINES)]
    factors = rows if factors.empty else factors
    for threat_model, knows in sorted(threat_models(rows).items(), key=lambda x: x[0] != "test"):
        wide = table(factors, threat_model)
        column, winner = verdict_column(wide), wide.index[0]
        accurate = wide.sort_index()["clean"].idxmax()  # of equal lists the shortest name
        kept = _kept(wide, winner, column)
        text = f"Against an attacker who {knows}, at {column}, {winner} keeps most ({kept})."
        if winner != accurate:
            text += f" The most accurate entry, {accurate}, keeps {_kept(wide, accurate, column)}."
        text += _baseline(rows, threat_model, column, wide.loc[winner, column])
        sentences.append(text)
    return sentences


def _kept(wide: pd.DataFrame, entry: str, column: str) -> str:
    """Return the nDCG that an entry keeps, of its clean nDCG, as text.

    wide: of `table`; column: one of its columns
    """
    return f"{number(wide.loc[entry, column])} of {number(wide.loc[entry, 'clean'])}"


def _baseline(rows: pd.DataFrame, threat_model: str, column: str, winner: float) -> str:
    """Name the baseline that has more nDCG than the winner, "" where there is none.

    Its value is that under the same attack, or the clean one where it was not attacked.
    """
    baselines = rows[rows["entry"].isin(BASELINES)]
    values = baselines[baselines["threat_model"] == ""].groupby("entry")["nDCG"].mean()
    attacked = pd.Series(dtype=float)
    if threat_model in set(baselines["threat_model"]):
        attacked = table(baselines, threat_model)[column]
        values = attacked.reindex(values.index).fillna(values)
    if values.empty or values.max() <= winner:
        return ""
    best = values.idxmax()
    how = "under the same attack" if best in attacked.index else "clean"
    return f" {best}, which learns next to nothing, has {number(values[best])} {how}."


class Section(NamedTuple):
    """A table of a report, and the metric in its cells."""

    title: str
    table: pd.DataFrame
    metric: str = "nDCG"

    def format_cell(self, value: float) -> str:
        """Return a cell as text."""
        return number(value, self.metric)


def sections(rows: pd.DataFrame) -> list[Section]:
    """Return the tables of a report."""
    k = f"@{rows['k'].iloc[0]:.0f}"
    parts = [
        Section(f"{name}: worst nDCG{k} against an attacker who {knows}", table(rows, name))
        for name, knows in threat_models(rows).items()
    ]
    if rows["certified_nDCG"].notna().any():
        title = f"Certified nDCG{k}: what no attack can take"
        parts.append(Section(title, table(rows, "test", "certified_nDCG")))
    parts.append(
        Section("Epsilon in the l2 ball at which half of nDCG is lost", halving_epsilon(rows))
    )
    least = f"where an attacker who {THREAT_MODELS['train']} leaves least nDCG"
    for name in ("ICov", "EFD", "SE"):
        parts.append(Section(f"{name} {least}", table(rows, "train", name), name))
    shown = verdict_column(table(rows, "test"))
    for by in GROUPS:
        title = f"Who pays: nDCG by quartile of {by} (1: least), clean and under test at {shown}"
        parts.append(Section(title, _paying(rows, by, shown)))
    return parts


def _paying(rows: pd.DataFrame, by: str, shown: str) -> pd.DataFrame:
    """Return mean nDCG by quartile of users, clean and under the test threat model, a row an entry.

    by: one of GROUPS; shown: the ball and epsilon of the attack, such as `l2 0.02`
    """
    groups = quartiles(rows)
    attacked = (groups["threat_model"] == "test") & (_sizes(groups) == shown)
    groups = groups[(groups["by"] == by) & ((groups["threat_model"] == "") | attacked)]
    wide = groups.pivot_table(index="entry", columns=["threat_model", "quartile"], values="nDCG")
    wide.columns = [f"{quartile}, {name or 'clean'}" for name, quartile in wide.columns]
    return wide


def _sizes(rows: pd.DataFrame) -> pd.Series:
    """Return ball and epsilon of each row as text, such as `l2 0.02`."""
    epsilons = rows["epsilon"].map("{:.4g}".format).astype(str)  # str also where there is no row
    return rows["ball"] + " " + epsilons


def warnings(rows: pd.DataFrame) -> list[str]:
    """Return where the ensemble may be too weak, and why, one line per entry and reason."""
    flagged = rows[rows["warnings"] != ""]
    flagged = flagged.assign(condition=flagged["threat_model"] + ", " + _sizes(flagged))
    lines = []
    for (entry, flags), part in flagged.groupby(["entry", "warnings"]):
        lines.append(f"{entry}: {flags} ({'; '.join(part['condition'].unique())})")
    return lines


def older(record: dict[str, Any] | None) -> str:
    """Say that a board was measured with an earlier version of the ensemble, or return "".

    record: of `read_record`
    """
    version = ((record or {}).get("config") or {}).get("versions", {}).get("robustness", VERSION)
    if version == VERSION:
        return ""
    return (
        f"This board was measured with version {version} of the ensemble. Version {VERSION} is "
        "stronger: it leaves less, so no figure here can be compared with one of a board of that "
        "version."
    )


def report(rows: pd.DataFrame, dataset: str) -> str:
    """Return report.md without the findings in words."""
    parts = [f"# Robustness of factors on {dataset}\n", f"\n{EXPLAINED}\n"]
    for section in sections(rows):
        header = ["entry", *section.table.columns]
        cells = [
            [str(name), *map(section.format_cell, row)] for name, row in section.table.iterrows()
        ]
        parts.append(f"\n## {section.title}\n\n{markdown(header, cells)}")
    title = "Clean and worst nDCG: mean over trainings [95% over trainings, not corrected]"
    parts.append(f"\n## {title}\n\n{_over_trainings(rows)}")
    if lines := warnings(rows):
        listed = "\n".join(f"- {line}" for line in lines)
        parts.append(f"\n## Where the ensemble may be too weak\n\n{listed}\n")
    return "\n".join(parts)


def _over_trainings(rows: pd.DataFrame) -> str:
    """Return a table of each entry's nDCG over seeds, clean and at the l2 VERDICT_EPSILON."""
    at_verdict = (rows["ball"] == "l2") & np.isclose(rows["epsilon"], VERDICT_EPSILON)
    names, lines = threat_models(rows), []
    for entry, part in rows[(rows["threat_model"] == "") | at_verdict].groupby("entry"):
        cells = [_interval(part[part["threat_model"] == name]["nDCG"]) for name in ("", *names)]
        lines.append([str(entry), str(part["seed"].nunique()), *cells])
    header = ["entry", "trainings", "clean"]
    return markdown(header + [f"{name}, l2 {VERDICT_EPSILON:g}" for name in names], lines)


def _interval(values: pd.Series) -> str:
    """Return the mean over seeds with its 95% interval as text; one seed has no interval."""
    if len(values) < 2:
        return "" if values.empty else number(values.iloc[0])
    low, high = mean_interval(values.to_numpy())
    return f"{number(values.mean())} [{number(low)}, {number(high)}]"
