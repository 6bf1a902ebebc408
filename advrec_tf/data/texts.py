"""The text of a table, in UTF-8: unpacked and decoded first where it is not."""

import codecs
import contextlib
import gzip
import zipfile
import zlib
from pathlib import Path
from typing import IO, NamedTuple

from advrec_tf.errors import UserError
from advrec_tf.files import check_growth

BLOCK = 1 << 22  # bytes
HEAD = 1 << 16  # characters that show what a text is
_MARKS = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
_PATTERNS = set("*?[]{}")  # which a reader of many files would expand


class Text(NamedTuple):
    """A text file in UTF-8.

    head: its first characters; lines: how many it has, without blank ones at its end; encoding:
    what it was decoded from, "" for UTF-8.
    """

    path: Path
    head: str
    lines: int
    encoding: str = ""


def plain_text(path: Path, folder: Path, encoding: str | None = None) -> Text:
    """Return the text of a file, which may be packed (.gz, .zip) and in any encoding.

    Without `encoding` it is UTF-8, UTF-16 if it begins with that mark, or else latin-1.
    folder: where it is unpacked and decoded.
    Raises UserError for a file that holds no text, or grows beyond reason when it is unpacked.
    """
    source = path
    if path.suffix in (".gz", ".zip"):
        source = folder / "unpacked"
        _unpack(path, source)
    text = _in_utf8(path, source, folder / "decoded", encoding or _marked(source))
    return text._replace(path=without_patterns(text.path, folder))


def without_patterns(path: Path, folder: Path) -> Path:
    """Return a name of the file that no reader takes for a pattern of several, in `folder`."""
    if not _PATTERNS & set(str(path)):
        return path
    plain = folder / "table"
    plain.symlink_to(path.absolute())
    return plain


def _in_utf8(path: Path, source: Path, copy: Path, encoding: str | None) -> Text:
    """Return the text at `source`, decoded to `copy` where it is not in UTF-8.

    path: what errors name.  encoding: None where nothing says it.
    """
    try:
        if encoding is None:
            try:
                return _described(source)
            except UnicodeDecodeError:
                encoding = "latin-1"
        _decode(source, copy, encoding)
        text = _described(copy)
    except (UnicodeError, LookupError) as error:
        raise UserError(f"{path}: not a text file in {encoding} ({error})") from None
    return text._replace(encoding="" if encoding == "utf-8-sig" else encoding)


def _marked(path: Path) -> str | None:
    """Return the encoding that the first bytes of a file say, or None."""
    with open(path, "rb") as file:
        first = file.read(4)
    return next((name for mark, name in _MARKS.items() if first.startswith(mark)), None)


def _described(path: Path) -> Text:
    """Return a text in UTF-8.

    Raises UnicodeDecodeError for other bytes, and UnicodeError for zeros, which no text has.
    """
    decoder, head, lines, at_end = codecs.getincrementaldecoder("utf-8")(), "", 0, 0
    with open(path, "rb") as file:
        while block := file.read(BLOCK):
            text = decoder.decode(block)
            if "\0" in text:
                raise UnicodeError("it holds zero bytes")
            head += text[: HEAD - len(head)]
            lines += block.count(b"\n")
            content = block.rstrip(b"\r\n")
            at_end = block.count(b"\n", len(content)) + (0 if content else at_end)
        decoder.decode(b"", final=True)
    return Text(path, head, lines - at_end + 1)


def _decode(source: Path, target: Path, encoding: str) -> None:
    """Write a text again in UTF-8. Raises UnicodeError where the encoding does not fit."""
    with (
        open(source, encoding=encoding, newline="") as read,
        open(target, "w", encoding="utf-8", newline="") as write,
    ):
        while block := read.read(BLOCK):
            write.write(block)


def _unpack(path: Path, target: Path) -> None:
    """Write the content of a .gz, or the only file of a .zip.

    Raises UserError for other files, damaged ones, and ones that grow beyond reason.
    """
    packed = path.stat().st_size
    try:
        with contextlib.ExitStack() as stack:
            file = _opened(path, stack)
            written = 0
            with open(target, "wb") as unpacked:
                while block := file.read(BLOCK):
                    written += len(block)
                    check_growth(path, packed, written)
                    unpacked.write(block)
    except (zipfile.BadZipFile, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise UserError(f"{path}: not a whole packed file ({error})") from None
    except (NotImplementedError, RuntimeError) as error:  # other compressions, passwords
        raise UserError(f"{path}: it cannot be unpacked ({error})") from None


def _opened(path: Path, stack: contextlib.ExitStack) -> IO[bytes] | gzip.GzipFile:
    """Open what a packed file holds. Raises UserError unless a .zip holds one file."""
    if path.suffix == ".gz":
        return stack.enter_context(gzip.open(path))
    archive = stack.enter_context(zipfile.ZipFile(path))
    names = [each.filename for each in archive.infolist() if not each.is_dir()]
    names = [name for name in names if not name.startswith("__MACOSX/")]
    if len(names) != 1:
        shown = ", ".join(names[:3])
        raise UserError(
            f"{path}: it holds {len(names)} files ({shown}, ...): unpack it and name one table"
        )
    return stack.enter_context(archive.open(names[0]))
