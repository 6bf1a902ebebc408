"""Render a page of every public name: python docs/render_api.py FOLDER.

pdoc reads the attributes that a module has. Most of ours are imported on first use, so they are
imported here first.
"""

import importlib
import sys
from pathlib import Path

import pdoc

import advrec_tf


def public_packages() -> dict[str, list[str]]:
    """Return the public names of advrec_tf and its packages, after making them attributes."""
    found = {}
    for name in ("advrec_tf", *(f"advrec_tf.{room}" for room in advrec_tf.ROOMS)):
        package = importlib.import_module(name)
        found[name] = package.__all__ = [*(vars(package).get("__all__") or dir(package))]
        vars(package).update({each: getattr(package, each) for each in found[name]})
    return found


def main(folder: Path) -> None:
    """Write a page for each package, and index.html."""
    public_packages()
    pdoc.render.configure(show_source=False)
    pdoc.pdoc("advrec_tf", output_directory=folder)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
