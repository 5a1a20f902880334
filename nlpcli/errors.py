"""Errors a user can meet; each says where, what came and what was expected.

The command line prints ``str(error)`` as one line and exits with ``exit_code``.
"""


class NlpcliError(Exception):
    """Base of every expected failure; ``exit_code`` is the process exit code."""

    exit_code = 1


class UsageError(NlpcliError):
    """The command was called with options that do not go together."""

    exit_code = 2


class ConfigError(NlpcliError):
    """The configuration is invalid; ``problems`` lists every one of them."""

    exit_code = 3

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("\n".join(problems))


class DataError(NlpcliError):
    """A data file or one of its lines is invalid (``file:line: ...``)."""

    exit_code = 4


class CheckpointError(NlpcliError):
    """A checkpoint does not fit the model; the message lists every gap."""

    exit_code = 5


class NotFoundError(NlpcliError):
    """A run, a model file, a recipe or a data file is not there."""

    exit_code = 6


class MemoryExhaustedError(NlpcliError):
    """The device ran out of memory; the message names shape, batch and knobs."""

    exit_code = 7


class DivergedError(NlpcliError):
    """A loss, a gradient or a weight stopped being finite."""

    exit_code = 8
