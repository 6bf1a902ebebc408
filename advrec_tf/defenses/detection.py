"""Finding fake users: PCA and a support vector machine (section III-B.1), and a detector that needs no labels."""

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
from advrec_tf.poisoning import Profiles

KERNELS: dict[str, dict[str, Any]] = {
    "linear": {"kernel": "linear"},
    "rbf": {"kernel": "rbf"},
    "poly2": {"kernel": "poly", "degree": 2},
    "poly3": {"kernel": "poly", "degree": 3},
    "sigmoid": {"kernel": "sigmoid"},
}
FLAGGED = "real users flagged"
KNOWN = "the same fakes, out of fold"  # as what a detector is tested on
SAMPLINGS = ("imbalanced", "down-sampled")
VERSION = 1  # of the detectors, one more whenever their bytes change


def principal_components(matrix: sparse.csr_matrix, components: int, seed: int = 0) -> PCA:
    """PCA of the centred rows, without a dense copy of the matrix; components come by falling variance, so the first k are a smaller PCA's."""
    if not 1 <= components < min(matrix.shape):
        raise UserError(
            f"PCA of {matrix.shape[0]} profiles and {matrix.shape[1]} items has fewer than {components} components"
        )
    # Integers defeat ARPACK; centring is done inside its products.
    return PCA(components, svd_solver="arpack", random_state=seed).fit(matrix.astype(np.float64))


def support_vector_machine(kernel: str, c: float = 1.0, seed: int = 0) -> SVC:
    """One of KERNELS with scikit-learn's defaults: C = 1, gamma = 1 / (components x variance)."""
    if kernel not in KERNELS:
        raise UserError(f"the kernel must be one of {', '.join(KERNELS)}, not {kernel!r}")
    return SVC(C=c, random_state=seed, **KERNELS[kernel])


def labels_of(data: Interactions, n_real: int) -> np.ndarray:
    """True for the fake users: those from n_real on."""
    return np.arange(data.n_users) >= n_real


def _folds(labels: np.ndarray, folds: int, seed: int) -> StratifiedKFold:
    if labels.sum() < folds:
        raise UserError(
            f"{folds}-fold cross-validation needs at least as many fake users as folds, not {labels.sum()}"
        )
    return StratifiedKFold(folds, shuffle=True, random_state=seed)


def down_sampled(labels: np.ndarray, seed: int) -> np.ndarray:
    """Positions of all fakes and of as many random real users, ascending."""
    fakes, real = np.flatnonzero(labels), np.flatnonzero(~labels)
    return np.sort(
        np.concatenate(
            [
                fakes,
                np.random.default_rng(seed).choice(real, min(len(fakes), len(real)), replace=False),
            ]
        )
    )


def fold_of(
    labels: np.ndarray, sampling: str, fold: int, folds: int, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """The users that a stratified fold trains on and those it is tested on, as positions.  labels: bool [users]"""
    chosen = down_sampled(labels, seed) if sampling == "down-sampled" else np.arange(len(labels))
    train, test = list(_folds(labels[chosen], folds, seed).split(labels[chosen], labels[chosen]))[
        fold
    ]
    return chosen[train], chosen[test]


def fold_scores(
    points: list[dict],
    matrix: sparse.csr_matrix,
    labels: np.ndarray,
    folds: int = 10,
    c: float = 1.0,
) -> tuple[list[dict], dict]:
    """Scores on one fold of a stratified cross-validation, of the kernel and number of components of every point; PCA sees the training fold alone.

    points: of one sampling, fold and seed; matrix: [users, items], labels: bool [users]
    """
    first = points[0]
    train, test = fold_of(labels, first["sampling"], first["fold"], folds, first["seed"])
    pca = principal_components(
        matrix[train], max(point["components"] for point in points), first["seed"]
    )
    known, unknown = (pca.transform(matrix[part].astype(np.float64)) for part in (train, test))
    rows = []
    for point in points:
        machine = support_vector_machine(point["kernel"], c, point["seed"]).fit(
            known[:, : point["components"]], labels[train]
        )
        scores = machine.decision_function(unknown[:, : point["components"]])
        rows.append(point | detection_scores(labels[test], scores > 0, scores))
    return rows, {}


def detection_scores(
    labels: np.ndarray, flagged: np.ndarray, scores: np.ndarray
) -> dict[str, float]:
    """Recall, precision and F1 of what is flagged, and AUROC and AUPRC of the scores; fakes are the positives."""
    precision, recall, f1, _ = precision_recall_fscore_support(
        labels, flagged, average="binary", zero_division=0
    )
    return dict(
        zip(
            DETECTION,
            map(
                float,
                (
                    recall,
                    precision,
                    f1,
                    roc_auc_score(labels, scores),
                    average_precision_score(labels, scores),
                ),
            ),
        )
    )


@dataclass(frozen=True, eq=False)
class Svm(Defense):
    """PCA and SVM as a defence, trained on the real users and the `known` fakes of one attack run.

    Every user who took part in the training is judged by machines that did not see him (out of fold); fakes of another run, by the one that saw all.
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
        return {"defense": "svm", "kernel": self.kernel, "components": self.components}

    def cleaned(self, data: Interactions, n_real: int, cache_dir: Path) -> Interactions:
        """The data without the interactions of the users that are flagged."""
        return sanitize(data, self.flag_users(data, n_real, cache_dir)[0])[0]

    def flag_users(
        self, data: Interactions, n_real: int, cache_dir: Path
    ) -> tuple[np.ndarray, np.ndarray]:
        """Who is flagged, and the score of everybody, [users]; the slow part, which knows the real users alone, is kept in cache_dir."""
        matrix, fakes = data.matrix(), sparse.csr_matrix(self.known.matrix() > 0, dtype=np.float32)
        seen = sparse.vstack([matrix[:n_real], fakes], format="csr")
        labels = np.arange(seen.shape[0]) >= n_real
        settings = [self.kernel, self.components, self.sampling, self.folds, self.c, self.seed]
        identity = {
            "version": VERSION,
            "detector": settings,
            "known": self.known.digest(),
            "real": storage.digest({"i": seen.indices, "p": seen.indptr}),
        }
        scores = storage.cached(
            Path(cache_dir) / "detectors",
            identity,
            lambda: {"scores": self._out_of_fold(seen, labels)},
        )["scores"]
        others = matrix[n_real:]
        if others.shape != fakes.shape or (others != fakes).nnz:
            beside = (
                self._scores(seen, labels, np.arange(len(labels)), others)
                if others.shape[0]
                else np.empty(0)
            )
            scores = np.concatenate([scores[:n_real], beside])
        return scores > 0, scores

    def _out_of_fold(self, matrix: sparse.csr_matrix, labels: np.ndarray) -> np.ndarray:
        scores = np.full(len(labels), np.nan)
        for train, test in _folds(labels, self.folds, self.seed).split(labels, labels):
            scores[test] = self._scores(matrix, labels, train, matrix[test])
        return scores

    def _scores(
        self,
        matrix: sparse.csr_matrix,
        labels: np.ndarray,
        train: np.ndarray,
        asked: sparse.csr_matrix,
    ) -> np.ndarray:
        if self.sampling == "down-sampled":
            train = train[down_sampled(labels[train], self.seed)]
        pca = principal_components(matrix[train], self.components, self.seed)
        machine = support_vector_machine(self.kernel, self.c, self.seed).fit(
            pca.transform(matrix[train].astype(np.float64)), labels[train]
        )
        return machine.decision_function(pca.transform(asked.astype(np.float64)))


def unsupervised_scores(data: Interactions, components: int = 20, seed: int = 0) -> np.ndarray:
    """How far out a user is among all: the Mahalanobis distance in the space of the first principal components.  No labels; float64 [users]"""
    matrix = data.matrix()
    pca = principal_components(matrix, components, seed)
    return np.sqrt(
        np.sum(pca.transform(matrix.astype(np.float64)) ** 2 / pca.explained_variance_, axis=1)
    )


def sanitize(data: Interactions, flagged: np.ndarray) -> tuple[Interactions, np.ndarray]:
    """The data without the train interactions of flagged users, and the ids of those.  Users keep their numbers; flagged: bool [users]"""
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
) -> tuple[list[dict], dict]:
    """How a detector does on the fakes of each point's `tested_on`; without one, how the distance that needs no labels does, as many flagged as
    there are fakes."""
    rows = []
    for point in points:
        fakes = tested[point["tested_on"]]
        poisoned = fakes.stacked_on(data)
        if detector is not None:
            flagged, scores = detector.flag_users(poisoned, data.n_users, cache_dir)
        else:
            scores = unsupervised_scores(poisoned, point["components"])
            flagged = scores >= np.sort(scores)[-fakes.n_users]
        found = detection_scores(labels_of(poisoned, data.n_users), flagged, scores)
        rows.append(point | found | {FLAGGED: float(flagged[: data.n_users].sum())})
    return rows, {}


def component_separation(
    points: list[dict], data: Interactions, fakes: Profiles
) -> tuple[list[dict], dict]:
    """How far each principal component (numbered from 1) keeps fakes and real users apart, and every user's place on it."""
    poisoned = fakes.stacked_on(data)
    matrix, labels = poisoned.matrix(), labels_of(poisoned, data.n_users)
    pca = principal_components(matrix, len(points))
    places = pca.transform(matrix.astype(np.float64))  # [users, components]
    apart = [roc_auc_score(labels, column) for column in places.T]
    rows = [
        point
        | {
            "variance": float(pca.explained_variance_ratio_[at]),
            "AUROC": float(max(apart[at], 1 - apart[at])),
        }
        for point, at in ((point, point["component"] - 1) for point in points)
    ]
    every = (len(points), 1)
    return rows, {
        "place": places.T,
        "user": np.tile(poisoned.user_ids, every),
        "fake": np.tile(labels, every),
    }
