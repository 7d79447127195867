"""The two errors that every layer shares, at the bottom of the import direction so that each may raise them."""


class UsageError(ValueError):
    """What a person typed cannot be used. Command lines print it without a traceback and exit with code 2."""


class SandboxError(RuntimeError):
    """The sandbox failed, not the program in it. An episode that meets this is unscored, never scored 0."""
