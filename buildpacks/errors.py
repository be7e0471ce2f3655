"""The one error a tree, a manifest or a stack can end in."""


class BuildpackError(Exception):
    """What was found and where (one sentence), and what to do about it (the hint)."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
