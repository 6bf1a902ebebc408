"""Data sets by name, or of one's own by path."""

import os
from pathlib import Path
from typing import NamedTuple

from advrec_tf.data.download import Remote, fetch, unpack_member, verify
from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import check_seed
from advrec_tf.data.synthetic import synthetic
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

_MSAP = "https://raw.githubusercontent.com/sisinflab/MSAP/74e73aef5c9d2f6a346f58df5038c93462dcbf8a/data/lastfm/"
_GOWALLA = "https://raw.githubusercontent.com/graytowne/revisit_adv_rec/0e50743712810a515e35642d65399541e2553445/data/gowalla/"
_GROUPLENS = "https://files.grouplens.org/datasets/"


class Source(NamedTuple):
    """Where a named data set comes from: one table to be split (a member of an archive), or a train and a test table."""

    files: tuple[str, ...]
    remotes: tuple[Remote, ...]
    member: str = ""


SOURCES = {
    "ml-1m": Source(
        ("ratings.dat",),
        (Remote(_GROUPLENS + "movielens/ml-1m.zip", "md5:c4d9eecfca2ab87c1945afe126590906"),),
        "ml-1m/ratings.dat",
    ),
    "ml-100k": Source(
        ("u.data",),
        (Remote(_GROUPLENS + "movielens/ml-100k.zip", "md5:0e33842e24a9c977be4e0107933c0723"),),
        "ml-100k/u.data",
    ),
    "lastfm": Source(
        ("trainingset.tsv", "testset.tsv"),
        (
            Remote(_MSAP + "trainingset.tsv", "git:b14bd9af89b55b0fb7d336f2d4134b125c4eeeb4"),
            Remote(_MSAP + "testset.tsv", "git:dffe4e11f8a5e6e154810f1a24703420da10d02c"),
        ),
    ),
    "lastfm-2k": Source(
        ("user_artists.dat",),
        (
            Remote(
                _GROUPLENS + "hetrec2011/hetrec2011-lastfm-2k.zip",
                "sha256:6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
            ),
        ),
        "user_artists.dat",
    ),
    "gowalla": Source(
        ("train.csv", "test.csv"),
        (
            Remote(_GOWALLA + "train.csv", "git:59cbde2efcb9e30b71fb041f498cb20394c4b0f6"),
            Remote(_GOWALLA + "test.csv", "git:462be2a823ab15050e32cb0df3d79c9ed61015e7"),
        ),
    ),
}
NAMES = (*SOURCES, "synthetic")
_SPLIT_FILES = (("trainingset.tsv", "testset.tsv"), ("train.tsv", "test.tsv"), ("train.csv", "test.csv"))


def default_data_dir() -> Path:
    """$ADVREC_DATA_DIR, else the user's cache folder."""
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(os.environ.get("ADVREC_DATA_DIR") or Path(cache) / "advrec_tf")


def load(
    name: str,
    data_dir: str | Path | None = None,
    seed: int = 0,
    *,
    test: str | Path | None = None,
    split: str | None = None,
    columns: dict[str, str | int] | None = None,
    progress: bool = True,
    **sizes: int,
) -> Interactions:
    """Loads a data set by name (see NAMES), or one's own from a table or a folder.

    A named set is read from `data_dir`/name, in its original layout or pre-split (trainingset.tsv and testset.tsv), and
    downloaded there when it is missing.  A path names a table (.csv, .tsv, ...) that is split here, unless `test` names the test
    table beside it, or a folder with train and test tables.  `split` ("last", "random" or "80:20") and `seed` choose what is
    held out, `columns` says where the fields
    stand (see `read_table`), and `sizes` are the arguments of `synthetic`.

    Raises UserError, in one line, for whatever is missing or malformed.
    """
    check_seed(seed)
    if test is not None and not Path(name).is_file():
        raise UserError(f"a test table goes with a train table of one's own, not with {name}")
    if name == "synthetic":
        return synthetic(**sizes, seed=seed, split=split)
    if name in SOURCES:
        folder = Path(data_dir or default_data_dir()) / name
        tables = _split_tables(folder) or _tables(SOURCES[name], folder, progress)
    else:
        own = Path(name)
        if not own.exists():
            raise UserError(f"data set {name!r} is neither one of {', '.join(NAMES)} nor a file or folder")
        tables = (own, *([Path(test)] if test is not None else [])) if own.is_file() else _split_tables(own)
        if not tables:
            wanted = " or ".join(" + ".join(pair) for pair in _SPLIT_FILES)
            raise UserError(f"{own}: the folder holds no {wanted}; name the table itself to have it split")
    frames = [read_table(path, columns) for path in tables]
    return Interactions.from_frames(*frames, name=Path(name).stem if name not in SOURCES else name, split=split, seed=seed)


def _split_tables(folder: Path) -> tuple[Path, ...]:
    for pair in _SPLIT_FILES:
        if all((folder / file).exists() for file in pair):
            return tuple(folder / file for file in pair)
    return ()


def _tables(source: Source, folder: Path, progress: bool) -> tuple[Path, ...]:
    """The files of a named data set, downloaded and unpacked where they are missing."""
    paths = tuple(folder / file for file in source.files)
    if source.member and not paths[0].exists():
        archive = folder / source.remotes[0].filename
        if archive.exists():
            verify(archive, source.remotes[0])
        else:
            fetch(source.remotes[0], folder, progress)
        unpack_member(archive, source.member, paths[0])
    elif not source.member:
        for path, remote in zip(paths, source.remotes):
            if not path.exists():
                fetch(remote, folder, progress)
    return paths
