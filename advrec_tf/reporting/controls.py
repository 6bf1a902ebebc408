"""What a printed effect of reconstruction comes from: victims of other seeds and users in other orders."""

import numpy as np
import pandas as pd

from advrec_tf.evaluation import mean_interval
from advrec_tf.reporting import published
from advrec_tf.reporting.vocabulary import markdown, plain

MATCHED, OTHER_SEEDS = "matched", "other seeds"
_DEFENSE = ["defense", "patch", "rank"]


def control_of(rows: pd.DataFrame) -> pd.Series:
    """Which control each row is: `MATCHED` has the attack's own seed and its order of users, "other seeds" the same order, and each other order has
    the attack's seed."""
    matched = rows.loc[rows["order"] != "as made", "seed"].min()
    return rows["order"].where(rows["order"] != "as made", np.where(rows["seed"] == matched, MATCHED, OTHER_SEEDS))


def table(rows: pd.DataFrame, metric: str = "target_HR") -> pd.DataFrame:
    """Of the attacked and the clean data, by defence and control: mean, 95% interval, victims, and the ratio to `MATCHED` undefended."""
    rows = rows.assign(control=control_of(rows))
    keys = [*_DEFENSE, "attack", "control"]
    found = rows.groupby(keys, sort=False, dropna=False)[metric].agg(["mean", "count", list]).reset_index()
    found[["low", "high"]] = [mean_interval(values) for values in found.pop("list")]
    emptied = rows.groupby(keys, sort=False, dropna=False)[["emptied_users", "emptied_fakes"]].mean().reset_index(drop=True)
    places = [{name: place for place, name in enumerate(dict.fromkeys(found[column]))} for column in ("defense", "control")]
    by = [found["attack"] != "none", found["defense"] != "none", found["defense"].map(places[0]), found["patch"], found["rank"]]
    order = np.lexsort([found["control"].map(places[1]), *reversed(by)])
    base = found[(found["control"] == MATCHED) & (found["defense"] == "none")].set_index("attack")["mean"]
    found = found.assign(ratio=found["mean"] / found["attack"].map(base), name=[_name(row) for _, row in found.iterrows()], **emptied)
    return found.iloc[order].reset_index(drop=True)


def printed_ratios(dataset: str, attack: str) -> dict[str, float]:
    """The paper's target HR after each reconstruction over that before, by its name."""
    rows = published.lowrank()
    rows = rows[(rows["dataset"] == dataset) & (rows["metric"] == "target_HR") & (rows["attack"] == attack)]
    before = rows.loc[rows["defense"] == "none", "published"]
    own = rows[rows["defense"] == "low_rank"]
    return {_name(row): row["published"] / before.iloc[0] for _, row in own.iterrows()}


def _name(row) -> str:
    where = "" if not row["patch"] else f"[{row['patch']}, {row['rank']:.0f}]"
    reading = str(row["defense"]).removeprefix("low_rank").strip(":").replace(":", ", ").replace("drop", "incomplete patches dropped")
    return "none" if row["defense"] == "none" else " ".join(part for part in (where, reading) if part)


def parts_of(rows: pd.DataFrame) -> list[tuple[str, str, pd.DataFrame]]:
    """The group of targets, the attack, and the rows of both on clean and attacked data, of each that was measured."""
    attacks = [(group, attack) for group, attack in zip(rows["group"], rows["attack"]) if attack != "none"]
    return [(g, a, rows[(rows["group"] == g) & rows["attack"].isin(["none", a])]) for g, a in dict.fromkeys(attacks)]


def report(rows: pd.DataFrame) -> str:
    """report.md of the controls: of each attack a line a defence and control, and what they say."""
    text = [
        "# Controls of local low-rank reconstruction\n",
        f"{rows['dataset'].iloc[0]}, target HR@{rows['k'].iloc[0]:.0f}. Matched: a victim of the first seed, users in the attack's order; RecSys20's "
        "surrogates have this seed too, unless flags say otherwise. Every other line changes nothing but that seed, or the order of users. Mean "
        "[95%], how many; ratio to matched and undefended; of the users and fakes that had clicks, those without any after the defence.\n",
    ]
    for group, attack, part in parts_of(rows):
        found, ratios, lines = table(part), printed_ratios(rows["dataset"].iloc[0], attack), []
        for _, row in found.iterrows():
            interval = f" [{row['low']:.4f}, {row['high']:.4f}]" if row["count"] > 1 else ""
            printed = f"{ratios[row['name']]:.2f}" if row["name"] in ratios and row["attack"] != "none" else ""
            emptied = f"{plain(row['emptied_users'])}, {plain(row['emptied_fakes'])}"
            cells = [f"{row['mean']:.4f}{interval}", f"{row['count']}", f"{row['ratio']:.2f}", printed, emptied]
            lines.append([row["attack"], row["name"], row["control"], *cells])
        text.append(f"\n## {attack}, targets of the {group.replace('_', ' ')}\n")
        text.append(markdown(["attack", "defence", "control", "target HR", "victims", "ratio", "printed ratio", "emptied users, fakes"], lines))
        text += ["\n### What they say\n", *(f"- {sentence}" for sentence in findings(part, found, ratios)), ""]
    return "\n".join(text)


def findings(rows: pd.DataFrame, found: pd.DataFrame, ratios: dict[str, float]) -> list[str]:
    """The sentences that the figures allow."""
    attacked, said = found[found["attack"] != "none"], []
    undefended = attacked[attacked["defense"] == "none"].set_index("control")
    single = rows.loc[(rows["defense"] == "none") & (rows["attack"] != "none") & (control_of(rows) != MATCHED), "target_HR"]
    lowest, highest = (value / undefended.loc[MATCHED, "mean"] for value in (single.min(), single.max()))
    nearest = "" if not ratios else f"; the paper prints {', '.join(f'{ratio:.2f} for {name}' for name, ratio in ratios.items())}"
    said.append(
        f"Without any defence, another seed or order alone leaves a single victim {lowest:.2f} to {highest:.2f} of the matched one's target HR "
        f"({undefended.loc[MATCHED, 'mean']:.4f}){nearest}."
    )
    keys = ["attack", "seed", "order", "draw"]
    plain_rows = rows[rows["defense"] == "none"].set_index(keys).sort_index()["target_HR"]
    for _, point in attacked[attacked["defense"] != "none"][_DEFENSE].drop_duplicates().iterrows():
        name = _name(point)
        own = rows[(rows[_DEFENSE] == point).all(axis=1)].set_index(keys).sort_index()["target_HR"]
        change = own - plain_rows.reindex(own.index)
        there = change[change.index.get_level_values("attack") != "none"]
        if not there.any():
            said.append(f"{name} changes no figure of any victim: it returns the data as they are.")
            continue
        if len(there) < 2:
            continue
        low, high = mean_interval(there)
        word = "lowers" if high < 0 else "raises" if low > 0 else "does not clearly change"
        fakes = rows.loc[(rows[_DEFENSE] == point).all(axis=1) & (rows["attack"] != "none") & (rows["order"] == "as made"), "emptied_fakes"].max()
        gone = f", {fakes:.0f} fakes gone" if fakes else ""
        clean = change[change.index.get_level_values("attack") == "none"].mean()
        said.append(
            f"{name} {word} target HR over all these victims: {there.mean():+.4f} [{low:+.4f}, {high:+.4f}]; on clean data {clean:+.4f}{gone}."
        )
    return said
