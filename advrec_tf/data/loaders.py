"""Data sets by name, and own data by path."""

import hashlib
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from advrec_tf.data.download import Remote, fetch, unpack_member, verify
from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import check_seed
from advrec_tf.data.synthetic import synthetic
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

_GITHUB = "https://raw.githubusercontent.com/"
_MSAP = _GITHUB + "sisinflab/MSAP/74e73aef5c9d2f6a346f58df5038c93462dcbf8a/data/lastfm/"
_GOWALLA = (
    _GITHUB + "graytowne/revisit_adv_rec/0e50743712810a515e35642d65399541e2553445/data/gowalla/"
)
_GROUPLENS = "https://files.grouplens.org/datasets/"


class Source(NamedTuple):
    """The files of a named data set, where they come from, and its published sizes.

    The files are one table to be split, or a train and a test table.
    """

    files: tuple[str, ...]
    remotes: tuple[Remote, ...]
    users: int | None = None  # None: not published
    items: int | None = None
    interactions: int | None = None
    member: str = ""  # of the archive that is downloaded, if any


SOURCES = {
    "ml-1m": Source(
        ("ratings.dat",),
        (Remote(_GROUPLENS + "movielens/ml-1m.zip", "md5:c4d9eecfca2ab87c1945afe126590906"),),
        users=6_040,
        items=3_706,
        interactions=1_000_209,
        member="ml-1m/ratings.dat",
    ),
    "ml-100k": Source(
        ("u.data",),
        (Remote(_GROUPLENS + "movielens/ml-100k.zip", "md5:0e33842e24a9c977be4e0107933c0723"),),
        users=943,
        items=1_682,
        interactions=100_000,
        member="ml-100k/u.data",
    ),
    "lastfm": Source(
        ("trainingset.tsv", "testset.tsv"),
        (
            Remote(_MSAP + "trainingset.tsv", "git:b14bd9af89b55b0fb7d336f2d4134b125c4eeeb4"),
            Remote(_MSAP + "testset.tsv", "git:dffe4e11f8a5e6e154810f1a24703420da10d02c"),
        ),
        users=2_847,
    ),
    "lastfm-2k": Source(
        ("user_artists.dat",),
        (
            Remote(
                _GROUPLENS + "hetrec2011/hetrec2011-lastfm-2k.zip",
                "sha256:6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
            ),
        ),
        users=1_892,
        items=17_632,
        interactions=92_834,
        member="user_artists.dat",
    ),
    "gowalla": Source(
        ("train.csv", "test.csv"),
        (
            Remote(_GOWALLA + "train.csv", "git:59cbde2efcb9e30b71fb041f498cb20394c4b0f6"),
            Remote(_GOWALLA + "test.csv", "git:462be2a823ab15050e32cb0df3d79c9ed61015e7"),
        ),
        users=13_149,
        items=14_007,
        interactions=535_610,
    ),
}
NAMES = (*SOURCES, "synthetic")
_SPLIT_FILES = (
    ("trainingset.tsv", "testset.tsv"),
    ("train.tsv", "test.tsv"),
    ("train.csv", "test.csv"),
    ("train.parquet", "test.parquet"),
)


def default_data_dir() -> Path:
    """Return $ADVREC_DATA_DIR, or else the user's cache folder."""
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
    """Return a data set by name (see NAMES), or own data from a table or a folder.

    A named set is read from `data_dir`/name, in its original layout or pre-split (trainingset.tsv
    and testset.tsv).  If it is missing, it is downloaded to this folder.  It is `registered` if it
    has the published sizes.
    A path is that of a folder with train and test tables, or of a table.  The table is split here,
    unless `test` is the test table.  The data are named by the path's stem, after "own-" if this
    is one of NAMES.

    split: "last", "random" or "80:20"; it and `seed` choose what is held out; columns: see
    `read_table`; sizes: the arguments of `synthetic`.
    Raises UserError, in one line, for input that is missing or malformed.
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
        tables = _own_tables(Path(name), test)
    frames = [read_table(path, columns) for path in tables]
    known_name = name if name in SOURCES else _own_name(name)
    built = Interactions.from_frames(*frames, name=known_name, split=split, seed=seed)
    return replace(built, registered=name in SOURCES and _has_sizes_of(built, SOURCES[name]))


def _own_tables(path: Path, test: str | Path | None) -> tuple[Path, ...]:
    """Return the tables of own data: the table at `path`, or those of a folder, and the test."""
    if not path.exists():
        raise UserError(
            f"data set {str(path)!r} is neither one of {', '.join(NAMES)} nor a file or folder"
        )
    if path.is_file():
        return (path,) if test is None else (path, Path(test))
    tables = _split_tables(path)
    if not tables:
        wanted = " or ".join(" + ".join(names) for names in _SPLIT_FILES)
        raise UserError(
            f"{path}: the folder holds no {wanted}; name the table itself to have it split"
        )
    return tables


def distinct_names(datasets: list[Interactions], paths: list[str]) -> list[Interactions]:
    """Return the inputs of one command, with different names for different paths.

    Data of different paths that share a name become <name>-<6 digits of the SHA-256 of their
    absolute path>.
    """
    absolute = [os.path.abspath(path) for path in paths]
    paths_of = defaultdict(set)
    for data, path in zip(datasets, absolute):
        paths_of[data.name].add(path)
    named = []
    for data, path in zip(datasets, absolute):
        if len(paths_of[data.name]) > 1:
            digits = hashlib.sha256(path.encode()).hexdigest()[:6]
            data = replace(data, name=f"{data.name}-{digits}")
        named.append(data)
    return named


def _own_name(path: str) -> str:
    """Return the stem of a file or folder, changed if it is the name of a public data set."""
    stem = Path(path).stem
    return f"own-{stem}" if stem in NAMES else stem


def _has_sizes_of(data: Interactions, source: Source) -> bool:
    sizes = data.n_users, data.n_items, len(data.train_users) + len(data.test_users)
    return all(
        published in (None, size)
        for published, size in zip((source.users, source.items, source.interactions), sizes)
    )


def _split_tables(folder: Path) -> tuple[Path, ...]:
    for pair in _SPLIT_FILES:
        if all((folder / file).exists() for file in pair):
            return tuple(folder / file for file in pair)
    return ()


def _tables(source: Source, folder: Path, progress: bool) -> tuple[Path, ...]:
    """Return the files of a named data set, downloaded and unpacked if they are missing."""
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
