"""Data sets by name, or of one's own by path."""

import hashlib
import os
from collections import defaultdict
from dataclasses import replace
from pathlib import Path

from advrec_tf.data.download import fetch, unpack_member, verify
from advrec_tf.data.interactions import Interactions
from advrec_tf.data.seeds import check_seed
from advrec_tf.data.sources import NAMES, SOURCES, Source
from advrec_tf.data.synthesis import synthetic
from advrec_tf.data.tables import read_table
from advrec_tf.errors import UserError

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
