"""A folder of images, in one sub-folder for each class."""

import warnings
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from tensorcheck.training.classes import number_classes
from tensorcheck.training.dataset import LabelledDataset
from tensorcheck.training.errors import DataError

SUFFIXES = frozenset({".png", ".jpg", ".jpeg"})
LARGEST_DEFAULT_SIDE = 64


class ImageFolder(LabelledDataset):
    """The PNG and JPEG images of a folder's sub-folders, whose names are the classes.

    Every image is decoded once when the folder is opened, so that a broken one is found before the training starts and
    not in the middle of it; after that each is read when it is asked for. Other files and hidden ones are passed over.
    A sample is float32, [channels, height, width], with values 0 to 1; it has one channel where every image is grey,
    and otherwise three.

    All images are resized to one size: `image_size` pixels a side, or else the size of the first image (by class and
    name), with no side above 64.
    """

    def __init__(self, folder: Path, image_size: int | None = None) -> None:
        self.paths = _image_paths(folder)
        self.labels, self.classes = number_classes([path.parent.name for path in self.paths], folder)
        are_grey = [_is_grey(read_image(path)) for path in self.paths]
        self.mode = "L" if all(are_grey) else "RGB"
        self.size = (image_size, image_size) if image_size else _default_size(read_image(self.paths[0]))

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = read_image(self.paths[index]).convert(self.mode).resize(self.size, Image.Resampling.BILINEAR)
        pixels = np.asarray(image, dtype=np.float32).reshape(image.height, image.width, -1) / 255
        return torch.from_numpy(pixels).permute(2, 0, 1).contiguous(), int(self.labels[index])


def read_image(path: Path) -> Image.Image:
    """Decode one image file, upright and with 8 bits a channel; a `DataError` names one that can't be read."""
    if not path.is_file():
        msg = f"{path} is not a file that can be read"
        raise DataError(msg)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.filterwarnings("ignore", category=UserWarning, module="PIL")
            with Image.open(path, formats=("PNG", "JPEG")) as image:
                return _eight_bits(ImageOps.exif_transpose(image))
    except Exception as error:
        # Decoders raise whatever they stumble over: OSError, SyntaxError, struct.error, zlib.error, ValueError.
        msg = f"{path} can't be read as an image: {_first_line(error, path)}"
        raise DataError(msg) from error


def _eight_bits(image: Image.Image) -> Image.Image:
    # `convert` clips 16-bit greys at 255, which turns most of such an image white.
    if image.mode.startswith("I"):
        return Image.fromarray((np.asarray(image).astype(np.int64) >> 8).astype(np.uint8))
    image.load()
    return image


def _first_line(error: Exception, path: Path) -> str:
    text = str(error).splitlines()[0] if str(error) else type(error).__name__
    return "it is no PNG or JPEG" if text.startswith("cannot identify") else text.replace(repr(str(path)), "it")


def _is_grey(image: Image.Image) -> bool:
    return image.mode in {"1", "L", "LA"}


def _default_size(image: Image.Image) -> tuple[int, int]:
    return min(image.width, LARGEST_DEFAULT_SIDE), min(image.height, LARGEST_DEFAULT_SIDE)


def _image_paths(folder: Path) -> list[Path]:
    try:
        class_folders = sorted(path for path in folder.iterdir() if path.is_dir() and not _is_hidden(path))
        paths = [path for class_folder in class_folders for path in sorted(class_folder.iterdir()) if _is_image(path)]
    except OSError as error:
        msg = f"{error.filename or folder} can't be read: {error.strerror}"
        raise DataError(msg) from error
    if not class_folders:
        msg = f"{folder} has no sub-folders; each class needs one, with its PNG or JPEG images"
        raise DataError(msg)
    if not paths:
        msg = f"the sub-folders of {folder} hold no PNG or JPEG images"
        raise DataError(msg)
    return paths


def _is_image(path: Path) -> bool:
    return path.suffix.lower() in SUFFIXES and not _is_hidden(path) and not path.is_dir()


def _is_hidden(path: Path) -> bool:
    return path.name.startswith(".")
