"""What goes wrong in this package."""


class UnitError(Exception):
    """One sentence on what was found, and a hint on what to do about it."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
