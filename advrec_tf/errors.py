"""The exception for a fault that the user can mend."""


class UserError(ValueError):
    """A fault in the input, the settings or the system, with a message of one line.

    The command line prints the message and exits with status 1.
    """
