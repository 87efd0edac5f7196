"""Random data for each task that a model can learn something from, as dictionaries of tensors with a row a sample."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from tests.zoo.architectures.configurations import FRAMES, SIDE, WORDS

Batch = dict[str, Tensor]
Maker = Callable[[Any, int], Batch]
"""Of the configuration, and how many samples."""

LENGTH, IMAGE_WORD = 12, 4
_FIRST_WORD, _USED_WORDS, _MASK, _CLASSES = 5, 8, 3, 2
_IGNORED = -100
_SAMPLES = 1600


def _counting(rows: int, length: int = LENGTH) -> Tensor:
    """`[rows, length]` words, each of which is the one before it and one or two more."""
    starts = torch.randint(_USED_WORDS, (rows, 1))
    steps = torch.randint(1, 3, (rows, 1))
    return _FIRST_WORD + (starts + steps * torch.arange(length)) % _USED_WORDS


def _padded(words: Tensor) -> Batch:
    """Some rows are shorter than others."""
    lengths = torch.randint(words.shape[1] // 2, words.shape[1] + 1, (len(words), 1))
    mask = torch.arange(words.shape[1]) < lengths
    return {"input_ids": words * mask, "attention_mask": mask.long()}


def causal(config: Any, rows: int) -> Batch:
    """Each word is to be foretold."""
    batch = _padded(_counting(rows))
    return {**batch, "labels": batch["input_ids"].masked_fill(batch["attention_mask"] == 0, _IGNORED)}


def unpadded(config: Any, rows: int) -> Batch:
    """Likewise, for what takes no mask."""
    words = _counting(rows)
    return {"input_ids": words, "labels": words.clone()}


def masked(config: Any, rows: int) -> Batch:
    """The words that were masked are to be told."""
    batch = _padded(_counting(rows))
    words = batch["input_ids"]
    hidden = (torch.rand(words.shape) < 0.3) & (batch["attention_mask"] == 1)
    hidden[:, 0] = True
    return {**batch, "input_ids": words.masked_fill(hidden, _MASK), "labels": words.masked_fill(~hidden, _IGNORED)}


def classified(config: Any, rows: int) -> Batch:
    """Whether the first word is of the upper half."""
    batch = _padded(_counting(rows))
    return {**batch, "labels": _is_high(batch["input_ids"][:, 0])}


def tagged(config: Any, rows: int) -> Batch:
    """Whether each word is of the upper half."""
    batch = _padded(_counting(rows))
    tags = _is_high(batch["input_ids"])
    return {**batch, "labels": tags.masked_fill(batch["attention_mask"] == 0, _IGNORED)}


def answered(config: Any, rows: int) -> Batch:
    """The highest word starts the answer, and the lowest ends it."""
    batch = _padded(_counting(rows))
    words = batch["input_ids"]
    return {**batch, "start_positions": words.argmax(1), "end_positions": words.argmin(1)}


def translated(config: Any, rows: int) -> Batch:
    """The words backwards."""
    batch = _padded(_counting(rows))
    backwards = batch["input_ids"].flip(1)
    return {**batch, "labels": backwards.masked_fill(backwards == 0, _IGNORED)}


def _is_high(words: Tensor) -> Tensor:
    return (words >= _FIRST_WORD + _USED_WORDS // 2).long()


def pictures(config: Any, rows: int) -> Batch:
    """Bright on the left, or on the right."""
    labels = torch.arange(rows) % _CLASSES
    return {"pixel_values": _sided(labels, config), "labels": labels}


def _sided(labels: Tensor, config: Any) -> Tensor:
    """`[rows, channels, side, side]` numbers around 0."""
    side = SIDE
    noise = 0.5 * torch.randn(len(labels), getattr(config, "num_channels", 3) or 3, side, side)
    half = torch.where(torch.arange(side) < side // 2, 1.0, -1.0)
    return noise + torch.where(labels == 0, 1.0, -1.0).view(-1, 1, 1, 1) * half


def segmented(config: Any, rows: int) -> Batch:
    """Of each point, whether it is bright."""
    pixels = _sided(torch.arange(rows) % _CLASSES, config)
    return {"pixel_values": pixels, "labels": (pixels.mean(1) > 0).long()}


def measured(config: Any, rows: int) -> Batch:
    """How far each point is."""
    pixels = _sided(torch.arange(rows) % _CLASSES, config)
    return {"pixel_values": pixels, "labels": 2 + pixels.mean(1)}


def films(config: Any, rows: int) -> Batch:
    """Pictures that stand still, almost."""
    labels = torch.arange(rows) % _CLASSES
    frames = getattr(config, "num_frames", None) or getattr(config, "frames_per_clip", None) or 2
    return {"pixel_values": torch.stack([_sided(labels, config) for _ in range(frames)], 1), "labels": labels}


def sounds(config: Any, rows: int) -> Batch:
    """A high tone, or a low one."""
    labels = torch.arange(rows) % _CLASSES
    return {"input_values": _tones(labels), "labels": labels}


def _tones(labels: Tensor) -> Tensor:
    pitch = torch.where(labels == 0, 0.05, 0.4).unsqueeze(1)
    return torch.sin(pitch * torch.arange(_SAMPLES) + 6 * torch.rand(len(labels), 1)) + 0.1 * torch.randn(
        len(labels), _SAMPLES
    )


def spoken(config: Any, rows: int) -> Batch:
    """The same letter three times, by the tone."""
    labels = torch.arange(rows) % _CLASSES
    return {"input_values": _tones(labels), "labels": (_FIRST_WORD + labels).unsqueeze(1) + torch.tensor([[0, 2, 0]])}


def spectra(config: Any, rows: int) -> Batch:
    """Words of a spectrogram that is strong in its upper half or in its lower."""
    labels = torch.arange(rows) % _CLASSES
    features = _spectrograms(FRAMES, labels)
    return {"input_features": features, "labels": (_FIRST_WORD + labels).unsqueeze(1) + torch.tensor([[0, 2, 4, 0]])}


def _spectrograms(bands: int, labels: Tensor) -> Tensor:
    """`[rows, bands, moments]` numbers around 0."""
    strong = torch.where(torch.arange(bands) < bands // 2, 1.0, -1.0) * torch.where(labels == 0, 1.0, -1.0).unsqueeze(1)
    return strong.unsqueeze(2) + 0.5 * torch.randn(len(labels), bands, 2 * FRAMES)


def captioned(config: Any, rows: int) -> Batch:
    """A picture and the words for it, which belong together."""
    labels = torch.arange(rows) % _CLASSES
    words = _FIRST_WORD + _USED_WORDS * labels.unsqueeze(1) + torch.arange(LENGTH)
    words[:, -1] = WORDS - 1
    return {"pixel_values": _sided(labels, config), "input_ids": words, "attention_mask": torch.ones_like(words)}


def unlabelled(config: Any, rows: int) -> Batch:
    """Pictures, for what is to draw them again."""
    return {"pixel_values": pictures(config, rows)["pixel_values"]}


def described(config: Any, rows: int) -> Batch:
    """A picture and the words for it, which are to be foretold."""
    batch = captioned(config, rows)
    return {**batch, "labels": batch["input_ids"].clone()}


def inserted(config: Any, rows: int) -> Batch:
    """Likewise, with a place among the words for each patch of the picture."""
    batch = captioned(config, rows)
    vision = config.vision_config
    places = torch.full((rows, (vision.image_size // vision.patch_size) ** 2), IMAGE_WORD)
    words = torch.cat([places, batch["input_ids"]], 1)
    labels = words.masked_fill(words == IMAGE_WORD, _IGNORED)
    return {**batch, "input_ids": words, "attention_mask": torch.ones_like(words), "labels": labels}


def told_apart(config: Any, rows: int) -> Batch:
    """Likewise, and which of them are the answer."""
    batch = inserted(config, rows)
    return {**batch, "token_type_ids": (batch["labels"] != _IGNORED).long()}


def asked(config: Any, rows: int) -> Batch:
    """A picture, and the same words for each; on which side it is bright, as numbers."""
    batch = captioned(config, rows)
    labels = nn.functional.one_hot(torch.arange(rows) % _CLASSES, config.num_labels).float()
    return {**batch, "input_ids": batch["input_ids"][:1].expand(rows, -1), "labels": labels}


def drawn(config: Any, rows: int) -> Batch:
    """A picture, and the words for it alone."""
    batch = captioned(config, rows)
    return {"pixel_values": batch["pixel_values"], "labels": batch["input_ids"]}


def banks(config: Any, rows: int) -> Batch:
    """As `spectra`, with the moments first."""
    batch = spectra(config, rows)
    return {**batch, "input_features": batch["input_features"].transpose(1, 2)}


def patches(config: Any, rows: int) -> Batch:
    """A spectrogram that is strong in its upper half or in its lower."""
    labels = torch.arange(rows) % _CLASSES
    return {"input_values": _spectrograms(config.num_mel_bins, labels).transpose(1, 2), "labels": labels}


def heard(config: Any, rows: int) -> Batch:
    """Likewise."""
    batch = spectra(config, rows)
    return {**batch, "labels": torch.arange(rows) % _CLASSES}


def series(config: Any, rows: int) -> Batch:
    """Waves, and how they go on."""
    moments = torch.arange(config.context_length + config.prediction_length)
    values = torch.sin(0.5 * moments + 6 * torch.rand(rows, 1)) + 0.1 * torch.randn(rows, len(moments))
    past, future = values.split([config.context_length, config.prediction_length], 1)
    return {"past_values": past.unsqueeze(2), "future_values": future.unsqueeze(2)}


def timed(config: Any, rows: int) -> Batch:
    """Likewise, with the lags that the model looks back, and the time of day."""
    length = config.context_length + max(config.lags_sequence)
    moments = torch.arange(length + config.prediction_length)
    values = 3 + torch.sin(0.5 * moments + 6 * torch.rand(rows, 1)) + 0.1 * torch.randn(rows, len(moments))
    day = torch.sin(0.1 * moments).expand(rows, -1).unsqueeze(2)
    return {
        "past_values": values[:, :length],
        "past_time_features": day[:, :length],
        "past_observed_mask": torch.ones(rows, length),
        "future_values": values[:, length:],
        "future_time_features": day[:, length:],
    }
