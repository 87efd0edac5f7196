"""An `.npz` file: named NumPy arrays, one of them the labels."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tensorcheck.training.classes import number_classes
from tensorcheck.training.columns import choose_label
from tensorcheck.training.dataset import ArrayDataset
from tensorcheck.training.errors import DataError

CHANNELS = frozenset({1, 3, 4})


def read_npz(path: Path, label: str | None = None) -> ArrayDataset:
    """Read labels and features; a `DataError` names the array at fault.

    The arrays beside the labels are either columns, [samples] each, or one array of features: rows [samples, columns],
    grey images [samples, height, width], or images with their channels (1, 3 or 4) first or last.
    """
    arrays = _arrays(path)
    label = choose_label(path, list(arrays), label)
    names = _label_names(path, label, arrays.pop(label))
    features = _features(path, arrays)
    if len(features) != len(names):
        msg = f"{path} has {len(names)} labels in {label!r} but {len(features)} samples in {', '.join(arrays)!r}"
        raise DataError(msg)
    labels, classes = number_classes(names, path)
    return ArrayDataset(features, labels, classes)


def _arrays(path: Path) -> dict[str, NDArray[Any]]:
    if not zipfile.is_zipfile(path):
        msg = f"{path} is no .npz file, or it is cut short"
        raise DataError(msg)
    try:
        # Unpickling can run code that came with the file.
        with np.load(path, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except Exception as error:
        # zipfile, zlib and NumPy's header parser each have errors of their own.
        reason = "it holds Python objects, not numbers" if "Object arrays" in str(error) else "it is damaged"
        msg = f"{path} can't be read as .npz: {reason}"
        raise DataError(msg) from error


def _label_names(path: Path, name: str, labels: NDArray[Any]) -> list[str]:
    if labels.ndim != 1 or labels.dtype.kind not in "biuU":
        found = f"{labels.dtype}{list(labels.shape)}"
        msg = f"{path}: the labels {name!r} are {found}; whole numbers or text, [samples], are needed"
        raise DataError(msg)
    if not len(labels):
        msg = f"{path} has no samples"
        raise DataError(msg)
    return [str(label) for label in labels.tolist()]


def _features(path: Path, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    for name, array in arrays.items():
        _check_numbers(path, name, array)
    match list(arrays.values()):
        case []:
            msg = f"{path} holds labels alone"
            raise DataError(msg)
        case [array] if array.ndim > 1:
            return _channels_first(path, array)
        case columns if all(column.shape == columns[0].shape and column.ndim == 1 for column in columns):
            return np.stack(columns, axis=1)
    shapes = ", ".join(f"{name!r} is {list(array.shape)}" for name, array in arrays.items())
    msg = f"{path}: {shapes}; one array of features is needed, or columns of one length"
    raise DataError(msg)


def _check_numbers(path: Path, name: str, array: NDArray[Any]) -> None:
    if array.dtype.kind not in "biuf":
        msg = f"{path}: {name!r} holds {array.dtype}; real numbers are needed"
        raise DataError(msg)
    with np.errstate(over="ignore"):
        is_finite = np.isfinite(array.astype(np.float32))
    if not is_finite.all():
        place = tuple(int(position) for position in np.argwhere(~is_finite)[0])
        msg = f"{path}: {name!r} is {array[place]} at {list(place)}, which is no finite number"
        raise DataError(msg)


def _channels_first(path: Path, array: NDArray[Any]) -> NDArray[Any]:
    match array.shape:
        case (_, columns) if columns:
            return array
        case (_, height, width) if height and width:
            return array[:, None]
        case (_, channels, height, width) if channels in CHANNELS and height and width:
            return array
        case (_, height, width, channels) if channels in CHANNELS and height and width:
            return np.ascontiguousarray(np.moveaxis(array, -1, 1))
    msg = f"{path}: features of shape {list(array.shape)} are neither rows nor images of 1, 3 or 4 channels"
    raise DataError(msg)
