"""Downloads from a server on this machine."""

import concurrent.futures
import functools
import hashlib
import http.server
import threading
import zipfile

import pytest

from advrec_tf import data
from advrec_tf.data import download, loaders
from advrec_tf.data.download import Remote, checksum, fetch, unpack_member
from advrec_tf.errors import UserError
from advrec_tf.files import locked

RATINGS = "".join(f"{u}::{i}::5::{u * i}\n" for u in range(1, 20) for i in range(1, 9))


class Server(http.server.SimpleHTTPRequestHandler):
    """Serve files with Range, and stop after `limit` bytes if there is a limit."""

    limit, resumes = None, True
    asked: list[str | None] = []  # the Range of every request

    def do_GET(self):
        Server.asked.append(self.headers.get("Range"))
        content = open(self.translate_path(self.path), "rb").read()
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1]) if Server.resumes else 0
        if start >= len(content):
            return self.send_error(416)
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: Server.limit])

    def log_message(self, *args):
        pass


@pytest.fixture
def site(tmp_path, monkeypatch):
    """Serve ml-1m.zip, and make the loader download it from here."""
    Server.limit, Server.asked = None, []
    served = tmp_path / "served"
    served.mkdir()
    with zipfile.ZipFile(served / "ml-1m.zip", "w") as archive:
        archive.writestr("ml-1m/ratings.dat", RATINGS)
        archive.writestr("../escaped.txt", "no")
        archive.writestr("ml-1m/README", "no")
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Server, directory=served)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        remote = Remote(
            f"http://127.0.0.1:{server.server_port}/ml-1m.zip",
            "md5:" + hashlib.md5((served / "ml-1m.zip").read_bytes()).hexdigest(),
        )
        source = loaders.SOURCES["ml-1m"]._replace(remotes=(remote,))
        monkeypatch.setitem(loaders.SOURCES, "ml-1m", source)
        yield remote
        server.shutdown()


def test_a_missing_data_set_is_downloaded_checked_and_unpacked(site, tmp_path):
    built = data.load("ml-1m", tmp_path / "data")
    assert built.n_users == 19 and len(built.train_users) == 19 * 7
    folder = tmp_path / "data" / "ml-1m"
    assert {path.name for path in folder.iterdir()} == {".lock", "ml-1m.zip", "ratings.dat"}
    assert (folder / "ratings.dat").read_text() == RATINGS
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_broken_download_is_resumed(site, tmp_path):
    Server.limit = 100
    with pytest.raises(UserError, match="connection broke|cannot be downloaded"):
        data.load("ml-1m", tmp_path / "data")
    assert (tmp_path / "data" / "ml-1m" / "ml-1m.zip.part").stat().st_size == 100
    Server.limit = None
    assert data.load("ml-1m", tmp_path / "data").n_users == 19
    assert Server.asked == [None, "bytes=100-"]


def test_a_server_that_cannot_resume_sends_the_file_again(site, tmp_path, monkeypatch):
    monkeypatch.setattr(Server, "resumes", False)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "ml-1m.zip.part").write_bytes(b"torn")
    assert checksum(fetch(site, tmp_path / "data"), "md5") == site.checksum


def test_of_two_that_fetch_one_file_the_second_waits_and_takes_it(site, tmp_path):
    folder, content = tmp_path / "data", (tmp_path / "served" / "ml-1m.zip").read_bytes()
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        with locked(folder):
            both = [pool.submit(fetch, site, folder) for _ in range(2)]
            concurrent.futures.wait(both, 0.3)
            assert not Server.asked and not any(each.done() for each in both)
        assert [each.result().read_bytes() for each in both] == [content] * 2
    assert Server.asked == [None]


def test_a_file_that_is_there_but_not_the_public_one_is_fetched(site, tmp_path):
    (tmp_path / "ml-1m.zip").write_bytes(b"not it")
    assert checksum(fetch(site, tmp_path), "md5") == site.checksum


def test_a_complete_part_file_needs_nothing_more(site, tmp_path):
    (tmp_path / "ml-1m.zip.part").write_bytes((tmp_path / "served" / "ml-1m.zip").read_bytes())
    assert checksum(fetch(site, tmp_path), "md5") == site.checksum


def test_a_download_with_a_wrong_checksum_is_removed(site, tmp_path):
    with pytest.raises(UserError, match="wrong checksum and was removed"):
        fetch(site._replace(checksum="md5:0"), tmp_path / "data")
    assert [path.name for path in (tmp_path / "data").iterdir()] == [".lock"]


def test_an_archive_with_a_wrong_checksum_is_refused_and_kept(site, tmp_path):
    folder = tmp_path / "data" / "ml-1m"
    folder.mkdir(parents=True)
    (folder / "ml-1m.zip").write_bytes(b"not it")
    with pytest.raises(UserError, match="wrong checksum .* remove the file and fetch"):
        data.load("ml-1m", tmp_path / "data")
    assert (folder / "ml-1m.zip").read_bytes() == b"not it"


@pytest.mark.parametrize("content", [b"PK\x03\x04 torn", None])
def test_a_corrupt_archive_is_refused(tmp_path, content):
    archive = tmp_path / "a.zip"
    if content is None:
        with zipfile.ZipFile(archive, "w") as opened:
            opened.writestr("other", "x")
    else:
        archive.write_bytes(content)
    with pytest.raises(UserError, match="a.zip: not a usable zip file"):
        unpack_member(archive, "member", tmp_path / "target")
    assert not (tmp_path / "target").exists()


def test_a_failed_download_names_file_address_and_folder(tmp_path, monkeypatch):
    def refuse(*args, **kwargs):
        raise download.urllib.error.URLError("no network")

    monkeypatch.setattr(download.urllib.request, "urlopen", refuse)
    for name, source in loaders.SOURCES.items():
        with pytest.raises(UserError) as error:
            data.load(name, tmp_path)
        text, remote = str(error.value), source.remotes[0]
        assert "\n" not in text
        assert all(part in text for part in (remote.filename, remote.url, str(tmp_path / name)))


def test_git_checksum(tmp_path):
    (tmp_path / "f").write_bytes(b"hello\n")
    assert checksum(tmp_path / "f", "git") == "git:ce013625030ba8dba906f756967f9e9ca394464a"


def test_a_checksum_of_pairs_does_not_depend_on_their_order_in_the_file(tmp_path):
    (tmp_path / "a.txt").write_text("2 10 9\n0\n1 5\n")
    (tmp_path / "b.txt").write_bytes(b"1 5\r\n2 9 10 \r\n")
    expected = hashlib.sha256(b"1,5\n2,9\n2,10\n").hexdigest()
    for name in ("a.txt", "b.txt"):
        assert checksum(tmp_path / name, "pairs") == f"pairs:{expected}"
