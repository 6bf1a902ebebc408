"""What others put in our way: links, pipes, names, and files larger in memory than on disk."""

import os

import numpy as np
import pandas as pd
import pytest

from advrec_tf import data, files
from advrec_tf.errors import UserError
from advrec_tf.files import locked, plain_name, regular

from handmade import write
from running import advrec, error_line


def test_a_lock_that_is_a_link_leaves_its_target_alone(tmp_path):
    precious = write(tmp_path / "precious.txt", "mine")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(precious)
    with pytest.raises(UserError, match=".lock is a link or no file: remove it"):
        with locked(tmp_path / "run"):
            pass
    assert precious.read_text() == "mine"


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir])
def test_a_lock_that_is_no_file_is_refused_at_once(tmp_path, make):
    make(tmp_path / ".lock")
    with pytest.raises(UserError, match=".lock is a link or no file"):
        with locked(tmp_path):
            pass


def test_a_lock_file_keeps_what_it_holds(tmp_path):
    write(tmp_path / ".lock", "of another program")
    with locked(tmp_path):
        pass
    assert (tmp_path / ".lock").read_text() == "of another program"


def test_only_regular_files_are_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.csv")
    for path in ("/dev/zero", tmp_path / "pipe.csv", tmp_path):
        with pytest.raises(UserError, match="not a regular file"):
            regular(path)
    with pytest.raises(UserError):
        data.load(str(tmp_path / "pipe.csv"))
    with pytest.raises(FileNotFoundError):
        regular(tmp_path / "absent")


@pytest.mark.parametrize("name", ["shop", "a b.c", "Größe", "x" * files.MAX_NAME, "a&b", "shop-1"])
def test_a_plain_name_stays(name):
    assert plain_name(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "..", ".x", "-x", "=1+1", "+x", "@x", "a/b", "a\\b", "<b>", "a|b", "a`b", "a\nb", "\u202e"]
    + ["\U0001f600" * 31, "\udcff"],
)
def test_another_name_is_refused_in_one_line(name):
    with pytest.raises(UserError) as error:
        plain_name(name)
    assert "\n" not in str(error.value)
    str(error.value).encode()  # it can be printed


@pytest.mark.parametrize("path", ["..", "...csv", "shop/.."])
def test_results_of_a_data_set_stay_in_their_folder(tmp_path, monkeypatch, path):
    (tmp_path / "shop").mkdir()
    monkeypatch.chdir(tmp_path / "shop")
    write(tmp_path / "shop" / "...csv", "1,2\n1,3\n")
    write(tmp_path / "shop" / "shop" / "train.csv", "1,2\n1,3\n")
    for table in ("train.csv", "test.csv"):
        write(tmp_path / table, f"1,{len(table)}\n")
        write(tmp_path / "shop" / table, f"1,{len(table)}\n")
    try:
        name = data.load(path).name
    except UserError as error:
        assert "must have 1 to" in str(error) and path == "...csv"
    else:
        assert "." not in name and name in (tmp_path.name, "shop")


def test_names_of_files_that_are_no_text_are_refused_in_one_line(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xff.csv")
    write(tmp_path / "a.csv", "1,2\n1,3\n").rename(path)
    with pytest.raises(UserError, match="is not UTF-8: rename it"):
        data.load(path)
    error_line(advrec("--experiment=describe", f"--dataset={path}"))
    with pytest.raises(UserError, match="zero bytes"):
        data.load("a\0b.csv")


def test_ids_of_bytes_are_refused_in_one_line(tmp_path):
    table = pd.DataFrame({"user": [b"\xff", b"\xfe"], "item": [1, 2]})
    table.to_parquet(tmp_path / "bin.parquet")
    with pytest.raises(
        UserError, match="bin.parquet: the users are blob, and neither integers nor"
    ):
        data.load(str(tmp_path / "bin.parquet"))


def test_a_table_of_more_rows_than_its_bytes_can_hold_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "FREE_BYTES", 1 << 20)
    monkeypatch.setattr(files, "MAX_RATIO", 20)
    same = np.ones(200_000, np.int64)
    pd.DataFrame({"user": same, "item": same}).to_parquet(tmp_path / "same.parquet")
    with pytest.raises(UserError, match="same.parquet: its .* bytes would become"):
        data.load(str(tmp_path / "same.parquet"))


SCRIPT = "<script>alert(1)</script>"


def test_html_in_ids_is_text_on_a_page(tmp_path):
    rng = np.random.default_rng(0)
    pairs = [(f"{SCRIPT}{u}", f"{SCRIPT}|{(u + i) % 12}") for u in range(9) for i in range(6)]
    table = tmp_path / "shop.csv"
    pd.DataFrame(pairs, columns=["user", "item"]).to_csv(table, index=False)
    rows = {"user": 9, "item": 12}
    flags = [f"--train={table}", f"--output_dir={tmp_path / 'out'}"]
    for side, count in rows.items():
        np.save(tmp_path / f"{side}.npy", rng.normal(size=(count, 4)))
        flags.append(f"--{side}_factors={tmp_path / f'{side}.npy'}")
    result = advrec("--experiment=audit", *flags)
    assert result.status == 0, result.err
    assert SCRIPT not in (tmp_path / "out" / "audit" / "shop" / "audit.html").read_text()


def test_ids_that_a_spreadsheet_would_run_are_told(tmp_path):
    rows = "\n".join(f"u{u},{item}" for u in range(3) for item in ("=1+1", "@x", f"i{u}"))
    table = write(tmp_path / "shop.csv", f"user,item\n{rows}\n")
    said = "a spreadsheet would run ids such as '=1+1' in any file written here"
    assert said in data.load(str(table)).understood
    plain = write(tmp_path / "plain.csv", f"user,item\n{rows}\n".replace("=", "-").replace("@", ""))
    assert "spreadsheet" not in data.load(str(plain)).understood
