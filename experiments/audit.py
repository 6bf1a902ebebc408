"""An audit of factors that any library has trained."""

import zipfile
from pathlib import Path

import numpy as np

from advrec_tf.data import Interactions
from advrec_tf.errors import UserError
from advrec_tf.reporting.audit import align, audit
from advrec_tf.startup import start_tensorflow


def run(
    data: Interactions, user_factors: Path, item_factors: Path, user_rows: Path | None, item_rows: Path | None, output_dir: Path, k: int, seed: int,
) -> None:  # fmt: skip
    """Writes <output_dir>/audit/<data set>/audit.html and its tables, and prints the epsilon at which half of nDCG is gone."""
    P = align(_factors(user_factors), user_rows, data.user_ids, "user")
    Q = align(_factors(item_factors), item_rows, data.item_ids, "item")
    if P.shape[1] != Q.shape[1]:
        raise UserError(f"user factors have {P.shape[1]} columns, item factors {Q.shape[1]}")
    if not data.has_one_test_item_each:
        raise UserError(f"{data.name} has users with several test items; an audit needs one a user")
    start_tensorflow()
    result = audit(P, Q, data, k=k, seed=seed)
    page = result.save(Path(output_dir) / "audit" / data.name)
    for label, epsilon in result.half.items():
        where = (
            f"{epsilon:.4g} ({100 * epsilon / result.facts['mean row norm']:.1f}% of the mean row norm)" if np.isfinite(epsilon) else "not reached"
        )
        print(f"half of nDCG@{k} is gone under {label} at epsilon: {where}")
    print(f"Kept in {page}")


def _factors(path: Path) -> np.ndarray:
    try:
        factors = np.load(path, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path}: not an .npy file of numbers ({error})") from None
    if not isinstance(factors, np.ndarray):
        raise UserError(f"{path}: an .npz archive; export each matrix as an .npy file")
    if factors.ndim != 2 or not np.issubdtype(factors.dtype, np.number) or not np.isfinite(factors).all():
        raise UserError(f"{path}: factors must be a table of finite numbers, not {factors.dtype} {factors.shape}")
    return factors
