"""A CSV file with a header: one column is the label, the others are numbers."""

import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from tensorcheck.training.classes import number_classes
from tensorcheck.training.columns import choose_label
from tensorcheck.training.dataset import ArrayDataset
from tensorcheck.training.errors import DataError

LARGEST = float(np.finfo(np.float32).max)

Row = tuple[int, list[str]]
"""The number of a line, and its cells."""


def read_csv(path: Path, label: str | None = None) -> ArrayDataset:
    """Read a table whose first line names the columns; a `DataError` names the line and the column at fault.

    A sample is float32, [columns without the label].
    """
    rows = _rows(path)
    _, header = next(rows, (0, []))
    _check_header(path, header)
    position = header.index(choose_label(path, header, label))
    names: list[str] = []
    features: list[list[float]] = []
    for line, cells in rows:
        _check_cells(path, line, cells, header, position)
        names.append(cells.pop(position).strip())
        features.append([float(cell) for cell in cells])
    if not names:
        msg = f"{path} has a header but no rows"
        raise DataError(msg)
    labels, classes = number_classes(names, path)
    return ArrayDataset(np.array(features, dtype=np.float32), labels, classes)


def _rows(path: Path) -> Iterator[Row]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            for cells in reader:
                if cells:
                    yield reader.line_num, cells
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"{path} can't be read as CSV: {getattr(error, 'strerror', None) or error}"
        raise DataError(msg) from error


def _check_header(path: Path, header: list[str]) -> None:
    if not header:
        msg = f"{path} is empty"
        raise DataError(msg)
    repeated = next((name for name in header if header.count(name) > 1), None)
    if repeated is not None:
        msg = f"{path} has two columns named {repeated!r}"
        raise DataError(msg)
    if len(header) == 1:
        msg = f"{path} has the column {header[0]!r} alone; a label and at least one other column are needed"
        raise DataError(msg)


def _check_cells(path: Path, line: int, cells: list[str], header: list[str], label: int) -> None:
    if len(cells) != len(header):
        msg = f"{path}, line {line}: {len(cells)} cells where the header has {len(header)}"
        raise DataError(msg)
    if not cells[label].strip():
        msg = f"{path}, line {line}: the label {header[label]!r} is empty"
        raise DataError(msg)
    for position, (name, cell) in enumerate(zip(header, cells, strict=True)):
        if position != label and not _is_usable(cell):
            msg = f"{path}, line {line}: {name!r} is {cell!r}, which is no finite number"
            raise DataError(msg)


def _is_usable(cell: str) -> bool:
    try:
        return abs(float(cell)) <= LARGEST
    except ValueError:
        return False
