"""The names of a leaderboard's entries: labels, and the texts of --entries."""

import pytest

from advrec_tf.errors import UserError
from advrec_tf.leaderboard import COMPARED, Entry
from advrec_tf.leaderboard.entries import parse_entry
from experiments.board_factors import MODELS, RANKED_MODELS

NAMED = {
    "iALS-64": (Entry("iALS", 64), "iALS-64"),
    "iALS-reg50-64": (Entry("iALS-reg50", 64), "iALS-reg50-64"),
    "SVD-16": (Entry("SVD", 16), "SVD-16"),
    "SVD-16:normalised": (COMPARED, "SVD-16, user-normalised"),
    "AMF": (Entry("AMF"), "AMF"),
    "AMF:32:normalised": (Entry("AMF", None, 32, True), "AMF→32, user-normalised"),
    "iALS-128:64": (Entry("iALS", 128, 64), "iALS-128→64"),
    "rescaled BPR-MF": (Entry("rescaled BPR-MF"), "rescaled BPR-MF"),
    "my-3:2": (Entry("my-3", None, 2), "my-3→2"),
}


@pytest.mark.parametrize("text", NAMED)
def test_a_text_names_an_entry_and_the_entry_its_label(text):
    entry, label = NAMED[text]
    assert parse_entry(text, (*MODELS, "my-3"), RANKED_MODELS) == entry and entry.label == label


@pytest.mark.parametrize(
    "text",
    ["kNN", "iALS", "SVD", "iALS-0", "SVD-1234567", "AMF-64", "AMF:0", "AMF:32:16", "AMF:equal"]
    + ["AMF:normalised:32", "AMF:", ":32", "", "iALS-64→32", "SVD 16", "iALS at rank 32"],
)
def test_another_text_is_refused_with_the_forms(text):
    with pytest.raises(UserError, match=r"NAME:RANK:normalised, where NAME is .*AMF.*iALS-N"):
        parse_entry(text, MODELS, RANKED_MODELS)


def test_the_key_columns_say_what_the_label_says():
    assert Entry("iALS", 128, 64, True, seed=3).columns == {
        "entry": "iALS-128→64, user-normalised",
        "model": "iALS",
        "model_rank": 128,
        "truncated_rank": 64,
        "user_normalized": True,
        "seed": 3,
    }
    assert Entry("iALS", 128, 64, True, seed=3).source == Entry("iALS", 128, seed=3)
