"""Where public data sets come from, by name.  This module imports no library."""

from typing import NamedTuple

_GITHUB = "https://raw.githubusercontent.com/"
_MSAP = f"{_GITHUB}sisinflab/MSAP/74e73aef5c9d2f6a346f58df5038c93462dcbf8a/data/lastfm/"
_GOWALLA = (
    f"{_GITHUB}graytowne/revisit_adv_rec/0e50743712810a515e35642d65399541e2553445/data/gowalla/"
)
_LIGHTGCN = (
    f"{_GITHUB}gusye1234/LightGCN-PyTorch/a75bbdb2a1b63ae40c14e2b3af7b925c4c8621af/data/gowalla/"
)
_GROUPLENS = "https://files.grouplens.org/datasets/"


class Remote(NamedTuple):
    """A public file: its address, and its checksum as algorithm:hexdigest.

    The algorithm is md5, sha1, sha256, git or pairs.
    """

    url: str
    checksum: str

    @property
    def filename(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def algorithm(self) -> str:
        return self.checksum.partition(":")[0]


class Source(NamedTuple):
    """The files of a named data set and its published sizes.

    There is one table to be split, which is a member of an archive, or a train and a test table.
    """

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
    "gowalla-lightgcn": Source(
        ("train.txt", "test.txt"),
        (
            Remote(
                _LIGHTGCN + "train.txt",
                "pairs:e29436e1122dfd14ce923d07c3e036d0c9f7e50ebcae24af8a193480528ad91c",
            ),
            Remote(
                _LIGHTGCN + "test.txt",
                "pairs:bf55bc344f6e1ad8ff4e0e46f689a94683edcbf8d28c672a28e62a15154aa7ee",
            ),
        ),
        users=29_858,
        items=40_981,
        interactions=1_027_370,
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
