"""The exception for faults that users can correct."""


class UserError(ValueError):
    """A fault in the input, the settings or the system, as one line that says what to do.

    The command line prints the line and exits with status 1.  In Python it is a ValueError.
    """
