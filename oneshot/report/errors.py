"""The error for a user's mistake about results."""


class AnalysisError(ValueError):
    """A user's mistake about results.

    Attributes:
        help: A line to copy or to act on; may be empty.
    """

    def __init__(self, message: str, help: str = ""):
        super().__init__(message)
        self.help = help
