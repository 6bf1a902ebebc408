"""An attack in progress on disk: where it stands, how it got there, and the best profiles so far."""

from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.files import locked
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.settings import (
    GanSettings,
    LearnedSettings,
    RecSys19Settings,
    RecSys20Settings,
)


def own_folder(
    data: Interactions, settings: LearnedSettings, steps: int, seed: int, folder: Path
) -> Path:
    """Where an attack of these settings, so many steps and this seed is kept, below `folder`."""
    identity = {
        "attack": settings.name,
        "version": settings.version,
        "data": data.ratings_fingerprint,
        **asdict(settings),
    }
    identity |= {
        "recommender": settings.recommender and settings.recommender.identity,
        "outer_epochs": steps,
        "seed": seed,
    }
    if isinstance(settings, RecSys19Settings) and settings.start == GanSettings.name:
        identity["gan"] = GanSettings.version
    if isinstance(settings, RecSys20Settings) and settings.defense is not None:
        identity["defense"] = settings.defense.identity(data)
    return Path(folder) / data.name / f"{settings.name}-{storage.hashed(identity)}"


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

    def finished(self, outer_epochs: int) -> bool:
        """Whether nothing is left to do: so many outer epochs are done, or the attack has stopped by itself."""
        return self.done >= outer_epochs or bool(self.state.get("stopped", False))

    def add(
        self,
        rows: list[list[float]],
        profiles: Profiles,
        score: float,
        state: dict[str, np.ndarray],
    ) -> None:
        """One more outer epoch, or several; the profiles are kept when their score is above all before."""
        best = float(self.state.get("best", -np.inf))
        kept = {name: value for name, value in self.state.items() if name.startswith("best.")}
        if score > best:
            kept = {f"best.{name}": value for name, value in profiles.arrays().items()}
        self.history += rows
        self.state = {**state, **kept, "best": np.float64(max(best, score))}
        history = {
            "history": np.asarray(self.history, np.float64),
            "columns": np.array(self.columns),
        }
        storage.save(self.folder / "state.npz", {**self.state, **history})
        storage.write_csv(self.folder / "trajectory.csv", read_trajectory(self.folder))
        self.profiles()

    def profiles(self) -> Profiles:
        """The best profiles so far, which are also at profiles.npz and .csv when this returns."""
        best = Profiles.from_arrays(
            {name[5:]: value for name, value in self.state.items() if name.startswith("best.")}
        )
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
