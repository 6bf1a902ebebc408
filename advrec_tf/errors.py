"""The one exception that stands for a fault the user can mend."""


class UserError(ValueError):
    """A fault in the input, the settings or the surroundings, told in one line that says what to do.

    The command line prints the message and exits with status 1; from Python it is an ordinary ValueError.
    """
