"""An attack in progress on disk: its state, its history and its best profiles so far."""

from dataclasses import asdict, fields
from pathlib import Path

import numpy as np
import pandas as pd
from tqdm import tqdm

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.execution import storage
from advrec_tf.execution.progress import progress_bar
from advrec_tf.files import locked
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.poisoning.settings import GanConfig, LearnedConfig, RecSys19Config, RecSys20Config

_BEST = "best."  # prefixes the arrays of the best profiles in state.npz


def attack_folder(
    data: Interactions, config: LearnedConfig, steps: int, seed: int, folder: Path
) -> Path:
    """Return where an attack of this configuration is stored, below `folder`."""
    identity = {
        "attack": config.name,
        "version": config.version,
        "data": data.ratings_fingerprint,
        **asdict(config),
        "recommender": config.recommender and config.recommender.identity,
        "outer_epochs": steps,
        "seed": seed,
    }
    if isinstance(config, RecSys19Config) and config.start == GanConfig.name:
        identity["gan"] = GanConfig.version
    if isinstance(config, RecSys20Config) and config.defense is not None:
        identity["defense"] = config.defense.identity(data)
    return Path(folder) / data.name / f"{config.name}-{storage.hashed(identity)}"


class Trajectory:
    """The folder of an attack, locked while the context is open.

    Every saved outer epoch writes state.npz (all that a resumed run needs, and the best profiles),
    trajectory.csv, profiles.npz and profiles.csv.
    """

    def __init__(self, folder: Path, columns: tuple[str, ...] = ()):
        self.folder, self.columns = Path(folder), columns

    def __enter__(self):
        """Lock the folder and read where an earlier run has stopped."""
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
        """Return the number of finished outer epochs."""
        return len(self.history)

    def finished(self, outer_epochs: int) -> bool:
        """Return whether that many outer epochs are done or the attack has stopped by itself."""
        return self.done >= outer_epochs or bool(self.state.get("stopped", False))

    def epochs(self, outer_epochs: int, attack: str, progress: bool) -> tqdm:
        """Return the outer epochs that are left, counted from 0, with a progress bar."""
        return progress_bar(
            range(self.done, outer_epochs),
            desc=attack,
            unit="epoch",
            initial=self.done,
            total=outer_epochs,
            shown=progress,
        )

    def add(
        self,
        rows: list[list[float]],
        profiles: Profiles,
        score: float,
        state: storage.Arrays,
    ) -> None:
        """Save one or several outer epochs.  The profiles are kept if their score is the best."""
        best = float(self.state.get("best", -np.inf))
        kept = profiles if score > best else self._best()
        self.history += rows
        self.state = {
            **state,
            **{f"{_BEST}{name}": value for name, value in kept.arrays().items()},
            "best": np.float64(max(best, score)),
        }
        history = {
            "history": np.asarray(self.history, np.float64),
            "columns": np.array(self.columns),
        }
        storage.save(self.folder / "state.npz", {**self.state, **history})
        storage.write_csv(self.folder / "trajectory.csv", read_trajectory(self.folder))
        self.profiles()

    def _best(self) -> Profiles:
        """Return the best profiles so far."""
        return Profiles.from_arrays(
            {field.name: self.state[f"{_BEST}{field.name}"] for field in fields(Profiles)}
        )

    def profiles(self) -> Profiles:
        """Return the best profiles so far, and make sure that profiles.npz and .csv hold them."""
        best = self._best()
        path = self.folder / "profiles.npz"
        try:
            if path.exists() and Profiles.load(path).digest() == best.digest():
                return best
        except UserError:
            pass  # a damaged file is written again
        best.save(path)
        return best


def read_trajectory(folder: Path) -> pd.DataFrame:
    """Return a row for each outer epoch.  Raises UserError when the file is damaged."""
    state = storage.load(Path(folder) / "state.npz")
    columns = state["columns"].tolist()
    return pd.DataFrame(state["history"], columns=columns).astype({columns[0]: int})
