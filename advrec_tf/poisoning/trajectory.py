"""An attack in progress on disk: where it stands, how it got there, and the best profiles so far."""

from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf import storage
from advrec_tf.errors import UserError
from advrec_tf.files import locked
from advrec_tf.poisoning.profiles import Profiles


class Trajectory:
    """Keeps, after every outer epoch: state.npz (all that a resumed run needs, and the best profiles), trajectory.csv, and profiles.npz and .csv."""

    def __init__(self, folder: Path, columns: tuple[str, ...] = ()):
        self.folder, self.columns = Path(folder), columns

    def __enter__(self):
        self._lock = locked(self.folder, patience=30)
        self._lock.__enter__()
        path = self.folder / "state.npz"
        self.state = storage.load(path) if path.exists() else {}
        self.history = self.state.pop("history").tolist() if self.state else []
        return self

    def __exit__(self, *error):
        self._lock.__exit__(*error)

    @property
    def done(self) -> int:
        """Outer epochs that are done."""
        return len(self.history)

    def add(self, row: list[float], profiles: Profiles, score: float, state: dict[str, np.ndarray]) -> None:
        """One more outer epoch; its profiles are kept when their score is above all before."""
        best = float(self.state.get("best", -np.inf))
        kept = {name: value for name, value in self.state.items() if name.startswith("best.")}
        if score > best:
            kept = {f"best.{name}": value for name, value in profiles.arrays().items()}
        self.history.append(row)
        self.state = {**state, **kept, "best": np.float64(max(best, score))}
        history = {"history": np.asarray(self.history, np.float64), "columns": np.array(self.columns)}
        storage.save(self.folder / "state.npz", {**self.state, **history})
        storage.write_csv(self.folder / "trajectory.csv", read_trajectory(self.folder))
        self.profiles()

    def profiles(self) -> Profiles:
        """The best profiles so far, which are also at profiles.npz and .csv when this returns."""
        best = Profiles.from_arrays({name[5:]: value for name, value in self.state.items() if name.startswith("best.")})
        path = self.folder / "profiles.npz"
        try:
            if path.exists() and Profiles.load(path).digest() == best.digest():
                return best
        except UserError:
            pass  # it is written again
        best.save(path)
        return best


def read_trajectory(folder: Path) -> pd.DataFrame:
    """A row for each outer epoch.  Raises UserError for a damaged file."""
    state = storage.load(Path(folder) / "state.npz")
    columns = state["columns"].tolist()
    return pd.DataFrame(state["history"], columns=columns).astype({columns[0]: int})


def read_gan_losses(folder: Path) -> pd.DataFrame | None:
    """The losses of an attack's GAN, a row an epoch, or None if it has none.  Raises UserError for a damaged file."""
    state = storage.load(Path(folder) / "state.npz")
    return pd.DataFrame(state["gan"][:, 1:], index=state["gan"][:, 0].astype(int), columns=["generator", "discriminator"]) if "gan" in state else None
