"""The error of this package."""


class UnitError(Exception):
    """An error with one sentence on what was found, and a hint on what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
