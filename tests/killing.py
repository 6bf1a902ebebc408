"""Stop an attack in the middle, and read what it left."""


class Killed(Exception):
    """Stand for a kill."""


def contents(folder):
    """Return the files of a folder, without its lock: name -> content."""
    return {
        path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"
    }


def killed_after(monkeypatch, module, epochs):
    """Stop an attack of a module as a kill would, after it has stored some outer epochs."""
    real, left = module.Trajectory.add, [epochs]

    def add(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        real(self, *args, **kwargs)

    monkeypatch.setattr(module.Trajectory, "add", add)
