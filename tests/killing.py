"""Attacks that are stopped in the middle, and what they leave."""


class Killed(Exception):
    """Stands for a kill."""


def contents(folder):
    return {
        path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != ".lock"
    }


def killed_after(monkeypatch, module, epochs):
    """Stops an attack of a module as a kill would, after its bookkeeping of some outer epochs."""
    real, left = module.Trajectory.add, [epochs]

    def add(self, *args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            raise Killed
        real(self, *args, **kwargs)

    monkeypatch.setattr(module.Trajectory, "add", add)
