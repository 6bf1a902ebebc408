"""Which columns of a table hold users, items, ratings and timestamps."""

from collections.abc import Mapping

from advrec_tf.errors import UserError

FIELDS = ("user", "item", "rating", "timestamp")
Columns = Mapping[str, str | int]  # field -> name of a column, or its position from 0
# Names of columns, in lower case and without what `_key` takes away.
_HEADERS = {
    "user": set(
        "user userid user_id uid username reviewerid reviewer_id visitorid visitor_id customer "
        "customerid customer_id".split()
    ),
    "item": set(
        "item itemid item_id iid sid movieid movie_id artistid artist_id asin parent_asin isbn "
        "product productid product_id business_id book_id bookid article_id articleid song_id "
        "track_id gmap_id video_id sku".split()
    ),
    "rating": set(
        "rating ratings weight score count overall stars book_rating plays playcount play_count "
        "click clicked clicks label liked".split()
    ),
    "timestamp": set(
        "timestamp time unixtime unixreviewtime date datetime created_at ts timestamp_ms".split()
    ),
}


def _key(name: str) -> str:
    """Return a name as `_HEADERS` has it: RecBole's `user_id:token` is `user_id`."""
    return name.strip().lower().partition(":")[0].replace("-", "_").replace(" ", "_")


def has_known_name(names: list[str]) -> bool:
    """Return whether a name is one of users or items."""
    return any(_key(name) in _HEADERS["user"] | _HEADERS["item"] for name in names)


def is_above_numbers(names: list[str], below: list[list[str]]) -> bool:
    """Return whether the first line has words only, where the next lines have numbers.

    names: the fields of that line; below: the fields of each of the next lines
    """
    above = []
    for position, name in enumerate(names):
        values = [row[position] for row in below if position < len(row) and row[position]]
        if values and None not in map(number_of, values):
            above.append(name)
    return any(above) and all(number_of(name) is None for name in above)


def positions_of(
    where: str, names: list[str], columns: Columns | None, header: bool
) -> dict[str, int]:
    """Return the position of each field among the columns, from 0.

    where: the file, and the line of a text, with which errors begin; names: of the columns, or the
    fields of the first line if there is no header; columns: what the user says about them.
    Without a header and without `columns` the fields stand in the order of FIELDS.
    """
    if columns is None and not header:
        columns = dict(zip(FIELDS, range(len(names))))
    positions = _known(where, names) if columns is None else _named(where, names, columns)
    _check(where, positions, len(names))
    return positions


def _known(where: str, names: list[str]) -> dict[str, int]:
    """Return the positions of the names that are known. Raises UserError for two of one field."""
    by_field: dict[str, list[int]] = {}
    for position, name in enumerate(names):
        for field, known in _HEADERS.items():
            if _key(name) in known:
                by_field.setdefault(field, []).append(position)
    if not {"user", "item"} <= by_field.keys():
        raise UserError(
            f"{where}: a header without a user and an item: "
            f"say with --columns which of {', '.join(names)} are which"
        )
    for field, positions in by_field.items():
        if len(positions) > 1:
            candidates = [names[position] for position in positions]
            say = candidates[0] if len(set(candidates)) > 1 else positions[0]
            raise UserError(
                f"{where}: {len(positions)} columns could be the {field}: "
                f"{', '.join(candidates)}; say --columns=user=...,item=..., with {field}={say} "
                "for one of them"
            )
    return {field: by_field[field][0] for field in FIELDS if field in by_field}


def _named(where: str, names: list[str], columns: Columns) -> dict[str, int]:
    """Return the positions that the user says. Raises UserError for names that do not exist."""
    positions = {}
    for field, column in columns.items():
        if field not in FIELDS:
            raise UserError(f"column {field!r} is none of {', '.join(FIELDS)}")
        if isinstance(column, str):
            if column not in names:
                raise UserError(f"{where}: there is no column {column!r} among {', '.join(names)}")
            if names.count(column) > 1:
                raise UserError(
                    f"{where}: {names.count(column)} columns have the name {column!r}: "
                    f"say by position with --columns which is the {field}"
                )
            column = names.index(column)
        positions[field] = column
    return positions


def _check(where: str, positions: dict[str, int], width: int) -> None:
    """Raise UserError for a missing user, item or other field, and for two in one column."""
    field_of: dict[int, str] = {}
    for field in dict.fromkeys((*FIELDS[:2], *positions)):
        position = positions.get(field, -1)
        if not 0 <= position < width:
            raise UserError(f"{where}: the {field} column is missing")
        if field_of.setdefault(position, field) != field:
            raise UserError(
                f"{where}: the {field_of[position]} and the {field} are the same column"
            )


def number_of(value: str) -> float | None:
    """Return the number that a text spells, or None if it spells none."""
    try:
        return float(value)
    except ValueError:
        return None
