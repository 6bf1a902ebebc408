"""The sentences of the low-rank defences paper as checks, on its own printed tables and on ours."""

from collections.abc import Callable, Iterator, Sequence

import pandas as pd

from advrec_tf.reporting import controls, detection, poisoning
from advrec_tf.reporting.checks import MISSING, Finding
from advrec_tf.reporting.claims import Claim, verdict
from advrec_tf.reporting.lowrank_evidence import LowRankEvidence, Measured, of_one_group, printed_evidence
from advrec_tf.reporting.vocabulary import markdown


def _shown(value: float) -> str:
    return str(value) if isinstance(value, Measured) else f"{value:.4f}"


def _compared(parts: Sequence[tuple[str, float | None, float | None]], holds: Callable[[float, float], bool]) -> Finding:
    """Pairs of values, before and after; the sentence holds if it does for all of them."""
    known = [(name, before, after) for name, before, after in parts if before is not None and after is not None]
    if not known or len(known) < len(parts):
        return MISSING
    text = ", ".join(f"{name} {_shown(before)} -> {_shown(after)}".strip() for name, before, after in known)
    return Finding(text, all(holds(before, after) for _, before, after in known))


def _finds_85_percent(e: LowRankEvidence) -> Finding:
    if e.detectors is None:
        return MISSING
    table = detection.over_folds(e.detectors)["recall"]
    if ("imbalanced", "poly2", 20) not in table.index:
        return MISSING
    row = table.loc["imbalanced", "poly2", 20]
    return Finding(f"{row['mean']:.4f} ± {row['std']:.4f}", abs(row["mean"] - 0.85) <= 0.05)


def _degree_2_at_20_is_best(e: LowRankEvidence) -> Finding:
    if e.detectors is None:
        return MISSING
    recall = detection.over_folds(e.detectors)["recall", "mean"]["imbalanced"]
    best = recall[recall >= recall.max() - 1e-12].index
    shown = ", ".join(f"{kernel} {components:.0f}" for kernel, components in best[:6]) + (" ..." if len(best) > 6 else "")
    return Finding(f"highest {recall.max():.4f}: {shown}", ("poly2", 20) in best)


def _near_clean(e: LowRankEvidence) -> Finding:
    parts = [("target_HR", e.value("table1", "target_HR", "none"), e.value("table1", "target_HR", "attacked", "svm"))]
    parts += [("HR", e.value("table1", "HR", "none"), e.value("table1", "HR", "attacked", "svm"))]
    return _compared(parts, lambda clean, left: abs(left / clean - 1) <= 0.1)


def _settings(e: LowRankEvidence, table: str) -> list[dict]:
    rows = e.tables.get(table)
    if rows is None:
        return []
    return rows.loc[rows["defense"] == "low_rank", ["patch", "rank"]].drop_duplicates().to_dict("records")


def _every_patch_lowers(e: LowRankEvidence) -> Finding:
    before = e.value("table2", "target_HR", "attacked")
    parts = [
        (f"[{p['patch']}, {p['rank']:.0f}]", before, e.value("table2", "target_HR", "attacked", "low_rank", **p)) for p in _settings(e, "table2")
    ]
    return _compared(parts, lambda undefended, left: left < undefended)


def _overall_is_kept(e: LowRankEvidence) -> Finding:
    before = e.value("table2", "HR", "attacked")
    parts = [(f"[{p['patch']}, {p['rank']:.0f}]", before, e.value("table2", "HR", "attacked", "low_rank", **p)) for p in _settings(e, "table2")]
    return _compared(parts, lambda undefended, left: left > 0.95 * undefended)


def _lowers_under(attacks: tuple[str, ...]) -> Callable[[LowRankEvidence], Finding]:
    def check(e: LowRankEvidence) -> Finding:
        point = (_settings(e, "table3") or [{}])[0]
        parts = [(a, e.value("table3", "target_HR", a), e.value("table3", "target_HR", a, "low_rank", **point)) for a in attacks]
        return _compared(parts, lambda undefended, left: left < undefended)

    return check


def _together_stronger(e: LowRankEvidence) -> Finding:
    both = e.value("table3", "target_HR", "recsys19+recsys20")
    return _compared([(a, e.value("table3", "target_HR", a), both) for a in ("recsys19", "recsys20")], lambda alone, together: together > alone)


def _attack_keeps_overall(e: LowRankEvidence) -> Finding:
    parts = [(m, e.value("table1", m, "none"), e.value("table1", m, "attacked")) for m in ("Recall", "HR")]
    return _compared(parts, lambda clean, attacked: abs(attacked / clean - 1) <= 0.01)


def _curve(e: LowRankEvidence, table: str, attacked: bool, defense: str, **point) -> pd.Series:
    rows = of_one_group(e.tables[table])
    if rows is None:
        return pd.Series(dtype=float)
    chosen = (rows["metric"] == "Recall") & (rows["defense"] == defense) & ((rows["attack"] != "none") == attacked)
    for name, value in point.items():
        chosen &= rows[name] == value
    rows = rows[chosen].set_index("share" if point else "rank").sort_index()
    return pd.Series([Measured.of(row) for _, row in rows.iterrows()], rows.index, dtype=object)


def _gains_up_to_120(e: LowRankEvidence) -> Finding:
    if "figure3" not in e.tables:
        return MISSING
    found = []
    for name, attacked in (("clean", False), ("attacked", True)):
        curve = _curve(e, "figure3", attacked, "low_rank")
        found.append((name, e.value("figure3", "Recall", "attacked" if attacked else "none"), curve[curve.index <= 120].max()))
    return _compared(found, lambda undefended, best: best > undefended)


def _drops_above_120(e: LowRankEvidence) -> Finding:
    if "figure3" not in e.tables:
        return MISSING
    curve = _curve(e, "figure3", True, "low_rank")
    low, high = curve[curve.index <= 120], curve[curve.index > 120]
    if low.empty or high.empty:
        return MISSING
    return _compared([("best to 120 -> best above", low.max(), high.max())], lambda below, above: above < below)


def _transformation_helps(e: LowRankEvidence) -> Finding:
    if "figure5" not in e.tables:
        return MISSING
    before = e.value("figure5", "Recall", "attacked")
    return _compared(
        [(f"rank {rank:.0f}", before, value) for rank, value in _curve(e, "figure5", True, "transformation").items()], lambda b, a: a > b
    )


def _new_ratings(rank: int, holds: Callable[[float, float], bool]) -> Callable[[LowRankEvidence], Finding]:
    def check(e: LowRankEvidence) -> Finding:
        if "figure6" not in e.tables or (curve := _curve(e, "figure6", True, "new ratings", rank=rank)).empty:
            return MISSING
        return _compared([("0% -> 100%", curve.iloc[0], curve.iloc[-1])], holds)

    return check


def _together_more_than_alone(e: LowRankEvidence) -> Finding:
    if "figure6" not in e.tables:
        return MISSING
    parts = []
    for rank in sorted(e.tables["figure6"]["rank"].unique()):
        alone, both = (_curve(e, "figure6", True, name, rank=rank) for name in ("new ratings", "new ratings + transformation"))
        parts += [(f"rank {rank:.0f}, best alone", max(alone.iloc[-1], both.iloc[0]), both.iloc[-1])]
    return _compared(parts, lambda single, together: together > single)


def _from_controls(dataset: str, attack: str) -> Callable[[LowRankEvidence], str]:
    """What the controls of reconstruction say: other seeds and orders alone, and fakes that go with incomplete patches."""

    def says(e: LowRankEvidence) -> str:
        rows = of_one_group(e.controls.get(dataset))
        found = [] if rows is None else [part for _, name, part in controls.parts_of(rows) if name == attack]
        if not found:
            return ""
        said = controls.findings(found[0], controls.table(found[0]), controls.printed_ratios(dataset, attack))
        kept = [sentence for sentence in said if sentence.startswith("Without") or "returns the data" in sentence or "fakes gone" in sentence]
        return " ".join([f"under {attack}:", *kept, f"(lowrank_controls, {dataset})"])

    return says


def _from_parts(*pairs: tuple[str, str], measure: str = "target_HR") -> Callable[[LowRankEvidence], str]:
    """What RecSys19's parts do to WRMF: pairs of (after, before)."""

    def says(e: LowRankEvidence) -> str:
        rows = of_one_group(e.parts)
        if rows is None:
            return ""
        own = rows[(rows["measure"] == measure) & (rows["model"] == "WRMF")].set_index(["after", "before"])
        found = [(before, after, own.loc[(after, before)]) for after, before in pairs if (after, before) in own.index]
        lines = [f"{before} -> {after} {row['change']:+.1f}% (p {row['p']:.0e})" for before, after, row in found]
        return f"{measure}: {', '.join(lines)} (lowrank_recsys19, {int(own['seeds'].max())} seeds)" if lines else ""

    return says


def _recsys19_raises(e: LowRankEvidence) -> Finding:
    return _compared([("target_HR", e.value("table3", "target_HR", "none"), e.value("table3", "target_HR", "recsys19"))], lambda b, a: a > b)


def _noise_of_recsys19(e: LowRankEvidence) -> str:
    table, said = of_one_group(e.tables.get("table3")), ""
    if table is not None:
        changes = poisoning.printed_changes(table)
        for _, row in changes[(changes["by"] == "the attack") & (changes["attack"] == "recsys19")].iterrows():
            said = f"the printed {row['change']:+.4f} is {row['verdict']} the noise of one run, {row['noise']:.4f}. "
    return said + _from_parts(("recsys19", "gan"), ("bootstrap_refined", "bootstrap"), ("bootstrap_targets", "bootstrap"))(e)


def claims() -> Iterator[Claim]:
    """All claims, in the paper's order."""
    lower = "target_HR after < before"
    yield Claim("IV-A.2", "The SVM finds about 85% of the fakes", "recall of degree 2 at 20 within 5 points", "85%", _finds_85_percent)
    yield Claim("IV-A.2", "Degree 2 at 20 components has the highest recall", "none in the grid is higher", "Figure 2", _degree_2_at_20_is_best)
    yield Claim("IV-A.2", "Without the fakes found, target HR is very close to clean, and overall is not harmed",
                "target_HR and HR within 10% of clean", "Table I", _near_clean)  # fmt: skip
    yield Claim("IV-A", "The attack keeps the overall performance", "Recall and HR within 1% of clean", "Table I", _attack_keeps_overall)
    yield Claim(
        "IV-A.3", "Local reconstruction lowers target HR", lower, "Table II", _every_patch_lowers, because=_from_controls("gowalla", "recsys20")
    )
    yield Claim("IV-A.3", "while the overall performance is kept", "HR after > 95% of before", "Table II", _overall_is_kept)
    yield Claim("IV-B.2", "Clean and attacked gain from low rank up to 120", "best Recall@10 to 120 > undefended", "Figure 3", _gains_up_to_120)
    yield Claim("IV-B.2", "Ranks above 120 let the attack back in", "best Recall@10 above 120 < to 120", "Figure 3", _drops_above_120)
    yield Claim("IV-B.2", "The transformation alone improves", "Recall@10 after > before, each rank", "Figure 5", _transformation_helps)
    yield Claim("IV-B.2", "New ratings change nothing at rank 50", "Recall@10 within 5%", "Figure 6",
                _new_ratings(50, lambda b, a: abs(a / b - 1) <= 0.05))  # fmt: skip
    yield Claim("IV-B.2", "New ratings help at rank 150", "Recall@10 rises", "Figure 6", _new_ratings(150, lambda b, a: a > b))
    yield Claim("IV-B.2", "Transformation and new ratings help more together than alone", "Recall@10", "Figure 6", _together_more_than_alone)
    yield Claim("IV-C", "RecSys19 raises target HR from .1432 to .1505", "target_HR", "Table III", _recsys19_raises, because=_noise_of_recsys19)
    together = ("recsys19+recsys20", "recsys20"), ("bootstrap+recsys20", "recsys20"), ("bootstrap_scored+recsys20", "recsys20")
    yield Claim("IV-C", "Both attacks together are stronger than each", "target_HR", "Table III", _together_stronger, because=_from_parts(*together))
    yield Claim("IV-C", "Under both together target HR falls from .2354 to .1569", lower, "Table III", _lowers_under(("recsys19+recsys20",)),
                because=_from_controls("ml-100k", "recsys19+recsys20"))  # fmt: skip
    yield Claim("IV-C", "Reconstruction lowers target HR under every attack", lower, "Table III",
                _lowers_under(("recsys19", "recsys20", "recsys19+recsys20")), because=_from_controls("ml-100k", "recsys20"))  # fmt: skip


def report(evidence: LowRankEvidence) -> str:
    """The claims that something was measured for, as a table: on the paper's printed tables, and on ours; "" where there is none."""
    printed, lines = printed_evidence(), []
    for claim in claims():
        found = claim.check(evidence)
        if found.holds is not None:
            because = claim.because(evidence) if claim.because else ""
            lines.append([*claim[:4], verdict(claim.check(printed), with_value=True), found.value, verdict(found), because])
    header = ["where", "claim", "check", "printed", "follows from its tables", "measured [mean ± 95% over seeds]", "holds here", "comes from"]
    return "## Claims of the low-rank defences paper\n\n" + markdown(header, lines) if lines else ""
