"""Names of the multi-step paper's models and attacks, and the selection of their rows."""

import pandas as pd

Attack = tuple[str, str, str]  # name, ball, start

MODELS = ("BPR-MF", "AMF")
INITIAL: Attack = ("", "", "")
FGSM: Attack = ("fgsm", "", "clean")
BIM: Attack = ("bim", "linf", "zero")
PGD: Attack = ("pgd", "linf", "uniform")
MULTI_STEP: dict[Attack, str] = {BIM: "BIM", PGD: "PGD", ("bim", "l2", "zero"): "BIM, l2 ball"}
CERTIFICATES: dict[Attack, str] = {
    ("certificate", "linf", ""): "certified, linf",
    ("certificate", "l2", ""): "certified, l2",
}
BALLS = (
    "linf: each element of a row moves by at most epsilon, so a row of D elements by up to epsilon "
    "times the root of D. l2 and FGSM: each row moves by at most epsilon.\n"
)


def label_of(attack: Attack) -> str:
    """Return the name of an attack, also of one that the paper does not have."""
    known = {FGSM: "FGSM", ("noise", "", ""): "noise", **MULTI_STEP, **CERTIFICATES}
    name, ball, _ = attack
    return known.get(attack) or name.upper() + (f", {ball} ball" if ball == "l2" else "")


def attacks_in(rows: pd.DataFrame) -> list[Attack]:
    """Return the different attacks of rows, in their order."""
    attacks = rows[["attack", "ball", "start"]].drop_duplicates()
    return list(attacks.itertuples(index=False, name=None))


def multi_step(rows: pd.DataFrame) -> dict[Attack, str]:
    """Return the labels of the multi-step attacks in `rows`, those of the paper first."""
    measured = attacks_in(rows[(rows["ball"] != "") & (rows["attack"] != "certificate")])
    ordered = [attack for attack in MULTI_STEP if attack in measured]
    ordered += [attack for attack in measured if attack not in MULTI_STEP]
    return {attack: label_of(attack) for attack in ordered}


def select(rows: pd.DataFrame, model: str, attack: Attack = INITIAL) -> pd.DataFrame:
    """Return the rows of one model under one attack."""
    name, ball, start = attack
    selected = (rows["attack"] == name) & (rows["ball"] == ball) & (rows["start"] == start)
    return rows[(rows["model"] == model) & selected]


def first_selection(rows: pd.DataFrame) -> pd.DataFrame:
    """Return each model's rows at the epoch that is shown first: `best`, where it was measured."""
    selected = rows[rows["selection"] != ""]
    order = selected["selection"].where(selected["selection"] != "best", "")
    return selected[order == order.groupby(selected["model"]).transform("min")]


def numbered_draws(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with an integer column `draw` of the attack, 0 where none is recorded."""
    return rows.assign(
        draw=rows["draw"].astype(float).fillna(0).astype(int) if "draw" in rows else 0
    )
