import itertools
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tensorcheck.training import DataError
from tensorcheck.training.dataset import ArrayDataset
from tensorcheck.training.embedded import load_digits
from tensorcheck.training.loaders import training_loader
from tensorcheck.training.sources import read_data
from tensorcheck.training.splits import split

GREY, RED = (128,), (255, 0, 0)


def write_image(path: Path, mode: str = "RGB", size: tuple[int, int] = (9, 7)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, 128 if mode in {"L", "I;16"} else "red").save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of three images, PNG and JPEG, and things that are none."""
    for name in ("cat", "dog"):
        write_image(tmp_path / "pets" / name / "1.png")
        write_image(tmp_path / "pets" / name / "2.jpg", size=(20, 30))
        write_image(tmp_path / "pets" / name / "3.JPEG", mode="L")
        (tmp_path / "pets" / name / "notes.txt").write_text("no image")
        (tmp_path / "pets" / name / "._1.png").write_bytes(b"no image")
    (tmp_path / "pets" / "readme.md").write_text("no class")
    return tmp_path / "pets"


def test_the_digits_are_those_of_the_repository() -> None:
    digits = load_digits()
    assert digits.features.shape == (1797, 1, 8, 8)
    assert (int(digits.features.min()), int(digits.features.max())) == (0, 16)
    assert np.bincount(digits.labels).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_digits_are_small_and_their_licence_lies_beside_them() -> None:
    home = Path(__file__).parents[2] / "tensorcheck" / "training" / "digits"
    licence = (home / "LICENSE.txt").read_text()
    assert (home / "digits.npz").stat().st_size < 120_000
    assert all(part in licence for part in ("Alpaydin", "Kaynak", "10.24432/C50P49", "CC BY 4.0", "changed"))


@given(counts=st.lists(st.integers(3, 40), min_size=2, max_size=5), seed=st.integers(0, 1000))
def test_the_splits_share_no_sample_and_each_has_every_class(counts: list[int], seed: int) -> None:
    labels = np.repeat(np.arange(len(counts)), counts)
    dataset = ArrayDataset(np.zeros((len(labels), 1)), labels, tuple(map(str, range(len(counts)))))
    parts = split(dataset, seed=seed)
    indices = [list(part.indices) for part in (parts.train, parts.validation, parts.test)]
    assert sorted(itertools.chain(*indices)) == list(range(len(labels)))
    assert all(set(labels[part]) == set(range(len(counts))) for part in indices)


def test_one_seed_splits_alike_and_another_does_not() -> None:
    indices = [split(load_digits(), seed=seed).test.indices for seed in (1, 1, 2)]
    assert indices[0] == indices[1] != indices[2]


def test_one_seed_shuffles_alike_and_another_does_not() -> None:
    train = split(load_digits(), seed=0).train

    def first_batch(seed: int) -> torch.Tensor:
        loader = training_loader(train, batch_size=32, workers=0, seed=seed)
        images: torch.Tensor = next(iter(loader))[0]
        return images

    assert torch.equal(first_batch(1), first_batch(1))
    assert not torch.equal(first_batch(1), first_batch(2))


def test_a_folder_of_images_is_read(folder: Path) -> None:
    data = read_data(folder)
    image, label = data[1]
    assert (data.classes, data.labels.tolist()) == (("cat", "dog"), [0, 0, 0, 1, 1, 1])
    assert (image.shape, image.dtype, label) == ((3, 7, 9), torch.float32, 0)
    assert image[0].min() > 0.9
    assert image[1:].max() < 0.1


def test_image_size_is_the_size_of_every_image(folder: Path) -> None:
    assert {tuple(image.shape) for image, _ in map(read_data(folder, image_size=16).__getitem__, range(6))} == {
        (3, 16, 16)
    }


def test_large_images_are_made_smaller_unless_a_size_is_given(folder: Path) -> None:
    write_image(folder / "cat" / "0.png", size=(300, 50))
    assert read_data(folder)[0][0].shape == (3, 50, 64)


@pytest.mark.parametrize(("mode", "value"), [("L", 128 / 255), ("I;16", 0.0)])
def test_grey_images_have_one_channel(tmp_path: Path, mode: str, value: float) -> None:
    for number in range(6):
        write_image(tmp_path / str(number // 3) / f"{number}.png", mode=mode)
    image = read_data(tmp_path)[0][0]
    assert image.shape == (1, 7, 9)
    assert float(image.mean()) == pytest.approx(value, abs=1e-3)


def test_sixteen_bits_are_scaled_and_not_clipped(tmp_path: Path) -> None:
    for number in range(6):
        (tmp_path / str(number // 3)).mkdir(exist_ok=True)
        Image.fromarray(np.full((4, 4), 32768, np.uint16)).save(tmp_path / str(number // 3) / f"{number}.png")
    assert float(read_data(tmp_path)[0][0].mean()) == pytest.approx(0.5, abs=0.01)


def empty_file(folder: Path) -> Path:
    return write_bytes(folder, b"")


def text_file(folder: Path) -> Path:
    return write_bytes(folder, b"this is no image at all")


def write_bytes(folder: Path, content: bytes) -> Path:
    (folder / "cat" / "bad.png").write_bytes(content)
    return folder / "cat" / "bad.png"


def cut_short(folder: Path) -> Path:
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "cat" / "bad.png")
    return write_bytes(folder, (folder / "cat" / "bad.png").read_bytes()[:3000])


def decompression_bomb(folder: Path) -> Path:
    Image.new("1", (12000, 12000)).save(folder / "cat" / "bad.png")
    return folder / "cat" / "bad.png"


def another_format(folder: Path) -> Path:
    Image.new("RGB", (4, 4)).save(folder / "cat" / "bad.png", format="GIF")
    return folder / "cat" / "bad.png"


def symlink_loop(folder: Path) -> Path:
    (folder / "cat" / "bad.png").symlink_to(folder / "cat" / "bad.png")
    return folder / "cat" / "bad.png"


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "cat" / "bad.png")
    return folder / "cat" / "bad.png"


HOSTILE = (empty_file, text_file, cut_short, decompression_bomb, another_format, symlink_loop, pipe)


@pytest.mark.parametrize("make", HOSTILE, ids=lambda make: make.__name__)
def test_an_image_that_cannot_be_read_is_named_in_one_line(folder: Path, make: Callable[[Path], Path]) -> None:
    path = make(folder)
    with pytest.raises(DataError) as caught:
        read_data(folder)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_folder_that_links_to_itself_is_read_once(folder: Path) -> None:
    (folder / "cat" / "loop").symlink_to(folder, target_is_directory=True)
    (folder / "endless").symlink_to(folder / "endless")
    assert len(read_data(folder)) == 6


def test_a_folder_that_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nowhere does not exist"):
        read_data(tmp_path / "nowhere")


def test_a_folder_without_classes_or_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="has no sub-folders"):
        read_data(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(DataError, match="hold no PNG or JPEG images"):
        read_data(tmp_path)


def test_a_folder_of_one_class_is_refused(folder: Path) -> None:
    (folder / "dog").rename(folder.parent / "dog")
    with pytest.raises(DataError, match="holds one class alone, 'cat'"):
        read_data(folder)


def test_a_class_that_cannot_be_split_is_named(folder: Path) -> None:
    (folder / "dog" / "1.png").unlink()
    with pytest.raises(DataError, match=r"the class 'dog' of .* has 2 samples; at least 3"):
        read_data(folder)


ROWS = "1,2,a\n3,4,b\n5,6,a\n7,8,b\n9,10,a\n11,12,b\n"


@pytest.fixture
def table(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        (tmp_path / "table.csv").write_text(text)
        return tmp_path / "table.csv"

    return write


def test_a_table_is_read(table: Callable[[str], Path]) -> None:
    data = read_data(table(f"\ufeffwidth,height,label\n{ROWS}\n"))
    row, label = data[1]
    assert (row.tolist(), row.dtype, data.classes[label]) == ([3.0, 4.0], torch.float32, "b")


def test_the_label_of_a_table_can_be_chosen(table: Callable[[str], Path]) -> None:
    rows = ROWS.replace("a", "100").replace("b", "20")
    assert read_data(table(f"width,height,kind\n{rows}"), label="kind").classes == ("20", "100")


TABLES = {
    "table.csv is empty": "",
    "table.csv has a header but no rows": "x,y,label\n",
    "has no column named label, target, class or y; say which it is with --label: u, v, w": f"u,v,w\n{ROWS}",
    "table.csv has two columns named 'u'": f"u,u,label\n{ROWS}",
    "table.csv has the column 'label' alone": "label\na\nb\n",
    "table.csv, line 8: 2 cells where the header has 3": f"u,v,label\n{ROWS}1,2\n",
    "table.csv, line 8: 'v' is 'nan', which is no finite number": f"u,v,label\n{ROWS}1,nan,a\n",
    "table.csv, line 8: 'v' is '1e99', which is no finite number": f"u,v,label\n{ROWS}1,1e99,a\n",
    "table.csv, line 8: 'u' is 'tall', which is no finite number": f"u,v,label\n{ROWS}tall,1,a\n",
    "table.csv, line 8: 'u' is '', which is no finite number": f"u,v,label\n{ROWS},1,a\n",
    "table.csv, line 8: the label 'label' is empty": f"u,v,label\n{ROWS}1,2, \n",
    "table.csv holds one class alone, 'a'": f"u,v,label\n{ROWS.replace('b', 'a')}",
    "table.csv can't be read as CSV": f'u,v,label\n{ROWS}1,2,"a',
}


@pytest.mark.parametrize("message", TABLES)
def test_a_table_that_cannot_be_used_is_told_in_one_line(table: Callable[[str], Path], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_data(table(TABLES[message]))
    assert message in str(caught.value)


def test_a_table_in_no_known_encoding_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(b"u,v,label\n\xff\xfe,1,2\n")
    with pytest.raises(DataError, match=r"table\.csv can't be read as CSV"):
        read_data(tmp_path / "table.csv")


def test_a_label_that_is_not_there_gets_the_nearest_suggested(table: Callable[[str], Path]) -> None:
    with pytest.raises(DataError, match="has no column 'knd'; did you mean 'kind'"):
        read_data(table(f"u,v,kind\n{ROWS}"), label="knd")


@pytest.fixture
def archive(tmp_path: Path) -> Callable[..., Path]:
    def write(**arrays: Any) -> Path:
        np.savez(tmp_path / "data.npz", **arrays)
        return tmp_path / "data.npz"

    return write


LABELS = np.array([0, 1] * 4)
SHAPES = {
    "rows": ((8, 5), (5,)),
    "grey images": ((8, 6, 7), (1, 6, 7)),
    "channels first": ((8, 3, 6, 7), (3, 6, 7)),
    "channels last": ((8, 6, 7, 3), (3, 6, 7)),
}


@pytest.mark.parametrize("kind", SHAPES)
def test_an_array_of_features_is_read(archive: Callable[..., Path], kind: str) -> None:
    stored, expected = SHAPES[kind]
    sample, label = read_data(archive(features=np.ones(stored), labels=LABELS))[1]
    assert (tuple(sample.shape), sample.dtype, label) == (expected, torch.float32, 1)


def test_arrays_can_be_columns(archive: Callable[..., Path]) -> None:
    data = read_data(
        archive(width=np.arange(8), height=np.arange(8.0) * 10, kind=np.array(["a", "b"] * 4)), label="kind"
    )
    assert data[2][0].tolist() == [2.0, 20.0]
    assert data.classes == ("a", "b")


ARCHIVES: dict[str, dict[str, Any]] = {
    "has 8 labels in 'y' but 7 samples in 'x'": {"x": np.ones((7, 2)), "y": LABELS},
    "'a' is [8], 'b' is [7]; one array of features": {"a": np.ones(8), "b": np.ones(7), "y": LABELS},
    "it holds Python objects, not numbers": {"x": np.array([{}] * 8), "y": LABELS},
    "'x' holds complex128; real numbers": {"x": np.ones((8, 2), complex), "y": LABELS},
    "'x' is nan at [0, 1], which is no finite number": {"x": np.array([[0, np.nan]] * 8), "y": LABELS},
    "'x' is 1e+99 at [0, 0], which is no finite number": {"x": np.full((8, 2), 1e99), "y": LABELS},
    "the labels 'y' are float64[8]; whole numbers or text": {"x": np.ones((8, 2)), "y": LABELS / 2},
    "the labels 'y' are int64[8, 1]; whole numbers or text": {"x": np.ones((8, 2)), "y": LABELS[:, None]},
    "holds labels alone": {"y": LABELS},
    "has no samples": {"x": np.ones((0, 2)), "y": LABELS[:0]},
    "neither rows nor images of 1, 3 or 4 channels": {"x": np.ones((8, 5, 5, 5)), "y": LABELS},
    "has no column named label": {"x": np.ones((8, 2)), "z": LABELS},
}


@pytest.mark.parametrize("message", ARCHIVES)
def test_arrays_that_cannot_be_used_are_told_in_one_line(archive: Callable[..., Path], message: str) -> None:
    with pytest.raises(DataError) as caught:
        read_data(archive(**ARCHIVES[message]))
    assert message in str(caught.value)
    assert "data.npz" in str(caught.value)


def test_an_archive_cut_short_is_named(archive: Callable[..., Path]) -> None:
    path = archive(x=np.ones((8, 2)), y=LABELS)
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(DataError, match=r"data\.npz is no \.npz file, or it is cut short"):
        read_data(path)


def test_a_damaged_archive_is_named(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "data.npz", "w") as file:
        file.writestr("x.npy", b"\x93NUMPY\x01\x00 no header")
    with pytest.raises(DataError, match=r"data\.npz can't be read as \.npz: it is damaged"):
        read_data(tmp_path / "data.npz")


def test_a_file_of_another_kind_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"data\.parquet is neither a folder of images nor"):
        read_data(tmp_path / "data.parquet")


def test_a_label_without_columns_is_refused(folder: Path) -> None:
    with pytest.raises(DataError, match="has no columns, so --label kind means nothing"):
        read_data(folder, label="kind")
