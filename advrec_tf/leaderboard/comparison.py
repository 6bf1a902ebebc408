"""One entry of a leaderboard against every other: rank, paired tests, and a defence's goals."""

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
from advrec_tf.leaderboard.measuring import CERTIFICATE

Condition = tuple[str, str, float]  # threat model, ball, epsilon
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
KEYS = ["first", "second", "threat_model", "ball", "epsilon"]
COLUMNS = [
    *(*KEYS, "seeds", "first_nDCG", "second_nDCG", "difference"),
    *("low", "high", "p_users", "over_users"),
    *("low_seeds", "high_seeds", "p_seeds", "over_seeds"),
]


def title_of(condition: Condition) -> str:
    """Return the heading of a column or panel."""
    threat_model, ball, epsilon = condition
    if condition == CLEAN:
        return "clean"
    name = "certified" if threat_model == CERTIFICATE else threat_model
    return f"{name}, {ball} {epsilon:g}"


def at(rows: pd.DataFrame, condition: Condition) -> pd.DataFrame:
    """Return the rows of `worst_cases` under one condition.

    Under CERTIFIED, `nDCG` and `users` hold the certified values.
    """
    threat_model, ball, epsilon = condition
    measured = "test" if threat_model == CERTIFICATE else threat_model
    near = np.isclose(rows["epsilon"], epsilon)
    selected = rows[(rows["threat_model"] == measured) & (rows["ball"] == ball) & near]
    if threat_model != CERTIFICATE:
        return selected
    selected = selected.drop(columns=["nDCG", "users"], errors="ignore")
    names = {"certified_nDCG": "nDCG", "certified_users": "users"}
    return selected.rename(columns=names).dropna(subset="nDCG")


def with_users(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows that have nDCG by user; a folder may have lost some."""
    return rows[rows["users"].notna()]


def compared(rows: pd.DataFrame, first: str) -> pd.DataFrame:
    """Test one entry against every other under each of CONDITIONS; one row per pair, COLUMNS.

    `difference` is first less second, nDCG. There are two paired t-tests. That over users takes
    each user's mean over seeds, so p is conditional on these trainings. That over trainings takes
    each seed's mean over users. Each kind is corrected (Holm) for all of its tests in this table,
    and its intervals hold together (Bonferroni). `over_users` and `over_seeds` are one of
    DIRECTIONS. An entry of one seed is compared with every seed of the other, and not tested over
    trainings.

    rows: of `worst_cases`, with nDCG by user.
    """
    pairs: list[tuple] = []
    for condition in CONDITIONS:
        pairs += _pairs(at(rows, condition), condition, first)
    samples = {
        "users": [matrix.mean(axis=0) for *_, matrix in pairs],
        "seeds": [matrix.mean(axis=1) if several else np.empty(0) for *_, several, matrix in pairs],
    }
    tests = pd.DataFrame([pair[:-2] for pair in pairs], columns=COLUMNS[:8])
    tests["difference"] = [float(values.mean()) for values in samples["users"]]
    for kind, ends in (("users", ["low", "high"]), ("seeds", ["low_seeds", "high_seeds"])):
        tested = max(1, sum(len(values) > 1 for values in samples[kind]))
        intervals = [mean_interval(values, 1 - LEVEL / tested) for values in samples[kind]]
        tests[ends] = pd.DataFrame(intervals, tests.index, ends, float)
        tests[f"p_{kind}"] = holm([mean_test(values) for values in samples[kind]])
        tests[f"over_{kind}"] = directions(tests["difference"], tests[f"p_{kind}"])
    return tests[COLUMNS]


def _pairs(rows: pd.DataFrame, condition: Condition, first: str) -> Iterator[tuple]:
    """Yield COLUMNS up to second_nDCG, whether seeds are paired, and differences [seeds, users]."""
    users: dict[str, dict[int, np.ndarray]] = {}
    for entry, seed, values in with_users(rows)[["entry", "seed", "users"]].itertuples(index=False):
        users.setdefault(entry, {})[seed] = np.asarray(values, np.float64)
    ours = users.pop(first, {})
    for second, theirs in users.items():
        several = min(len(ours), len(theirs)) > 1
        seeds = [(seed, seed) for seed in sorted(set(ours) & set(theirs))]
        if not several:
            seeds = [(a, b) for a in ours for b in theirs]
        if not seeds:
            continue
        left = np.array([ours[a] for a, _ in seeds])
        right = np.array([theirs[b] for _, b in seeds])
        means = float(left.mean()), float(right.mean())
        yield first, second, *condition, len(seeds), *means, several, left - right


def directions(differences: pd.Series, p: pd.Series) -> np.ndarray:
    """Return one of DIRECTIONS for each difference and its corrected p."""
    sure = p < LEVEL
    conditions = [p.isna(), sure & (differences > 0), sure & (differences < 0)]
    return np.select(conditions, ["not tested", "better", "worse"], "undecided")


def means(rows: pd.DataFrame) -> pd.Series:
    """Return each entry's nDCG, mean over CONDITIONS and seeds, highest first.

    The compared entry is the first of these on a board of held-out training interactions.

    rows: of `worst_cases`.
    """
    columns = [at(rows, condition).groupby("entry")["nDCG"].mean() for condition in CONDITIONS]
    return pd.concat(columns, axis=1).mean(axis=1).sort_values(ascending=False)


def entry_of(tests: pd.DataFrame, asked: str | None = None) -> str:
    """Return the entry that the rows of `compared` are about.

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

    rows: of `worst_cases`; tests: of `compared`.
    """
    first, lines = entry_of(tests), []
    for condition in CONDITIONS:
        threat_model, ball, epsilon = condition
        means = at(rows, condition).groupby("entry")["nDCG"].mean()
        selected = (tests["threat_model"] == threat_model) & (tests["ball"] == ball)
        pairs = tests[selected & np.isclose(tests["epsilon"], epsilon)]
        if first not in means or pairs.empty:
            continue
        line = {"condition": title_of(condition), "nDCG": means[first]}
        line |= {"rank": 1 + int((means > means[first]).sum()), "entries": len(means)}
        for kind in ("over_users", "over_seeds"):
            counts = {name: int((pairs[kind] == name).sum()) for name in DIRECTIONS}
            line |= {f"{name} {kind}": count for name, count in counts.items()}
            line[f"verdict {kind}"] = _above_all(counts).value
        lines.append(line)
    return pd.DataFrame(lines)


def _above_all(counts: dict[str, int]) -> Word:
    """Return the verdict on "better than every other entry" (an intersection-union test).

    It fails if one entry is better, and holds if every other is worse. counts: of DIRECTIONS
    """
    if counts["worse"]:
        return Word.FAILS
    return Word.UNDECIDED if counts["undecided"] or counts["not tested"] else Word.HOLDS


def summary(rows: pd.DataFrame, tests: pd.DataFrame) -> str:
    """Say under how many conditions an entry fails to keep most nDCG, and its ranks there."""
    first, table = entry_of(tests), standing(rows, tests)
    users = table["verdict over_users"] == Word.FAILS.value
    trainings = table["verdict over_seeds"] == Word.FAILS.value
    holds = ~trainings & (table["verdict over_users"] == Word.HOLDS.value)
    failed = users | trainings
    sentences = [f"{first} fails under {failed.sum()} of {len(table)} conditions"]
    if failed.any():
        sentences[0] += ", where another entry keeps significantly more nDCG"
        only = (trainings & ~users).sum()
        sentences.append(
            f"It fails over users under {users.sum()}, only over trainings under {only}"
        )
    undecided = (~failed & ~holds).sum()
    sentences.append(f"It beats every other entry under {holds.sum()}, undecided are {undecided}")
    ranks, entries = table["rank"], table["entries"].max()
    sentences.append(f"Its rank lies between {ranks.min()} and {ranks.max()} of {entries}")
    return " ".join(f"{sentence}." for sentence in sentences)


def goals(rows: pd.DataFrame, first: str) -> list[Verdict]:
    """Judge the shares of other entries' values that a defence should reach, over trainings.

    Each replicate is the ratio of both entries' values of one seed; of entries that do not share
    two seeds there is one ratio, of means, and nothing to test.

    rows: of `worst_cases`; first: the defence, whose value is the numerator
    """
    clean = at(rows, CLEAN).set_index(["entry", "seed"])
    certified = at(rows, CERTIFIED).set_index(["entry", "seed"])["nDCG"]
    quantities = (
        ("clean nDCG", "BPR-MF", clean["nDCG"], ACCURACY),
        (f"nDCG, {title_of(CERTIFIED)}", "AMF", certified, BOUND),
        ("ICov", "BPR-MF", clean["ICov"], COVERAGE),
    )
    cases = []
    for quantity, other, values, wanted in quantities:
        if first == other or not {first, other} <= set(values.index.get_level_values("entry")):
            continue
        text = f"{quantity} over that of {other}"
        claim = Claim("goals", text, text, Relation.GREATER, Replication.TRAINING, reference=wanted)
        cases.append((claim, [Estimate.of("", _shares(values, first, other))]))
    return judge(cases)


def _shares(values: pd.Series, first: str, other: str) -> np.ndarray:
    """Return the ratios of two entries' values by seed, or one ratio of means.

    values: by entry and seed
    """
    shares = (values[first] / values[other]).dropna().to_numpy()
    if len(shares) > 1:
        return shares
    return np.array([values[first].mean() / values[other].mean()])
