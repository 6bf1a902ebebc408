"""Every public name has its place on a page of `make docs`."""

import importlib.util

import pytest

import advrec_tf

from running import ROOT, run_python


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("api")
    done = run_python("-W", "error", "docs/render_api.py", str(folder))
    assert (done.returncode, done.stderr) == (0, "")  # a blank name is a warning
    return folder


def test_every_public_name_is_on_the_page_of_its_package(pages):
    spec = importlib.util.spec_from_file_location("render_api", ROOT / "docs/render_api.py")
    render_api = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(render_api)
    packages = render_api.public_packages()
    assert len(packages) == 1 + len(advrec_tf.ROOMS)
    for package, names in packages.items():
        text = (pages / f"{package.replace('.', '/')}.html").read_text()
        rooms = advrec_tf.ROOMS if package == "advrec_tf" else ()
        assert names
        for name in names:
            assert (f"advrec_tf/{name}.html" if name in rooms else f'id="{name}"') in text


def test_the_first_page_has_docstrings_and_signatures(pages):
    text = (pages / "advrec_tf.html").read_text()
    assert "measures an entry" in text  # of audit
    assert ">seed</span>" in text
