"""The one error a user can mend; every other exception is a bug of ours."""


class UserError(Exception):
    """What a user can mend: the cli prints its text without a traceback and exits with 2.

    The text says where, what was found, what is allowed and what to do.
    """
