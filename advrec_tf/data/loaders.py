"""Data sets by name, or of one's own by path."""

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

_MSAP = "https://raw.githubusercontent.com/sisinflab/MSAP/74e73aef5c9d2f6a346f58df5038c93462dcbf8a/data/lastfm/"
_GOWALLA = "https://raw.githubusercontent.com/graytowne/revisit_adv_rec/0e50743712810a515e35642d65399541e2553445/data/gowalla/"
_GROUPLENS = "https://files.grouplens.org/datasets/"


class Source(NamedTuple):
    """Where a named data set comes from: one table to be split (a member of an archive), or a train and a test table; and its published sizes."""

    files: tuple[str, ...]
    remotes: tuple[Remote, ...]
    users: int | None = None  # not known
    items: int | None = None
    interactions: int | None = None
    member: str = ""


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
    downloaded there when it is missing; it is `registered` when it has the published sizes.  A path names a table (.csv,
    .tsv, ...) that is split here, unless `test` names the test table beside it, or a folder with train and test tables; the
    data are named by its stem, after "own-" where that is one of NAMES.  `split` ("last", "random" or "80:20") and `seed`
    choose what is held out, `columns` says where the fields stand (see `read_table`), and `sizes` are the arguments of `synthetic`.

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
            raise UserError(
                f"data set {name!r} is neither one of {', '.join(NAMES)} nor a file or folder"
            )
        tables = (
            (own, *([Path(test)] if test is not None else []))
            if own.is_file()
            else _split_tables(own)
        )
        if not tables:
            wanted = " or ".join(" + ".join(pair) for pair in _SPLIT_FILES)
            raise UserError(
                f"{own}: the folder holds no {wanted}; name the table itself to have it split"
            )
    frames = [read_table(path, columns) for path in tables]
    built = Interactions.from_frames(
        *frames, name=name if name in SOURCES else _own_name(name), split=split, seed=seed
    )
    return replace(built, registered=name in SOURCES and _has_sizes_of(built, SOURCES[name]))


def distinct_names(datasets: list[Interactions], paths: list[str]) -> list[Interactions]:
    """The inputs of one command, those of different paths that share a name told apart: <name>-<6 digits of their absolute path's SHA-256>."""
    absolute = [os.path.abspath(path) for path in paths]
    sharing = defaultdict(set)
    for data, path in zip(datasets, absolute):
        sharing[data.name].add(path)
    return [
        replace(data, name=f"{data.name}-{hashlib.sha256(path.encode()).hexdigest()[:6]}")
        if len(sharing[data.name]) > 1
        else data
        for data, path in zip(datasets, absolute)
    ]


def _own_name(path: str) -> str:
    """The name of the file or folder, and never that of a public data set."""
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
