"""What the reference loop refuses, each with one sentence that says what is wrong and where."""


class TrainingError(ValueError):
    """The training can't go on as asked.

    >>> issubclass(DataError, TrainingError) and issubclass(CheckpointError, TrainingError)
    True
    """


class DataError(TrainingError):
    """The data can't be used; the message names the file.

    >>> raise DataError("digits.csv has no rows")
    Traceback (most recent call last):
    tensorcheck.training.errors.DataError: digits.csv has no rows
    """


class CheckpointError(TrainingError):
    """A checkpoint can't be written, read, or does not fit; the message names the file.

    >>> raise CheckpointError("last.pth is cut short")
    Traceback (most recent call last):
    tensorcheck.training.errors.CheckpointError: last.pth is cut short
    """
