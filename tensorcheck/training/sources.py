"""Where the data comes from: the package itself, a folder or a file."""

from pathlib import Path

from tensorcheck.training.archives import read_npz
from tensorcheck.training.dataset import LabelledDataset
from tensorcheck.training.embedded import load_digits
from tensorcheck.training.errors import DataError
from tensorcheck.training.folders import ImageFolder
from tensorcheck.training.tables import read_csv


def read_data(path: Path | None = None, *, label: str | None = None, image_size: int | None = None) -> LabelledDataset:
    """Read a folder of images, an `.npz` or a `.csv`, or the embedded digits where there is no path.

    >>> len(read_data())
    1797
    """
    if label is not None and (path is None or path.is_dir()):
        msg = f"{path or 'the embedded data'} has no columns, so --label {label} means nothing"
        raise DataError(msg)
    if path is None:
        return load_digits()
    if path.is_dir():
        return ImageFolder(path, image_size)
    if not path.is_file():
        msg = f"{path} is no file that can be read" if path.exists() else f"{path} does not exist"
        raise DataError(msg)
    match path.suffix.lower():
        case ".npz":
            return read_npz(path, label)
        case ".csv":
            return read_csv(path, label)
    msg = f"{path} is neither a folder of images nor an .npz or .csv file"
    raise DataError(msg)
