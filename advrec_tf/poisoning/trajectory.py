"""An attack in progress on disk: where it stands, how it got there, and the best profiles so far."""

from pathlib import Path

import numpy as np
import pandas as pd

from advrec_tf.files import locked, replacing
from advrec_tf.poisoning.profiles import Profiles
from advrec_tf.training import checkpoints


class Trajectory:
    """Keeps, after every outer epoch: profiles.npz and .csv (the best), trajectory.csv, and state.npz (all that a resumed run needs)."""

    def __init__(self, folder: Path, columns: tuple[str, ...]):
        self.folder, self.columns = Path(folder), columns

    def __enter__(self):
        self._lock = locked(self.folder, patience=30)
        self._lock.__enter__()
        path = self.folder / "state.npz"
        self.state = checkpoints.load(path) if path.exists() else {}
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
        if score > best:
            profiles.save(self.folder / "profiles")
        self.history.append(row)
        with replacing(self.folder / "trajectory.csv") as temporary:
            pd.DataFrame(self.history, columns=self.columns).astype({self.columns[0]: int}).to_csv(temporary, index=False)
        self.state = {**state, "best": np.float64(max(best, score))}
        checkpoints.save(self.folder / "state.npz", {**self.state, "history": np.asarray(self.history, np.float64)})
