"""The error raised for a faulty tree, manifest or stack."""


class BuildpackError(Exception):
    """One sentence about what was found and where (`message`), and what to do about it (`hint`)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
