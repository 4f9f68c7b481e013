"""The error that a user can fix; every other exception is an internal error."""


class UserError(Exception):
    """An error that a user can fix. The command line prints its text and exits with 2.

    The text says where, what was found, what is allowed and what to do.
    """
