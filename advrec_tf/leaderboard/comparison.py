"""One entry of a leaderboard beside every other: its rank, paired tests over users and over trainings, and the goals of a defence."""

from collections.abc import Iterator

import numpy as np
import pandas as pd

from advrec_tf.errors import UserError
from advrec_tf.evaluation import holm, mean_interval, mean_test
from advrec_tf.evaluation.verdicts import (
    Claim,
    Estimate,
    Relation,
    Replication,
    Verdict,
    Word,
    judge,
)
from advrec_tf.leaderboard import CERTIFICATE

Condition = tuple[str, str, float]  # threat, ball, epsilon
CLEAN: Condition = ("", "", 0.0)
GOALS: tuple[Condition, ...] = (
    *(("test", "l2", epsilon) for epsilon in (0.01, 0.02, 0.05)),
    *(("train", "l2", epsilon) for epsilon in (0.1, 0.2, 0.4)),
    ("train", "linf", 0.11),
)
CERTIFIED: Condition = (CERTIFICATE, "l2", 0.01)
CONDITIONS = (CLEAN, *GOALS, CERTIFIED)
# Shares that a defence should reach: of BPR-MF's nDCG, AMF's certified nDCG, BPR-MF's coverage.
ACCURACY, BOUND, COVERAGE = 0.97, 1.5, 0.5
DIRECTIONS = ("better", "worse", "undecided", "not tested")
LEVEL = 0.05  # of corrected p values, and of all intervals of one kind together
COLUMNS = [
    "first",
    "second",
    "threat",
    "ball",
    "rho",
    "seeds",
    "first_nDCG",
    "second_nDCG",
    "difference",
    "low",
    "high",
    "p_users",
    "over_users",
    "low_seeds",
    "high_seeds",
    "p_seeds",
    "over_seeds",
]


def title_of(condition: Condition) -> str:
    """Return the heading of a column or panel."""
    threat, ball, epsilon = condition
    if condition == CLEAN:
        return "clean"
    return f"{'certified' if threat == CERTIFICATE else threat}, {ball} {epsilon:g}"


def at(rows: pd.DataFrame, condition: Condition) -> pd.DataFrame:
    """Return the rows of `leaderboard.tidy` under one condition.

    Under CERTIFIED, `nDCG` and `users` hold the certified values.
    """
    threat, ball, epsilon = condition
    measured = "test" if threat == CERTIFICATE else threat
    near = np.isclose(rows["rho"], epsilon)
    found = rows[(rows["threat"] == measured) & (rows["ball"] == ball) & near]
    if threat != CERTIFICATE:
        return found
    found = found.drop(columns=["nDCG", "users"], errors="ignore")
    names = {"certified_nDCG": "nDCG", "certified_users": "users"}
    return found.rename(columns=names).dropna(subset="nDCG")


def with_users(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have users' own nDCG; a folder may have lost some."""
    return rows[rows["users"].notna()]


def compared(rows: pd.DataFrame, first: str) -> pd.DataFrame:
    """Test one entry against every other under each of CONDITIONS; one row per pair, COLUMNS.

    `difference` is first less second, nDCG.  Two paired t-tests: over users (each user's mean over
    seeds, so p is conditional on these trainings), and over trainings (each seed's mean over users).
    Each kind is corrected (Holm) for all of its tests in this table, and its intervals hold together
    (Bonferroni).  `over_users` and `over_seeds` say better, worse, undecided or not tested.
    An entry of one seed is compared with every seed of the other, and not tested over trainings.

    rows: of `leaderboard.tidy`, with users' own nDCG.
    """
    pairs = [
        pair for condition in CONDITIONS for pair in _pairs(at(rows, condition), condition, first)
    ]
    of_seeds = [matrix.mean(axis=1) if several else np.empty(0) for *_, several, matrix in pairs]
    of_users = [matrix.mean(axis=0) for *_, matrix in pairs]
    found = pd.DataFrame([pair[:-2] for pair in pairs], columns=COLUMNS[:8])
    found["difference"] = [float(each.mean()) for each in of_users]
    for suffix, samples in (("users", of_users), ("seeds", of_seeds)):
        tested = max(1, sum(len(each) > 1 for each in samples))
        ends = [mean_interval(each, 1 - LEVEL / tested) for each in samples]
        names = ["low", "high"] if suffix == "users" else ["low_seeds", "high_seeds"]
        found[names] = pd.DataFrame(ends, found.index, names, float)
        found[f"p_{suffix}"] = holm([mean_test(each) for each in samples])
        found[f"over_{suffix}"] = _directions(found["difference"], found[f"p_{suffix}"])
    return found[COLUMNS]


def _pairs(rows: pd.DataFrame, condition: Condition, first: str) -> Iterator[tuple]:
    """Yield the first columns of a comparison, whether seeds are paired, and differences [seeds, users]."""
    users: dict[str, dict[int, np.ndarray]] = {}
    for entry, seed, values in with_users(rows)[["entry", "seed", "users"]].itertuples(index=False):
        users.setdefault(entry, {})[seed] = np.asarray(values, np.float64)
    own = users.pop(first, {})
    for second, other in users.items():
        several = min(len(own), len(other)) > 1
        shared = [(seed, seed) for seed in sorted(set(own) & set(other))]
        seeds = shared if several else [(a, b) for a in own for b in other]
        if not seeds:
            continue
        ours, theirs = np.array([own[a] for a, _ in seeds]), np.array([other[b] for _, b in seeds])
        means = float(ours.mean()), float(theirs.mean())
        yield first, second, *condition, len(seeds), *means, several, ours - theirs


def _directions(differences: pd.Series, p: pd.Series) -> np.ndarray:
    sure = p < LEVEL
    conditions = [p.isna(), sure & (differences > 0), sure & (differences < 0)]
    return np.select(conditions, ["not tested", "better", "worse"], "undecided")


def means(rows: pd.DataFrame) -> pd.Series:
    """Return each entry's nDCG, mean over CONDITIONS and seeds, highest first.

    The compared entry is the first of these on a board of held-out training interactions.

    rows: of `leaderboard.tidy`.
    """
    found = [at(rows, condition).groupby("entry")["nDCG"].mean() for condition in CONDITIONS]
    return pd.concat(found, axis=1).mean(axis=1).sort_values(ascending=False)


def entry_of(tests: pd.DataFrame, asked: str | None = None) -> str:
    """Return whom the rows of `compared` are about.

    Raises UserError for rows about several entries, or about another than the one asked for.
    """
    names = sorted(tests["first"].unique())
    if len(names) != 1 or asked not in (None, names[0]):
        wanted = "one entry" if asked is None else asked
        raise UserError(
            f"tests.csv is about {', '.join(names)}, not about {wanted}: run the experiment again"
        )
    return str(names[0])


def standing(rows: pd.DataFrame, tests: pd.DataFrame) -> pd.DataFrame:
    """Return where an entry stands under each condition: its nDCG, rank and number of entries.

    For tests over users and over trainings: how many entries it is better or worse than, or
    neither, and the verdict on "keeps more nDCG than every other entry".

    rows: of `leaderboard.tidy`; tests: of `compared`.
    """
    first, lines = entry_of(tests), []
    conditions = tests[["threat", "ball"]].apply(tuple, axis=1)
    for condition in CONDITIONS:
        means = at(rows, condition).groupby("entry")["nDCG"].mean()
        here = tests[(conditions == condition[:2]) & np.isclose(tests["rho"], condition[2])]
        if first not in means or here.empty:
            continue
        line = {"condition": title_of(condition), "nDCG": means[first]}
        line |= {"rank": 1 + int((means > means[first]).sum()), "entries": len(means)}
        for kind in ("over_users", "over_seeds"):
            counts = {name: int((here[kind] == name).sum()) for name in DIRECTIONS}
            line |= {f"{name} {kind}": count for name, count in counts.items()}
            line[f"verdict {kind}"] = _above_all(counts).value
        lines.append(line)
    return pd.DataFrame(lines)


def _above_all(counts: dict[str, int]) -> Word:
    """It fails if one entry is better, and holds if every other is worse (intersection-union)."""
    if counts["worse"]:
        return Word.FAILS
    return Word.UNDECIDED if counts["undecided"] or counts["not tested"] else Word.HOLDS


def summary(rows: pd.DataFrame, tests: pd.DataFrame) -> str:
    """Say under which conditions an entry fails to keep more nDCG than every other, and its ranks."""
    first, found = entry_of(tests), standing(rows, tests)
    ranks = (
        found["condition"]
        + " ("
        + found["rank"].astype(str)
        + " of "
        + found["entries"].astype(str)
        + ")"
    )
    users, trainings = (
        (found[f"verdict {kind}"] == Word.FAILS.value) for kind in ("over_users", "over_seeds")
    )
    holds = ~trainings & (found["verdict over_users"] == Word.HOLDS.value)
    text = f"{first} fails under {(users | trainings).sum()} of {len(found)} conditions"
    if (users | trainings).any():
        text += ", where another entry keeps significantly more nDCG (its rank in brackets)"
    sentences = [f"{text}."]
    for title, mask in (
        ("It fails over users", users),
        ("It fails over trainings, but not over users", trainings & ~users),
        ("Not decidable", ~users & ~trainings & ~holds),
        ("It keeps significantly more than every other entry over users", holds),
    ):
        if mask.any():
            sentences.append(f"{title}: {', '.join(ranks[mask])}.")
    return " ".join(sentences)


def goals(rows: pd.DataFrame, first: str) -> list[Verdict]:
    """Judge the shares of other entries' values that a defence should reach, over trainings.

    Each replicate is the ratio of both entries' values of one seed; of entries that do not share
    two seeds there is one ratio, of means, and nothing to test.

    rows: of `leaderboard.tidy`
    """
    clean, certified = at(rows, CLEAN), at(rows, CERTIFIED)
    asked = (
        ("clean nDCG", "BPR-MF", clean.set_index(["entry", "seed"])["nDCG"], ACCURACY),
        (
            f"nDCG, {title_of(CERTIFIED)}",
            "AMF",
            certified.set_index(["entry", "seed"])["nDCG"],
            BOUND,
        ),
        ("ICov", "BPR-MF", clean.set_index(["entry", "seed"])["ICov"], COVERAGE),
    )
    cases = []
    for quantity, other, values, wanted in asked:
        if first == other or not {first, other} <= set(values.index.get_level_values("entry")):
            continue
        text = f"{quantity} over that of {other}"
        claim = Claim("goals", text, text, Relation.GREATER, Replication.TRAINING, reference=wanted)
        cases.append((claim, [Estimate.of("", _shares(values, first, other))]))
    return judge(cases)


def _shares(values: pd.Series, first: str, other: str) -> np.ndarray:
    """Return the ratios of two entries' values by seed, or one of means.  values: by entry and seed"""
    shares = (values[first] / values[other]).dropna().to_numpy()
    if len(shares) > 1:
        return shares
    return np.array([values[first].mean() / values[other].mean()])
