"""Find fake users: PCA and an SVM (section III-B.1), and a distance that needs no labels."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.decomposition import PCA
from sklearn.metrics import average_precision_score, precision_recall_fscore_support, roc_auc_score
from sklearn.model_selection import StratifiedKFold
from sklearn.svm import SVC

from advrec_tf.data import Interactions
from advrec_tf.defenses.protocol import Defense
from advrec_tf.errors import UserError
from advrec_tf.evaluation import DETECTION
from advrec_tf.execution import storage
from advrec_tf.execution.results import Measured
from advrec_tf.poisoning import Profiles

KERNELS: dict[str, dict[str, Any]] = {
    "linear": {"kernel": "linear"},
    "rbf": {"kernel": "rbf"},
    "poly2": {"kernel": "poly", "degree": 2},
    "poly3": {"kernel": "poly", "degree": 3},
    "sigmoid": {"kernel": "sigmoid"},
}
FLAGGED = "real users flagged"
KNOWN = "the same fakes, out of fold"  # a value of the column `tested_on`
SAMPLINGS = ("imbalanced", "down-sampled")
VERSION = 1  # of the detectors; increase it whenever their values change


def principal_components(matrix: sparse.csr_matrix, components: int, seed: int = 0) -> PCA:
    """Fit a PCA of the centred rows, without a dense copy of the matrix.

    Components come by falling variance, so the first k are those of a smaller PCA.  Raises
    UserError when the matrix has too few.
    """
    if not 1 <= components < min(matrix.shape):
        raise UserError(
            f"PCA of {matrix.shape[0]} profiles and {matrix.shape[1]} items has fewer than"
            f" {components} components"
        )
    # ARPACK needs floats; it centres inside its products.
    return PCA(components, svd_solver="arpack", random_state=seed).fit(matrix.astype(np.float64))


def support_vector_machine(kernel: str, c: float = 1.0, seed: int = 0) -> SVC:
    """Return a machine with one of KERNELS and scikit-learn's defaults.

    These are C = 1 and gamma = 1 / (components x variance).
    """
    if kernel not in KERNELS:
        raise UserError(f"the kernel must be one of {', '.join(KERNELS)}, not {kernel!r}")
    return SVC(C=c, random_state=seed, **KERNELS[kernel])


def labels_of(data: Interactions, n_real: int) -> np.ndarray:
    """Return True for the fake users, those from n_real on."""
    return np.arange(data.n_users) >= n_real


def _folds(labels: np.ndarray, folds: int, seed: int) -> StratifiedKFold:
    """Return stratified folds of the users. Raises UserError for fewer fakes than folds.

    labels: [users], True for fakes
    """
    if labels.sum() < folds:
        raise UserError(
            f"{folds}-fold cross-validation needs at least as many fake users as folds,"
            f" not {labels.sum()}"
        )
    return StratifiedKFold(folds, shuffle=True, random_state=seed)


def down_sampled(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return the positions of all fakes and of as many random real users, ascending."""
    fakes, real = np.flatnonzero(labels), np.flatnonzero(~labels)
    count = min(len(fakes), len(real))
    drawn = np.random.default_rng(seed).choice(real, count, replace=False)
    return np.sort(np.concatenate([fakes, drawn]))


def fold_of(
    labels: np.ndarray, sampling: str, fold: int, folds: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Return the positions of the users that a stratified fold trains on and tests on.

    labels: bool [users]
    """
    chosen = down_sampled(labels, seed) if sampling == "down-sampled" else np.arange(len(labels))
    splits = list(_folds(labels[chosen], folds, seed).split(labels[chosen], labels[chosen]))
    train, test = splits[fold]
    return chosen[train], chosen[test]


def fold_scores(
    points: list[dict],
    matrix: sparse.csr_matrix,
    labels: np.ndarray,
    folds: int = 10,
    c: float = 1.0,
) -> Measured:
    """Score the kernel and number of components of every point on one fold.

    PCA is fitted on the training users of the fold.

    points: of one sampling, fold and seed; matrix: [users, items], labels: bool [users]
    """
    first = points[0]
    train, test = fold_of(labels, first["sampling"], first["fold"], folds, first["seed"])
    widest = max(point["components"] for point in points)
    pca = principal_components(matrix[train], widest, first["seed"])
    known, unknown = (pca.transform(matrix[part].astype(np.float64)) for part in (train, test))
    rows = []
    for point in points:
        width = point["components"]
        machine = support_vector_machine(point["kernel"], c, point["seed"])
        machine.fit(known[:, :width], labels[train])
        scores = machine.decision_function(unknown[:, :width])
        rows.append(point | detection_scores(labels[test], scores > 0, scores))
    return rows, {}


def detection_scores(
    labels: np.ndarray, flagged: np.ndarray, scores: np.ndarray
) -> dict[str, float]:
    """Return recall, precision and F1 of the flags, and AUROC and AUPRC of the scores.

    Fakes are the positives.
    """
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, flagged, average="binary", zero_division=0
    )
    areas = roc_auc_score(labels, scores), average_precision_score(labels, scores)
    return dict(zip(DETECTION, map(float, (recall, precision, f1, *areas))))


@dataclass(frozen=True, eq=False)
class Svm(Defense):
    """PCA and SVM as a defence, trained on the real users and the `known` fakes of one attack run.

    A user in the training data is classified by the machine of the fold that excludes him.  Fakes
    of another run are classified by a machine that is trained on all training data.
    """

    known: Profiles
    kernel: str = "poly2"
    components: int = 20
    sampling: str = "imbalanced"
    folds: int = 10
    c: float = 1.0
    seed: int = 0

    @property
    def columns(self) -> dict:
        """Return the key columns of a row: the defence, its kernel and its components."""
        return {"defense": "svm", "kernel": self.kernel, "components": self.components}

    def cleaned(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        """Return the data without the interactions of flagged users."""
        return sanitize(data, self.flag_users(data, n_real, cache_dir)[0])[0]

    def flag_users(
        self, data: Interactions, n_real: int, cache_dir: Path
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return who is flagged, bool [users], and everybody's scores, float64 [users].

        The scores of the training data are cached.
        """
        matrix, fakes = data.matrix(), sparse.csr_matrix(self.known.matrix() > 0, dtype=np.float32)
        seen = sparse.vstack([matrix[:n_real], fakes], format="csr")
        labels = np.arange(seen.shape[0]) >= n_real
        options = [self.kernel, self.components, self.sampling, self.folds, self.c, self.seed]
        identity = {
            "version": VERSION,
            "detector": options,
            "known": self.known.digest(),
            "real": storage.digest({"i": seen.indices, "p": seen.indptr}),
        }
        scores = storage.cached(
            Path(cache_dir) / "detectors",
            identity,
            lambda: {"scores": self._out_of_fold(seen, labels)},
        )["scores"]
        others = matrix[n_real:]
        if others.shape == fakes.shape and not (others != fakes).nnz:
            return scores > 0, scores
        scores = scores[:n_real]
        if others.shape[0]:
            unseen = self._scores(seen, labels, np.arange(len(labels)), others)
            scores = np.concatenate([scores, unseen])
        return scores > 0, scores

    def _out_of_fold(self, matrix: sparse.csr_matrix, labels: np.ndarray) -> np.ndarray:
        """Return each user's score by the SVM of the folds without that user: float64 [users]."""
        scores = np.full(len(labels), np.nan)
        for train, test in _folds(labels, self.folds, self.seed).split(labels, labels):
            scores[test] = self._scores(matrix, labels, train, matrix[test])
        return scores

    def _scores(
        self,
        matrix: sparse.csr_matrix,
        labels: np.ndarray,
        train: np.ndarray,
        tested: sparse.csr_matrix,
    ) -> np.ndarray:
        """Return the scores of the tested profiles.  train: positions among `matrix`'s rows"""
        if self.sampling == "down-sampled":
            train = train[down_sampled(labels[train], self.seed)]
        pca = principal_components(matrix[train], self.components, self.seed)
        machine = support_vector_machine(self.kernel, self.c, self.seed)
        machine.fit(pca.transform(matrix[train].astype(np.float64)), labels[train])
        return machine.decision_function(pca.transform(tested.astype(np.float64)))


def unsupervised_scores(data: Interactions, components: int = 20, seed: int = 0) -> np.ndarray:
    """Return each user's Mahalanobis distance in the space of the first principal components.

    It needs no labels.  float64 [users]
    """
    matrix = data.matrix()
    pca = principal_components(matrix, components, seed)
    coordinates = pca.transform(matrix.astype(np.float64))
    return np.sqrt(np.sum(coordinates**2 / pca.explained_variance_, axis=1))


def sanitize(data: Interactions, flagged: np.ndarray) -> tuple[Interactions, np.ndarray]:
    """Return the data without the train interactions of flagged users, and the ids of those users.

    Users keep their numbers.  flagged: bool [users]
    """
    kept = ~flagged[data.train_users]
    names = ("train_users", "train_items", "train_ratings", "train_timestamps")
    parts = {name: getattr(data, name)[kept] for name in names if getattr(data, name) is not None}
    return replace(data, name=f"{data.name}-sanitized", **parts), data.user_ids[flagged]


def evaluate_detector(
    points: list[dict],
    data: Interactions,
    tested: dict[str, Profiles],
    detector: Svm | None,
    cache_dir: Path,
) -> Measured:
    """Evaluate a detector on the fakes that each point names in `tested_on`.

    Without a detector, the unsupervised distance flags as many users as there are fakes.
    """
    rows = []
    for point in points:
        fakes = tested[point["tested_on"]]
        poisoned = fakes.stacked_on(data)
        if detector is not None:
            flagged, scores = detector.flag_users(poisoned, data.n_users, cache_dir)
        else:
            scores = unsupervised_scores(poisoned, point["components"])
            flagged = scores >= np.sort(scores)[-fakes.n_users]
        measured = detection_scores(labels_of(poisoned, data.n_users), flagged, scores)
        rows.append(point | measured | {FLAGGED: float(flagged[: data.n_users].sum())})
    return rows, {}


def component_separation(points: list[dict], data: Interactions, fakes: Profiles) -> Measured:
    """Measure how well each principal component separates fakes from real users.

    Every point is a component, numbered from 1.  The arrays hold every user's coordinate on it.
    """
    poisoned = fakes.stacked_on(data)
    matrix, labels = poisoned.matrix(), labels_of(poisoned, data.n_users)
    pca = principal_components(matrix, len(points))
    coordinates = pca.transform(matrix.astype(np.float64))  # [users, components]
    rows = []
    for point in points:
        column = point["component"] - 1
        auroc = roc_auc_score(labels, coordinates[:, column])
        variance = float(pca.explained_variance_ratio_[column])
        rows.append(point | {"variance": variance, "AUROC": float(max(auroc, 1 - auroc))})
    repeated = (len(points), 1)
    return rows, {
        "place": coordinates.T,  # the name in the files of a job
        "user": np.tile(poisoned.user_ids, repeated),
        "fake": np.tile(labels, repeated),
    }
