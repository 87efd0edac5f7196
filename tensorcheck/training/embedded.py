"""The data set that is part of the package: handwritten digits of the UCI repository (see digits/LICENSE.txt)."""

from importlib import resources

import numpy as np

from tensorcheck.training.dataset import ArrayDataset


def load_digits() -> ArrayDataset:
    """1,797 grey images of 8 by 8 pixels, [1, 8, 8] with values 0 to 16, of the ten digits.

    >>> digits = load_digits()
    >>> len(digits), digits.classes[digits[0][1]]
    (1797, '0')
    """
    path = resources.files("tensorcheck.training") / "digits" / "digits.npz"
    with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        images, labels = arrays["images"], arrays["labels"]
    return ArrayDataset(images[:, None], labels.astype(np.int64), tuple("0123456789"))
