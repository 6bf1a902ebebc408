"""Files that are no tables are refused in one line."""

import gzip

import pytest

from advrec_tf import data, files
from advrec_tf.data import Reading
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

from handmade import zipped

PLAIN = "user,item\n1,2\n1,3\n2,3\n2,4\n"
BAD = {
    "two.zip": (zipped(a=PLAIN, b=PLAIN), "two.zip: it holds 2 files .a.csv, b.csv"),
    "no.zip": (b"PK", "no.zip: not a whole packed file"),
    "no.csv.gz": (b"\x1f\x8b12345", "no.csv.gz: not a whole packed file"),
    "half.csv.gz": (gzip.compress(PLAIN.encode() * 99)[:-20], "half.csv.gz: not a whole packed"),
    "zeros.csv": (b"1,2\n\x001,3\n", "zeros.csv: not a text file"),
    "half.jsonl": (
        b'{"user": 1, "item": 2}\n{"user": 1, "it',
        "half.jsonl, line 2: not a JSON object",
    ),
    "names.jsonl": (b'{"who": 1, "what": 2}\n', "names.jsonl: a header without a user"),
    "floats.jsonl": (b'{"user": 1.5, "item": 2}\n', "the users are double, and neither"),
}


@pytest.mark.parametrize("name", BAD)
def test_it_is_refused_in_one_line(tmp_path, name):
    content, message = BAD[name]
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        data.load(str(tmp_path / name))
    assert "\n" not in str(error.value)


def test_a_wrong_encoding_is_refused(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes("user,item\n1,Björk\n".encode("latin-1"))
    for encoding in ("utf-8", "no-such"):
        with pytest.raises(UserError, match=f"a.csv: not a text file in {encoding}"):
            read_table(path, reading=Reading(encoding=encoding))
    assert read_table(path, reading=Reading(encoding="cp1250"))["item"].tolist() == ["Björk"]


def test_a_file_that_unpacks_beyond_reason_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FREE_BYTES", 1000)
    monkeypatch.setattr(files, "MAX_RATIO", 2)
    path = tmp_path / "bomb.csv.gz"
    path.write_bytes(gzip.compress(b"1,2\n" * 100_000))
    with pytest.raises(UserError, match="bomb.csv.gz: its .* bytes would become"):
        data.load(str(path))


def test_ids_of_lists_beyond_all_integers_are_texts(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text(f"0 {2**70} 2\n1 3\n")
    assert read_table(path)["item"].tolist() == [str(2**70), "2", "3"]
