"""The page of the controls: what another seed or order of users does beside a reconstruction."""

from collections.abc import Iterator

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from advrec_tf.evaluation import mean_interval
from advrec_tf.reporting.plots import panels
from advrec_tf.reporting.vocabulary import markdown, plain

from . import paper
from .plots import interval_reach

MATCHED, OTHER_SEEDS = "matched", "other seeds"
AS_MADE = "as made"  # the order of users in which the attack was made
_DEFENSE = ["defense", "patch", "rank"]
_METHODS = {"low_rank": ""}
_OPTIONS = {"drop": "incomplete patches dropped"}


def control_of(rows: pd.DataFrame) -> pd.Series:
    """Return the control of each row: `MATCHED`, `OTHER_SEEDS`, or an order of users.

    Matched rows have the attack's own seed and order of users.
    """
    reordered = rows["order"] != AS_MADE
    attack_seed = rows.loc[reordered, "seed"].min()
    as_made = np.where(rows["seed"] == attack_seed, MATCHED, OTHER_SEEDS)
    return rows["order"].where(reordered, as_made)


def by_control(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each attack, defence and control.

    Columns: mean, count, low and high, of target HR over victims with its 95% interval; ratio,
    to the matched undefended victim; emptied_users and emptied_fakes, means; name, of the defence.
    """
    rows = rows.assign(control=control_of(rows))
    keys = [*_DEFENSE, "attack", "control"]
    groups = rows.groupby(keys, sort=False, dropna=False)
    table = groups["target_HR"].agg(["mean", "count", list]).reset_index()
    table[["low", "high"]] = [mean_interval(values) for values in table.pop("list")]
    emptied = groups[["emptied_users", "emptied_fakes"]].mean().reset_index(drop=True)
    is_matched = (table["control"] == MATCHED) & (table["defense"] == "none")
    matched = table[is_matched].set_index("attack")["mean"]
    table = table.assign(
        ratio=table["mean"] / table["attack"].map(matched),
        name=[name_of(row) for _, row in table.iterrows()],
        **emptied,
    )
    order = [
        table["attack"] != "none",
        table["defense"] != "none",
        pd.factorize(table["defense"])[0],  # in the order in which they first occur
        table["patch"],
        table["rank"],
        pd.factorize(table["control"])[0],
    ]
    return table.iloc[np.lexsort(order[::-1])].reset_index(drop=True)


def published_ratios(dataset: str, attack: str) -> dict[str, float]:
    """Return the published target HR after each reconstruction over that before, by its name."""
    rows = paper.tables().query("metric == 'target_HR'")
    rows = rows[(rows["dataset"] == dataset) & (rows["attack"] == attack)]
    before = rows.loc[rows["defense"] == "none", "published"]
    after = rows[rows["defense"] == "low_rank"]
    return {name_of(row): row["published"] / before.iloc[0] for _, row in after.iterrows()}


def name_of(row: pd.Series) -> str:
    """Return a defence as shown: its method, unless it is reconstruction, setting and options."""
    method, *options = row["defense"].split(":")
    setting = [plain(row[name]) for name in ("patch", "rank") if plain(row[name])]
    shown = f"[{', '.join(setting)}]" if setting else ""
    listed = ", ".join(_OPTIONS.get(option, option) for option in options)
    return " ".join(filter(None, [_METHODS.get(method, method), shown, listed]))


def by_attack(rows: pd.DataFrame) -> Iterator[tuple[str, str, pd.DataFrame]]:
    """Yield each group of targets and attack, with their rows and those of clean data."""
    attacked = rows.loc[rows["attack"] != "none", ["group", "attack"]].drop_duplicates()
    for group, attack in attacked.itertuples(index=False):
        chosen = (rows["group"] == group) & rows["attack"].isin(["none", attack])
        yield group, attack, rows[chosen]


def page_text(rows: pd.DataFrame) -> str:
    """Return report.md: a table of each attack's controls, and the changes by each defence."""
    first = rows.iloc[0]
    parts = [
        "# Controls of local low-rank reconstruction\n",
        f"{first['dataset']}, target HR@{first['k']:.0f}. Matched: a victim of the first seed, "
        "users in the attack's order; RecSys20's surrogates have this seed too, unless flags say "
        "otherwise. Every other line changes nothing but that seed, or the order of users. Mean "
        "[95% over victim seeds, or over random orders with one victim seed], how many; "
        "ratio to matched and undefended; of the users and fakes that had clicks, those without "
        "any after the defence.\n",
    ]
    header = ["attack", "defence", "control", "target HR", "victims", "ratio", "printed ratio"]
    for group, attack, part in by_attack(rows):
        ratios = published_ratios(first["dataset"], attack)
        lines = [_control_line(row, ratios) for _, row in by_control(part).iterrows()]
        parts.append(f"\n## {attack}, targets of the {group.replace('_', ' ')}\n")
        parts.append(markdown([*header, "emptied users, fakes"], lines))
    return "\n".join([*parts, changes_text(rows)])


def _control_line(row: pd.Series, ratios: dict[str, float]) -> list[str]:
    """Return a line of the table.  ratios: the published ones by the name of a defence"""
    mean = f"{row['mean']:.4f}"
    if row["count"] > 1:
        mean += f" [{row['low']:.4f}, {row['high']:.4f}]"
    is_published = row["name"] in ratios and row["attack"] != "none"
    return [
        *(row["attack"], row["name"], row["control"], mean),
        *(f"{row['count']}", f"{row['ratio']:.2f}"),
        f"{ratios[row['name']]:.2f}" if is_published else "",
        f"{plain(row['emptied_users'])}, {plain(row['emptied_fakes'])}",
    ]


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what each defence changes of target HR, from the rows of one attack.

    seeds, mean, low, high: over victim seeds, users in the order as made (Student's 95% interval).
    clean: the same on clean data, the mean.  orders, orders_mean, least, most: victims of the
    attack's seed with users in other orders; they share a training seed and a set of profiles, so
    there is no interval.  fakes: those without a click after the defence, in the order as made.
    """
    keys, lines = ["attack", "seed", "order", "draw"], []
    before = rows[rows["defense"] == "none"].set_index(keys)["target_HR"]
    for _, point in rows.loc[rows["defense"] != "none", _DEFENSE].drop_duplicates().iterrows():
        after = rows[(rows[_DEFENSE] == point).all(axis=1)].set_index(keys)
        change = (after["target_HR"] - before.reindex(after.index)).dropna()
        is_attacked, is_as_made = _is_attacked(change), _is_as_made(change)
        seeds, orders = change[is_attacked & is_as_made], change[is_attacked & ~is_as_made]
        low, high = mean_interval(seeds)
        lines.append(
            {
                "name": name_of(point),
                "seeds": len(seeds),
                "mean": seeds.mean(),
                "low": low,
                "high": high,
                "clean": change[~is_attacked & is_as_made].mean(),
                "orders": len(orders),
                "orders_mean": orders.mean(),
                "least": orders.min(),
                "most": orders.max(),
                "fakes": after.loc[_is_attacked(after) & _is_as_made(after), "emptied_fakes"].max(),
            }
        )
    return pd.DataFrame(lines)


def _is_attacked(rows: pd.DataFrame | pd.Series) -> np.ndarray:
    return rows.index.get_level_values("attack") != "none"


def _is_as_made(rows: pd.DataFrame | pd.Series) -> np.ndarray:
    return rows.index.get_level_values("order") == AS_MADE


def changes_text(rows: pd.DataFrame) -> str:
    """Return `changes` of each attack and group as a table."""
    text, header = "", ["defence", "over victim seeds [95%]", "clean data", "fakes gone"]
    header.append("attack's seed, other orders of users: mean (least to most)")
    for group, attack, part in by_attack(rows):
        lines = [_change_line(row) for _, row in changes(part).iterrows()]
        title = f"{part['dataset'].iloc[0]}, {attack}, targets of the {group.replace('_', ' ')}"
        text += f"\n### Changes of target HR: {title}\n\n" + markdown(header, lines)
        text += "\n" + _without_defense(part, attack) if lines else ""
    return text


def _change_line(row: pd.Series) -> list[str]:
    """Return the cells of a defence, a row of `changes`: how it changes target HR.

    They are its name, the change over victim seeds and their number, the change on clean data, how
    many fakes lost all clicks, and the change and the number of victims with users in other orders.
    """
    mean = f"{row['mean']:+.4f}"
    if row["seeds"] > 1:
        mean += f" [{row['low']:+.4f}, {row['high']:+.4f}]"
    orders = ""
    if row["orders"]:
        extremes = f"{row['least']:+.4f} to {row['most']:+.4f}"
        orders = f"{row['orders_mean']:+.4f} ({extremes}), {row['orders']}"
    clean, fakes = f"{row['clean']:+.4f}", plain(row["fakes"])
    return [row["name"], f"{mean}, {row['seeds']}", clean, fakes, orders]


def _without_defense(rows: pd.DataFrame, attack: str) -> str:
    """Say what another seed or order alone leaves of the matched victim's target HR."""
    rows = rows[(rows["defense"] == "none") & (rows["attack"] != "none")]
    is_matched = control_of(rows) == MATCHED
    matched = rows.loc[is_matched, "target_HR"].mean()
    ratios = rows.loc[~is_matched, "target_HR"] / matched
    if ratios.empty:
        return ""
    text = (
        "Without any defence, another seed or order alone leaves a single victim "
        f"{ratios.min():.2f} to {ratios.max():.2f} of the matched one's target HR ({matched:.4f})"
    )
    published = published_ratios(rows["dataset"].iloc[0], attack).items()
    if published:
        listed = ", ".join(f"{ratio:.2f} for {name}" for name, ratio in published)
        text += f". The paper has {listed}"
    return f"{text}.\n"


def controls_figure(rows: pd.DataFrame) -> Figure:
    """Draw target HR of the first group and attack by defence, with a mark for each control.

    A grey line is target HR on clean data.
    """
    _, _, first = next(by_attack(rows))
    table = by_control(first)
    is_attacked = table["attack"] != "none"
    attacked = table[is_attacked]
    clean = table[~is_attacked].groupby("name", sort=False)["mean"].mean()
    defenses, controls = attacked["name"].unique().tolist(), attacked["control"].unique()
    figure, axes = panels(1, 1)
    axis = axes[0, 0]
    for index, control in enumerate(controls):
        part = attacked[attacked["control"] == control]
        shift = (index - (len(controls) - 1) / 2) / (len(controls) + 2)
        x = [defenses.index(name) + shift for name in part["name"]]
        reach = interval_reach(part, "mean")
        axis.errorbar(x, part["mean"], reach, fmt="o", markersize=4, capsize=2, label=control)
    middle = np.array([defenses.index(name) for name in clean.index])
    axis.hlines(clean, middle - 0.4, middle + 0.4, color="grey", label="clean data")
    axis.set_xticks(range(len(defenses)), defenses, rotation=20, ha="right", fontsize=8)
    axis.set_ylabel("target HR")
    axis.legend(fontsize=8, frameon=False, loc="center left", bbox_to_anchor=(1, 0.5))
    figure.set_size_inches(9, 4.2)
    return figure
