"""From all attacks to the worst case at every epsilon, and whether it can be trusted."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from advrec_tf.evaluation import equal_harm
from advrec_tf.leaderboard.measuring import CERTIFICATE, ENTRY_COLUMNS, USER
from advrec_tf.perturbations.ensemble import ALSO, NOISE

# What an attacker of each threat model knows.
THREAT_MODELS = {
    "train": "knows the training pairs",
    "lists": "knows the lists that are shown",
    "test": "knows the held-out item",
    USER: "knows one user's held-out item and cares for no other user",
}
COLUMNS = (
    *("entry", "seed", "threat_model", "unit", "ball", "epsilon", "attack", "nDCG", "HR"),
    *("certified_nDCG", "certified_HR", "ICov", "EFD", "SE"),
)
KEYS = ["entry", "seed", "threat_model", "ball", "epsilon"]  # of a row of `worst_cases`
GROUPS = ("user activity", "item popularity")
QUARTILES = tuple(f"{by} {quarter}" for by in GROUPS for quarter in range(1, 5))
DETAILS = (*COLUMNS, "factors", "k", "warnings", *QUARTILES, *ENTRY_COLUMNS)
SHOWN = tuple(name for name in DETAILS if name not in ("HR", "certified_HR"))  # on a page
USERS = ("users", "certified_users")  # arrays of tested users' nDCG, which no CSV has
NO_ATTACK = "none"  # leaves the factors as they are: no attacker does less harm
MAX_P = 0.01  # of a paired test over users
MAX_IDLE = 0.5  # share of users' rows that every attack leaves, above which a loss is flat
_CLEAN = ["entry", "factors", "seed", "unit"]
_CURVE = [*_CLEAN, "threat_model", "ball"]

UserValues = dict[str, np.ndarray]
Kept = Sequence[tuple[dict[str, Any], UserValues]]  # of `read_users`


def complete(rows: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Return the rows of completely measured entries, and the names of the other entries."""
    counts = rows.groupby(["entry", "factors", "seed"])["nDCG"].transform("size")
    return rows[counts == counts.max()], sorted(rows.loc[counts < counts.max(), "entry"].unique())


def worst_cases(rows: pd.DataFrame, kept: Kept) -> pd.DataFrame:
    """Return the worst case of each entry and seed at every epsilon, with DETAILS and USERS.

    The worst case at an epsilon includes all smaller ones. Doing nothing (NO_ATTACK) is an attack
    too, so no worst case is above the clean value. A threat model includes the attacks of ALSO.
    `warnings` says why the true worst case may be lower (Carlini et al. 2019): noise of the same
    size does more harm, a larger epsilon does less harm, or most users' rows stay where they are.
    Where a name stands for several factors, the digest of the factors is added to the name.

    rows, kept: of `read_results` and `read_users`
    """
    users = {_key(row): values for row, values in kept}
    curves = _Curves(rows, users, quarters(kept))
    attacks = _with_included_attacks(rows[rows["threat_model"] != CERTIFICATE])
    worst: list[dict[str, Any]] = []
    for curve, part in attacks.groupby(_CURVE, sort=False):
        worst += curves.worst(curve, part)
    frame = pd.DataFrame(worst)
    several = frame.groupby(["entry", "seed"])["factors"].transform("nunique") > 1
    named = frame["entry"].where(~several, frame["entry"] + " " + frame["factors"])
    ordered = frame.assign(entry=named).sort_values(KEYS, ignore_index=True)
    return ordered.reindex(columns=[*DETAILS, *USERS])


def _with_included_attacks(rows: pd.DataFrame) -> pd.DataFrame:
    """Add the attacks of ALSO; `made_for` is the threat model that an attack was made for."""
    parts = [rows.assign(made_for=rows["threat_model"])]
    for threat_model in set(ALSO) & set(rows["threat_model"]):
        for other in ALSO[threat_model]:
            part = rows[rows["threat_model"] == other]
            parts.append(part.assign(threat_model=threat_model, made_for=other))
    return pd.concat(parts, ignore_index=True)


def _key(row: dict[str, Any]) -> tuple:
    """Return what identifies a point; a CSV reader may change the last digit of epsilon."""
    made_for = row.get("made_for", row["threat_model"])
    values = [row[name] for name in ("entry", "factors", "seed", "unit", "ball", "attack")]
    return *values, made_for, f"{row['epsilon']:.12g}"


class _Curves:
    """The clean values, certificates and users' values that worst cases are made of."""

    def __init__(self, rows: pd.DataFrame, users: dict[tuple, UserValues], groups: UserValues):
        self.users, self.groups = users, groups
        certified = rows[rows["threat_model"] == CERTIFICATE]
        bounds = certified.set_index([*_CLEAN, "ball", "epsilon"])[["nDCG", "HR"]]
        self.bounds = bounds.to_dict("index")
        clean = rows[rows["threat_model"] == ""].to_dict("records")
        self.clean = {tuple(row[name] for name in _CLEAN): row for row in clean}

    def worst(self, curve: tuple, part: pd.DataFrame) -> Iterator[dict[str, Any]]:
        """Yield a row for each epsilon, the smallest first."""
        *factors, threat_model, ball = curve
        before = None
        if tuple(factors) in self.clean and threat_model:
            clean = self._with_users(self.clean[tuple(factors)])
            before = clean | {"threat_model": threat_model, "ball": ball, "attack": NO_ATTACK}
        for epsilon, attacks in part.groupby("epsilon"):
            rows = {row["attack"]: self._with_users(row) for row in attacks.to_dict("records")}
            noise = rows.pop(NOISE, None)
            strongest = min(rows.values(), key=lambda row: row["nDCG"])
            worst = strongest
            if before is not None and strongest["nDCG"] > before["nDCG"]:
                worst = before | {"epsilon": epsilon}
            less_idle = min(row["idle"] for row in rows.values())
            flags = _warnings(noise, strongest, worst, before, less_idle)
            before = worst
            certified = self._certified(worst, (*factors, ball, epsilon))
            yield worst | {"warnings": flags} | self._group_means(worst["users"]) | certified

    def _with_users(self, row: dict[str, Any]) -> dict[str, Any]:
        """Add tested users' nDCG to a row, None where no job has kept them."""
        return row | {"users": self.users.get(_key(row), {}).get("nDCG")}

    def _certified(self, row: dict[str, Any], key: tuple) -> dict[str, Any]:
        """Return the certified columns of a row; NaN and None where it has no certificate.

        certified_nDCG and certified_HR are means over users; certified_users is each user's nDCG.
        key: the certificate's entry, factors, seed, unit, ball and epsilon
        """
        bound = self.bounds.get(key, {})
        point = _key(row | {"made_for": CERTIFICATE, "attack": ""})
        return {
            "certified_nDCG": bound.get("nDCG", np.nan),
            "certified_HR": bound.get("HR", np.nan),
            "certified_users": self.users.get(point, {}).get("nDCG"),
        }

    def _group_means(self, users: np.ndarray | None) -> dict[str, float]:
        """Return the mean of users' nDCG [U] in each quarter of each of GROUPS, by column name."""
        means: dict[str, float] = {}
        if users is None:
            return means
        for by, quarter in self.groups.items():
            for n in range(1, 5):
                if np.any(quarter == n):
                    means[f"{by} {n}"] = float(np.mean(users[quarter == n]))
        return means


def _warnings(noise, strongest, worst, before, idle: float) -> str:
    """Return why the worst case of one epsilon may not be the true one, "" for no reason."""
    flags = {
        "noise does more harm": noise is not None and _less(noise["users"], worst["users"]),
        "a larger epsilon does less harm": before is not None
        and _less(before["users"], strongest["users"]),
        "most rows have no gradient": idle > MAX_IDLE,
    }
    return ", ".join(flag for flag, raised in flags.items() if raised)


def _less(first: np.ndarray | None, second: np.ndarray | None) -> bool:
    """Return whether the first users' nDCG is significantly smaller in the mean."""
    if first is None or second is None or np.array_equal(first, second):
        return False
    return bool(stats.ttest_rel(first, second, alternative="less").pvalue < MAX_P)


def quarters(kept: Kept) -> UserValues:
    """Return the quarter (1 to 4) of each tested user by each of GROUPS, the same for all entries.

    Users of equal value are parted by their order.
    """
    values: UserValues = next((users for row, users in kept if not row["threat_model"]), {})
    parts = {}
    for by in GROUPS:
        if by in values:
            parts[by] = quarter_of(values[by])
    return parts


def quarter_of(values: np.ndarray) -> np.ndarray:
    """Return the quarter (1 to 4) of each value, 1 the least; equal ones are parted by order."""
    ranks = np.argsort(np.argsort(values, kind="stable"))
    return 1 + 4 * ranks // len(ranks)


def quartiles(rows: pd.DataFrame) -> pd.DataFrame:
    """Return nDCG by quartile (1: least) of GROUPS for every row of `worst_cases`, in long form."""
    parts = []
    for by in GROUPS:
        for n in range(1, 5):
            part = rows[KEYS].assign(nDCG=rows[f"{by} {n}"], by=by, quartile=n)
            parts.append(part)
    return pd.concat(parts, ignore_index=True)


def halving_epsilon(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the l2 epsilon at which half of nDCG is lost, by entry and threat model.

    Mean over seeds; NaN where one seed keeps half at every epsilon.
    """
    crossings = []
    for (entry, seed), part in rows.groupby(["entry", "seed"]):
        clean = part.loc[part["threat_model"] == "", "nDCG"].iloc[0]
        for threat_model, curve in part[part["ball"] == "l2"].groupby("threat_model"):
            epsilons, left = curve["epsilon"].to_numpy(), curve["nDCG"].to_numpy()
            crossings.append((entry, seed, threat_model, equal_harm(epsilons, left, clean / 2)))
    frame = pd.DataFrame(crossings, columns=["entry", "seed", "threat_model", "epsilon"])
    curves = frame.groupby(["entry", "threat_model"])["epsilon"]
    wide = curves.agg(lambda seeds: seeds.mean(skipna=False)).unstack()
    return wide[[threat_model for threat_model in THREAT_MODELS if threat_model in wide]]


def as_kept(rows: list[dict], users: UserValues) -> Iterator[tuple[dict[str, Any], UserValues]]:
    """Yield each row of a job with its own part of the users' values, as `read_users` does."""
    for index, row in enumerate(rows):
        yield row, {name: values[index] for name, values in users.items()}
