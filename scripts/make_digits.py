"""Convert scikit-learn's copy of the UCI handwritten digits to the small file that tensorcheck ships.

Run it with scikit-learn installed: `python scripts/make_digits.py`. scikit-learn is needed for nothing else.
"""

from pathlib import Path

import numpy as np
from sklearn.datasets import load_digits  # type: ignore[import-untyped]  # it has no annotations

TARGET = Path(__file__).parent.parent / "tensorcheck" / "training" / "digits" / "digits.npz"


def main() -> None:
    """Write `digits.npz`: `images`, uint8 [1797, 8, 8] with values 0 to 16, and `labels`, uint8 [1797]."""
    digits = load_digits()
    images = digits.images.astype(np.uint8)
    if not np.array_equal(images, digits.images):
        msg = "the images hold values that uint8 cannot"
        raise ValueError(msg)
    np.savez_compressed(TARGET, images=images, labels=digits.target.astype(np.uint8))


if __name__ == "__main__":
    main()
