"""Data sets by name, and own data by path."""

import hashlib
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

import pandas as pd

from advrec_tf.data.columns import Columns
from advrec_tf.data.download import fetch, unpack_member, verify
from advrec_tf.data.frames import without_cold
from advrec_tf.data.interactions import Interactions
from advrec_tf.data.reading import AS_WRITTEN, Reading
from advrec_tf.data.seeds import check_seed
from advrec_tf.data.sources import NAMES, SOURCES, Source
from advrec_tf.data.synthesis import synthetic
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError
from advrec_tf.files import plain_name

_SPLIT_FILES = (
    ("trainingset.tsv", "testset.tsv"),
    ("train.tsv", "test.tsv"),
    ("train.csv", "test.csv"),
    ("train.parquet", "test.parquet"),
    ("train.txt", "test.txt"),
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
    columns: Columns | None = None,
    reading: Reading = AS_WRITTEN,
    progress: bool = True,
    **sizes: int,
) -> Interactions:
    """Return a data set by name (see NAMES), or own data from a table or a folder.

    A named set is read from `data_dir`/name, in its original layout or pre-split.  It is downloaded
    to this folder if it is missing, and `registered` if it has the published sizes.
    A path is that of a folder with train and test tables, or of a table, which is split here unless
    `test` is the test table.  The data are named by the path's stem, after "own-" for one of NAMES.

    split: "last", "random" or "80:20"; it and `seed` choose what is held out; columns, reading: see
    `read_table`; sizes: the arguments of `synthetic`.
    Raises UserError, in one line, for input that is missing or malformed.
    """
    check_seed(seed)
    _check_path(name, test)
    if name == "synthetic":
        return synthetic(**sizes, seed=seed, split=split)
    if name in SOURCES:
        folder = Path(data_dir or default_data_dir()) / name
        tables = _split_tables(folder) or _tables(SOURCES[name], folder, progress)
    else:
        tables = _own_tables(Path(name), test)
    known_name = name if name in SOURCES else _own_name(name)
    frames = [read_table(path, columns, reading) for path in tables]
    if len(frames) == 2 and reading.cold == "drop":
        frames[1] = without_cold(*frames)
    built = Interactions.from_frames(*frames, name=known_name, split=split, seed=seed)
    registered = name in SOURCES and _has_sizes_of(built, SOURCES[name])
    said = f"{frames[0].attrs['read']}; {_split_of(frames, split)}"
    return replace(built, registered=registered, source=Path(name).name, read=said)


def _check_path(name: str, test: str | Path | None) -> None:
    """Raise UserError for no path, and for a test table beside what is no table."""
    if "\0" in name:
        raise UserError("a path holds no zero bytes")
    if test is not None and not Path(name).is_file():
        raise UserError(f"a test table goes with a train table of one's own, not with {name}")


def _split_of(frames: list[pd.DataFrame], split: str | None) -> str:
    """Say how the test part was made, and what was left out of it."""
    if len(frames) == 2:
        test = frames[1].attrs
        return "; ".join([f"test: {Path(test['path']).name}", *test.get("dropped", ())])
    if split in (None, "last"):
        return "split: last by time" if "timestamp" in frames[0] else "split: one at random"
    return f"split: {split}"


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
    """Return the stem of a file or folder, changed if it is the name of a public data set.

    Raises UserError for a stem that cannot name a folder of results.
    """
    absolute = os.path.abspath(path.removesuffix(".gz").removesuffix(".zip"))
    stem = plain_name(Path(absolute).stem)
    return f"own-{stem}" if stem in NAMES else stem


def _has_sizes_of(data: Interactions, source: Source) -> bool:
    """Return whether data have the numbers of users, items and interactions that are published."""
    sizes = data.n_users, data.n_items, len(data.train_users) + len(data.test_users)
    return all(
        published in (None, size)
        for published, size in zip((source.users, source.items, source.interactions), sizes)
    )


def _split_tables(folder: Path) -> tuple[Path, ...]:
    """Return the train and test tables of a folder, () if it has none."""
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
