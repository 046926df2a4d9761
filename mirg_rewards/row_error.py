"""An error that names the row of a batch, so that a caller can say where that row comes from."""

from __future__ import annotations


class RowError(ValueError):
    """A row of a batch that cannot be processed; it pickles.

    Args:
        row: the position of the row in the batch, from 0.
        message: the error without its place.

    >>> error = RowError(3, "sizes[0] must be known, got None")
    >>> str(error)
    'row 3: sizes[0] must be known, got None'
    """

    def __init__(self, row: int, message: str) -> None:
        super().__init__(row, message)
        self.row = row
        self.message = message

    def __str__(self) -> str:
        return f"row {self.row}: {self.message}"

    def at(self, place: str) -> ValueError:
        """Build the same error with the row's place in place of its number.

        >>> RowError(3, "target is missing").at("rollouts.jsonl: line 4")
        ValueError('rollouts.jsonl: line 4: target is missing')
        """
        return ValueError(f"{place}: {self.message}")


class RowTypeError(RowError, TypeError):
    """A row of a batch whose value has a wrong type.

    >>> isinstance(RowTypeError(0, "a response must be text, got int"), TypeError)
    True
    """
