"""Downloads of public files, which are resumed and checked before use."""

import hashlib
import os
import shutil
import urllib.error
import urllib.request
import zipfile
from pathlib import Path

from tqdm import tqdm

from advrec_tf.data.sources import Remote
from advrec_tf.errors import UserError
from advrec_tf.files import locked, replacing


def checksum(path: Path, algorithm: str) -> str:
    """Return the checksum of a file as algorithm:hexdigest.

    algorithm: md5, sha1, sha256, git for the SHA-1 of a git blob, or pairs for the SHA-256 of what
    the lines `user item item ...` say, as sorted lines `user,item`
    """
    if algorithm == "pairs":
        return f"pairs:{hashlib.sha256(_sorted_pairs(path)).hexdigest()}"
    digest = hashlib.new("sha1" if algorithm == "git" else algorithm)
    if algorithm == "git":
        digest.update(b"blob %d\0" % path.stat().st_size)
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return f"{algorithm}:{digest.hexdigest()}"


def _sorted_pairs(path: Path) -> bytes:
    """Return the pairs of lines `user item item ...`, as lines `user,item` in order of numbers."""
    pairs = []
    for line in path.read_bytes().splitlines():
        ids = [int(word) for word in line.split()]
        pairs += [(ids[0], item) for item in ids[1:]]
    return b"".join(b"%d,%d\n" % pair for pair in sorted(pairs))


def verify(path: Path, remote: Remote) -> None:
    """Raise UserError if a file is not the public one."""
    actual = checksum(path, remote.algorithm)
    if actual != remote.checksum:
        raise UserError(
            f"{path}: wrong checksum {actual} instead of {remote.checksum}: "
            f"remove the file and fetch {remote.url} again"
        )


def fetch(remote: Remote, folder: Path, progress: bool = True) -> Path:
    """Download a file into a folder, check it, and return its path.

    A broken download is resumed.  Several processes that want the file download it once.
    Raises UserError with the file, its address and the folder if the download fails.  A download
    with a wrong checksum is removed.
    """
    target, partial = folder / remote.filename, folder / f"{remote.filename}.part"
    try:
        with locked(folder, patience=3600):
            if target.exists() and checksum(target, remote.algorithm) == remote.checksum:
                return target
            _download(remote.url, partial, progress)
            if checksum(partial, remote.algorithm) != remote.checksum:
                partial.unlink()
                raise UserError(
                    f"{remote.url}: the download has a wrong checksum and was removed; "
                    "run the command again"
                )
            os.replace(partial, target)
            return target
    except (urllib.error.URLError, OSError) as error:
        reason = getattr(error, "reason", None) or error
        raise UserError(
            f"{remote.filename} is missing and cannot be downloaded ({reason}): "
            f"get it from {remote.url} and put it into {folder}"
        ) from None


def _download(url: str, partial: Path, progress: bool) -> None:
    """Download a file, from where a partial one ends. Raises OSError if the connection breaks."""
    have = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={have}-"} if have else {})
    try:
        response = urllib.request.urlopen(request, timeout=30)
    except urllib.error.HTTPError as error:
        if error.code != 416:  # the partial file is complete
            raise
        return
    with response:
        resumed = response.status == 206
        left = response.length or 0
        bar = tqdm(
            total=have * resumed + left or None,
            initial=have * resumed,
            unit="B",
            unit_scale=True,
            desc=partial.stem,
            disable=None if progress else True,
        )
        with bar, open(partial, "ab" if resumed else "wb") as file:
            while block := response.read(1 << 16):
                file.write(block)
                bar.update(len(block))
                left -= len(block)
    if response.length is not None and left > 0:
        raise OSError("the connection broke; run the command again to resume")


def unpack_member(archive: Path, member: str, target: Path) -> None:
    """Write one named member of a zip file to `target`, and no other file."""
    try:
        with (
            zipfile.ZipFile(archive) as opened,
            opened.open(member) as source,
            replacing(target) as temporary,
            open(temporary, "wb") as file,
        ):
            shutil.copyfileobj(source, file)
    except (zipfile.BadZipFile, KeyError, EOFError) as error:
        raise UserError(
            f"{archive}: not a usable zip file ({error}): remove it and fetch it again"
        ) from None
