"""Options of leaderboards and audits, each a flag."""

from dataclasses import dataclass

from advrec_tf.options import option
from advrec_tf.perturbations import UNITS


@dataclass(frozen=True)
class BoardOptions:
    """The entries of the leaderboard."""

    entries: tuple[str, ...] = option(
        (
            *("BPR-MF", "AMF", "rescaled BPR-MF", "iALS-64", "iALS-reg50-64", "iALS-reg100-64"),
            *("SVD-64", "SVD-16", "SVD-128", "MostPopular", "MarginMF"),
            *("BPR-MF:normalised", "AMF:normalised", "iALS-64:normalised"),
            *("iALS-reg50-64:normalised", "SVD-16:normalised", "AMF:32:normalised"),
            *("iALS-64:32:normalised", "iALS-128:48:normalised", "iALS-128:64:normalised"),
        ),
        help="its entries: NAME (iALS-64, SVD-16, AMF), NAME:RANK (truncated to RANK), "
        "NAME:normalised (users of equal norm), NAME:RANK:normalised",
    )
    validation: bool = option(
        False,
        help="hold out each user's last training interaction in place of the test item, "
        "to choose among entries",
    )
    factors: tuple[str, ...] = option(
        (),
        help="your own factors, as NAME:USERS.npy:ITEMS.npy, "
        "or NAME:MODEL (.npz, .safetensors, .pkl)",
    )


@dataclass(frozen=True)
class RowOptions:
    """What the rows of given factors are, where their file does not know its ids."""

    user_rows: str | None = option(
        None,
        help="CSV with columns row and id, or the order of the ids: numeric, text or first_seen "
        "[that of the data, which is sorted]",
    )
    item_rows: str | None = option(None, help="the same for items")


@dataclass(frozen=True)
class AuditOptions:
    """The factors that are audited, and their data."""

    user_factors: str | None = option(
        None, help=".npy, .kv or Parquet of user factors [users, dim], or a model with both"
    )
    item_factors: str | None = option(None, help="the same of item factors [items, dim]")
    unit: str = option(
        "relative",
        help="unit of epsilon: RMS row norm (relative), each row's own norm (row), "
        "or none (absolute)",
        choices=UNITS,
    )
    train: str | None = option(
        None, help="the interactions the factors were trained on, a table or a name [--dataset]"
    )
    test: str | None = option(None, help="the held-out interactions, a table beside --train")
    export: str | None = option(
        None, help=".npz for the truncated or user-normalised factors that keep most"
    )


@dataclass(frozen=True)
class OtherOptions:
    """Another training of the factors."""

    other: str | None = option(
        None,
        help="another training of the audited factors, or of the only --factors, on the same ids: "
        "USERS.npy:ITEMS.npy or MODEL",
    )


@dataclass(frozen=True)
class CompareOptions:
    """Two trainings of one model, and the bounds of a release."""

    before: str | None = option(None, help="the factors of today: USERS.npy:ITEMS.npy, or MODEL")
    after: str | None = option(None, help="those of the release, in the same form")
    fail_if: tuple[str, ...] = option(
        (), help="exit with status 1 where one holds, such as overlap<0.8,nDCG<0.97,radius<0.5"
    )
