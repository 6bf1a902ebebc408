"""How a table is read where its content leaves that open.  This module imports no library."""

from dataclasses import dataclass

from advrec_tf.options import option

COLD = ("refuse", "drop")
IDS = ("auto", "text", "integer")
TABLE_LAYOUTS = ("auto", "columns", "lists")


@dataclass(frozen=True)
class Reading:
    """Answers that a file does not give.  Every default looks at the file first."""

    ids: str = option(
        "auto",
        help="ids are integers if all of a column's are written as such, else text; or always one",
        choices=IDS,
    )
    encoding: str | None = option(
        None, help="of a text table, such as latin-1 [UTF-8, or what its first bytes say]"
    )
    layout: str = option(
        "auto",
        help="one interaction a line (columns), or one user a line: user item item ... (lists)",
        choices=TABLE_LAYOUTS,
    )
    positive_from: float | None = option(
        None,
        help="ratings below it are no interactions [1 where all are 0 or 1, else all are kept]",
    )
    cold: str = option(
        "refuse",
        help="test interactions of users without train interactions: an error, or dropped "
        "together with those of items without any",
        choices=COLD,
    )


AS_WRITTEN = Reading()
