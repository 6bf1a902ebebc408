"""Fake profiles that other programs have written, and what is found of them."""

import json

import numpy as np
import pytest
from scipy import sparse

from advrec_tf import data
from advrec_tf.errors import UserError
from advrec_tf.poisoning import heuristic
from advrec_tf.poisoning.reading import read_profiles

from handmade import frame_of, write
from running import advrec, error_line

ROWS = [(u, i) for u in "abcdef" for i in ("10", "x", "007", "z")[: 2 + ord(u) % 3]]
SHOP = data.Interactions.from_frames(frame_of(ROWS), name="shop")
CLICKS = [(0, "x"), (0, "007"), (1, "x"), (1, "10"), (2, "z")]


def written(path):
    """Write CLICKS in the layout of the file's name."""
    lists = [[item for fake, item in CLICKS if fake == n] for n in range(3)]
    if path.suffix == ".npz":
        columns = [SHOP.item_ids.tolist().index(item) for _, item in CLICKS]
        matrix = sparse.coo_matrix((np.ones(5), ([fake for fake, _ in CLICKS], columns)), (3, 4))
        sparse.save_npz(path, matrix.tocsr())
    elif path.suffix == ".json":
        path.write_text(json.dumps(lists))
    elif path.suffix == ".txt":
        write(path, "".join(f"f{n} {' '.join(items)}\n" for n, items in enumerate(lists)))
    else:
        write(path, "user,item\n" + "".join(f"f{fake},{item}\n" for fake, item in CLICKS))
    return path


@pytest.mark.parametrize("name", ["fakes.npz", "fakes.json", "fakes.txt", "fakes.csv"])
def test_all_layouts_are_the_same_profiles(tmp_path, name):
    fakes = read_profiles(written(tmp_path / name), SHOP, targets=(1,))
    found = list(zip(fakes.users.tolist(), SHOP.item_ids[fakes.items].tolist()))
    assert sorted(found) == sorted(CLICKS)
    assert (fakes.n_users, fakes.targets, fakes.name, fakes.ratings) == (3, (1,), "fakes", None)
    assert fakes.stacked_on(SHOP).n_users == SHOP.n_users + 3


def test_ratings_are_kept_where_the_data_have_some(tmp_path):
    rated = data.Interactions.from_frames(
        frame_of([(*row, 1 + n % 5) for n, row in enumerate(ROWS)], "rating"), name="rated"
    )
    table = write(tmp_path / "fakes.csv", "user,item,rating\n1,x,4\n1,z,2\n")
    assert read_profiles(table, rated).ratings.tolist() == [4, 2]
    assert read_profiles(table, SHOP).ratings is None


def test_our_own_file_is_read_as_before(tmp_path):
    fakes = heuristic("random", SHOP, 2, (1,))
    fakes.save(tmp_path / "own.npz")
    assert read_profiles(tmp_path / "own.npz", SHOP).digest() == fakes.digest()


FAULTS = {
    "absent.npz": (None, "there is no such file of profiles"),
    "fakes.pkl": ("", "profiles are read from .npz, .csv"),
    "fakes.json": ("[[1, 2], 3]", "not a JSON list of lists of items"),
    "empty.json": ("[]", "it holds no items"),
    "deep.json": ("[" * 100_000, "not a JSON list of lists"),
    "unknown.csv": ("user,item\n1,x\n1,nothing\n", "'nothing' is no item of shop .1 such"),
    "torn.npz": ("torn", "torn.npz"),
    "=x.csv": ("user,item\n1,x\n1,z\n", "begin with none of"),
}


@pytest.mark.parametrize("name", FAULTS)
def test_other_files_are_refused_in_one_line(tmp_path, name):
    text, message = FAULTS[name]
    if text is not None:
        write(tmp_path / name, text)
    with pytest.raises(UserError, match=message) as error:
        read_profiles(tmp_path / name, SHOP)
    assert "\n" not in str(error.value)


def test_a_matrix_of_other_items_is_refused(tmp_path):
    sparse.save_npz(tmp_path / "wide.npz", sparse.csr_matrix(np.eye(7)))
    with pytest.raises(UserError, match="it has 7 columns, shop 4 items"):
        read_profiles(tmp_path / "wide.npz", SHOP)
    sparse.save_npz(tmp_path / "none.npz", sparse.csr_matrix((3, 4)))
    with pytest.raises(UserError, match="it holds no interactions"):
        read_profiles(tmp_path / "none.npz", SHOP)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """Return a folder with fakes for the synthetic data, and their targets' ids."""
    folder = tmp_path_factory.mktemp("attacked")
    shop = data.synthetic(split="80:20")
    fakes = heuristic("bandwagon", shop, 20, (3, 4))
    rows = zip(fakes.users, shop.item_ids[fakes.items])
    write(folder / "theirs.csv", "user,item\n" + "".join(f"f{u},{i}\n" for u, i in rows))
    return folder, shop.item_ids[[3, 4]].tolist()


def test_detectors_run_on_them(attacked):
    folder, _ = attacked
    flags = ["--preset=quick", f"--profiles={folder / 'theirs.csv'}", f"--output_dir={folder}"]
    result = advrec("--experiment=detect", *flags)
    assert result.status == 0, result.err
    assert "20 fakes beside the 600 users" in result.out and "are found" in result.out
    error_line(advrec("--experiment=detect", "--preset=quick"))


def test_victims_are_attacked_by_them(attacked):
    folder, ids = attacked
    flags = ["--preset=quick", "--experiment=poison", "--seed=0", "--victim_epochs=2"]
    flags += [f"--profiles={folder / 'theirs.csv'}", f"--output_dir={folder}"]
    assert "add --target_ids=" in error_line(advrec(*flags))
    result = advrec(*flags, f"--target_ids={','.join(map(str, ids))}")
    assert result.status == 0 and "theirs" in result.report, result.err
    assert "is no item of" in error_line(advrec(*flags, "--target_ids=nothing"))
    both = advrec(*flags, "--target_ids=3", "--targets=3")
    assert "say the same" in error_line(both)
