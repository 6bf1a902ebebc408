import atexit
import io
import os
import shutil
import tempfile

from advrec_tf.execution.startup import one_thread_for_numpy, start_tensorflow

if "TF_XLA_FLAGS" not in os.environ:  # all tests and their processes share compiled programs
    COMPILED = tempfile.mkdtemp(prefix="advrec-xla-")
    atexit.register(shutil.rmtree, COMPILED, ignore_errors=True)
    os.environ["TF_XLA_FLAGS"] = f"--tf_xla_persistent_cache_directory={COMPILED}"

one_thread_for_numpy()
start_tensorflow()  # with one thread, as the processes of a run have it

import numpy as np
import pytest
from matplotlib.figure import Figure

from advrec_tf import data
from advrec_tf.reporting import plots


@pytest.fixture(scope="session", autouse=True)
def sketches():
    """Draw pictures coarsely and without a layout, and those of the same parts only once."""
    drawn: dict[tuple, bytes] = {}

    def savefig(figure, target, **options):
        parts = tuple(type(part) for part in figure.findobj())
        if parts not in drawn:
            figure.set_layout_engine("none")
            buffer = io.BytesIO()
            draw(figure, buffer, **options | {"bbox_inches": None})
            drawn[parts] = buffer.getvalue()
        target.write(drawn[parts])

    draw = Figure.savefig
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Figure, "savefig", savefig)
        patch.setattr(plots, "DPI", 30)
        yield


@pytest.fixture(scope="session")
def small():
    """Return a data set that trains in seconds."""
    return data.synthetic(n_users=80, n_items=50, per_user=12, seed=3)


@pytest.fixture(scope="session")
def shop():
    """A small data set of ratings, 80:20, to poison."""
    return data.synthetic(n_users=24, n_items=17, per_user=6, seed=2, split="80:20")


@pytest.fixture
def problem():
    """Return a function that makes random factors and triples: P, Q, triples.

    There are duplicate rows, and rows without gradient.
    """

    def build(seed=0, n_users=23, n_items=31, dim=7, n=300, scale=0.5):
        rng = np.random.default_rng(seed)
        P, Q = (rng.normal(0, scale, (rows, dim)).astype(np.float32) for rows in (n_users, n_items))
        highs = (n_users - 2, n_items - 3, n_items - 3)  # the last users and items never occur
        triples = tuple(rng.integers(0, high, n).astype(np.int32) for high in highs)
        return P, Q, triples

    return build
