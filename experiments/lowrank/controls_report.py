"""What a printed effect of reconstruction comes from: victims of other seeds and users in other orders."""

import numpy as np
import pandas as pd

from advrec_tf.evaluation import mean_interval
from advrec_tf.reporting.vocabulary import markdown, plain

from . import paper

MATCHED, OTHER_SEEDS = "matched", "other seeds"
_DEFENSE = ["defense", "patch", "rank"]
_METHODS = {"low_rank": ""}
_OPTIONS = {"drop": "incomplete patches dropped"}


def control_of(rows: pd.DataFrame) -> pd.Series:
    """Which control each row is: `MATCHED` has the attack's own seed and its order of users, "other seeds" the same order, and each other order has
    the attack's seed."""
    matched = rows.loc[rows["order"] != "as made", "seed"].min()
    return rows["order"].where(
        rows["order"] != "as made", np.where(rows["seed"] == matched, MATCHED, OTHER_SEEDS)
    )


def table(rows: pd.DataFrame, metric: str = "target_HR") -> pd.DataFrame:
    """Of the attacked and the clean data, by defence and control: mean, 95% interval, victims, and the ratio to `MATCHED` undefended."""
    rows = rows.assign(control=control_of(rows))
    keys = [*_DEFENSE, "attack", "control"]
    found = (
        rows.groupby(keys, sort=False, dropna=False)[metric]
        .agg(["mean", "count", list])
        .reset_index()
    )
    found[["low", "high"]] = [mean_interval(values) for values in found.pop("list")]
    emptied = (
        rows.groupby(keys, sort=False, dropna=False)[["emptied_users", "emptied_fakes"]]
        .mean()
        .reset_index(drop=True)
    )
    places = [
        {name: place for place, name in enumerate(dict.fromkeys(found[column]))}
        for column in ("defense", "control")
    ]
    by = [
        found["attack"] != "none",
        found["defense"] != "none",
        found["defense"].map(places[0]),
        found["patch"],
        found["rank"],
    ]
    order = np.lexsort([found["control"].map(places[1]), *reversed(by)])
    base = found[(found["control"] == MATCHED) & (found["defense"] == "none")].set_index("attack")[
        "mean"
    ]
    found = found.assign(
        ratio=found["mean"] / found["attack"].map(base),
        name=[name_of(row) for _, row in found.iterrows()],
        **emptied,
    )
    return found.iloc[order].reset_index(drop=True)


def printed_ratios(dataset: str, attack: str) -> dict[str, float]:
    """The paper's target HR after each reconstruction over that before, by its name."""
    rows = paper.tables()
    rows = rows[
        (rows["dataset"] == dataset) & (rows["metric"] == "target_HR") & (rows["attack"] == attack)
    ]
    before = rows.loc[rows["defense"] == "none", "published"]
    own = rows[rows["defense"] == "low_rank"]
    return {name_of(row): row["published"] / before.iloc[0] for _, row in own.iterrows()}


def name_of(row: pd.Series) -> str:
    """A defence as shown: its method, unless it is reconstruction, its setting and its options."""
    method, *options = row["defense"].split(":")
    setting = [plain(row[name]) for name in ("patch", "rank") if plain(row[name])]
    where = f"[{', '.join(setting)}]" if setting else ""
    listed = ", ".join(_OPTIONS.get(option, option) for option in options)
    return " ".join(filter(None, [_METHODS.get(method, method), where, listed]))


def parts_of(rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """The group of targets, the attack, and the rows of both on clean and attacked data, of each that was measured."""
    attacks = [
        (group, attack) for group, attack in zip(rows["group"], rows["attack"]) if attack != "none"
    ]
    return [
        (g, a, rows[(rows["group"] == g) & rows["attack"].isin(["none", a])])
        for g, a in dict.fromkeys(attacks)
    ]


def report(rows: pd.DataFrame) -> str:
    """report.md of the controls: of each attack a line a defence and control, and what they say."""
    text = [
        "# Controls of local low-rank reconstruction\n",
        f"{rows['dataset'].iloc[0]}, target HR@{rows['k'].iloc[0]:.0f}. Matched: a victim of the first seed, users in the attack's order; RecSys20's "
        "surrogates have this seed too, unless flags say otherwise. Every other line changes nothing but that seed, or the order of users. Mean "
        "[95% over victim seeds, or over random orders with one victim seed], how many; "
        "ratio to matched and undefended; of the users and fakes that had clicks, those without any after the defence.\n",
    ]
    for group, attack, part in parts_of(rows):
        found, ratios, lines = table(part), printed_ratios(rows["dataset"].iloc[0], attack), []
        for _, row in found.iterrows():
            interval = f" [{row['low']:.4f}, {row['high']:.4f}]" if row["count"] > 1 else ""
            printed = (
                f"{ratios[row['name']]:.2f}"
                if row["name"] in ratios and row["attack"] != "none"
                else ""
            )
            emptied = f"{plain(row['emptied_users'])}, {plain(row['emptied_fakes'])}"
            cells = [
                f"{row['mean']:.4f}{interval}",
                f"{row['count']}",
                f"{row['ratio']:.2f}",
                printed,
                emptied,
            ]
            lines.append([row["attack"], row["name"], row["control"], *cells])
        text.append(f"\n## {attack}, targets of the {group.replace('_', ' ')}\n")
        text.append(
            markdown(
                [
                    "attack",
                    "defence",
                    "control",
                    "target HR",
                    "victims",
                    "ratio",
                    "printed ratio",
                    "emptied users, fakes",
                ],
                lines,
            )
        )
    return "\n".join([*text, report_of_changes(rows)])


def changes(rows: pd.DataFrame) -> pd.DataFrame:
    """What each defence changes of target HR, of rows of one attack: a line for each defence.

    seeds, mean, low, high: over victim seeds, users in the order as made (Student's 95% interval).
    clean: the same on clean data, the mean.  orders, orders_mean, least, most: victims of the
    attack's seed with users in other orders; they share a training seed and a set of profiles, so
    there is no interval.  fakes: fake users without a click after the defence, in the order as made.
    """
    keys, found = ["attack", "seed", "order", "draw"], []
    before = rows[rows["defense"] == "none"].set_index(keys)["target_HR"]
    for _, point in rows.loc[rows["defense"] != "none", _DEFENSE].drop_duplicates().iterrows():
        own = rows[(rows[_DEFENSE] == point).all(axis=1)].set_index(keys)
        change = (own["target_HR"] - before.reindex(own.index)).dropna().reset_index(name="change")
        attacked, made = change["attack"] != "none", change["order"] == "as made"
        seeds, orders = (
            change.loc[attacked & made, "change"],
            change.loc[attacked & ~made, "change"],
        )
        low, high = mean_interval(seeds)
        line = {
            "name": name_of(point),
            "seeds": len(seeds),
            "mean": seeds.mean(),
            "low": low,
            "high": high,
        }
        line |= {"clean": change.loc[~attacked & made, "change"].mean(), "orders": len(orders)}
        line |= {"orders_mean": orders.mean(), "least": orders.min(), "most": orders.max()}
        there = own.index.get_level_values("attack") != "none"
        there &= own.index.get_level_values("order") == "as made"
        found.append(line | {"fakes": own.loc[there, "emptied_fakes"].max()})
    return pd.DataFrame(found)


def report_of_changes(rows: pd.DataFrame) -> str:
    """`changes` of each attack and group as a table."""
    text, header = "", ["defence", "over victim seeds [95%]", "clean data", "fakes gone"]
    header.append("attack's seed, other orders of users: mean (least to most)")
    for group, attack, part in parts_of(rows):
        lines = []
        for _, row in changes(part).iterrows():
            interval = "" if row["seeds"] < 2 else f" [{row['low']:+.4f}, {row['high']:+.4f}]"
            orders = f"{row['orders_mean']:+.4f} ({row['least']:+.4f} to {row['most']:+.4f}), {row['orders']}"
            cells = [f"{row['mean']:+.4f}{interval}, {row['seeds']}", f"{row['clean']:+.4f}"]
            lines.append(
                [row["name"], *cells, plain(row["fakes"]), orders if row["orders"] else ""]
            )
        title = f"{part['dataset'].iloc[0]}, {attack}, targets of the {group.replace('_', ' ')}"
        text += f"\n### Changes of target HR: {title}\n\n" + markdown(header, lines)
        text += "\n" + _seed_alone(part, attack) if lines else ""
    return text


def _seed_alone(rows: pd.DataFrame, attack: str) -> str:
    """What another seed or order alone leaves of the matched victim's target HR, in words."""
    own = rows[(rows["defense"] == "none") & (rows["attack"] != "none")]
    matched = own.loc[control_of(own) == MATCHED, "target_HR"].mean()
    ratios = own.loc[control_of(own) != MATCHED, "target_HR"] / matched
    if ratios.empty:
        return ""
    text = (
        f"Without any defence, another seed or order alone leaves a single victim {ratios.min():.2f} to "
        f"{ratios.max():.2f} of the matched one's target HR ({matched:.4f})"
    )
    printed = printed_ratios(rows["dataset"].iloc[0], attack).items()
    said = ", ".join(f"{ratio:.2f} for {name}" for name, ratio in printed)
    return f"{text}; the paper prints {said}.\n" if said else f"{text}.\n"
