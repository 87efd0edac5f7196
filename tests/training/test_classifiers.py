import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from tensorcheck.training.model import ChannelScale, ImageClassifier, RowClassifier, Standardize, classifier_for


@settings(max_examples=25)
@given(channels=st.integers(1, 4), height=st.integers(1, 70), width=st.integers(1, 70), classes=st.integers(2, 7))
def test_an_image_of_any_size_gets_a_score_for_each_class(channels: int, height: int, width: int, classes: int) -> None:
    model = ImageClassifier((channels, height, width), classes)
    assert model(torch.zeros(2, channels, height, width)).shape == (2, classes)


def test_every_parameter_of_a_classifier_gets_a_gradient() -> None:
    for model, samples in (
        (ImageClassifier((1, 8, 8), 3), torch.rand(4, 1, 8, 8)),
        (RowClassifier(5, 3), torch.rand(4, 5)),
    ):
        model(samples).sum().backward()
        assert all(parameter.grad is not None for parameter in model.parameters())


def test_standardized_channels_have_mean_zero_and_deviation_one() -> None:
    samples = torch.rand(50, 3, 4) * torch.tensor([[1.0], [1000.0], [0.001]]) + 5
    standardized = Standardize.measured([(sample, 0) for sample in samples], 50)(samples)  # type: ignore[arg-type]  # a list is a dataset
    torch.testing.assert_close(standardized.mean(dim=(0, 2)), torch.zeros(3), atol=1e-2, rtol=0)
    torch.testing.assert_close(standardized.std(dim=(0, 2)), torch.ones(3), atol=2e-2, rtol=0)


def test_a_constant_channel_stays_finite() -> None:
    standardize = Standardize.measured([(torch.ones(2), 0)] * 3, 3)  # type: ignore[arg-type]  # a list is a dataset
    assert standardize(torch.ones(1, 2)).tolist() == [[0.0, 0.0]]


def test_what_was_measured_is_saved_with_the_model_and_not_trained() -> None:
    standardize = Standardize(torch.tensor([1.0]), torch.tensor([2.0]))
    assert standardize.state_dict().keys() == {"mean", "deviation"}
    assert not list(standardize.parameters())


def test_the_hand_made_layer_scales_each_channel() -> None:
    layer = ChannelScale(2, dims=1)
    nn.init.constant_(layer.factor[1], 3.0)
    assert layer(torch.ones(1, 2, 2)).tolist() == [[[1.0, 1.0], [3.0, 3.0]]]


def test_samples_of_no_known_shape_are_refused() -> None:
    with pytest.raises(ValueError, match=r"a sample is \[channels, height, width\] or \[columns\], not \[2, 2\]"):
        classifier_for([(torch.ones(2, 2), 0)] * 3, 3, 2)  # type: ignore[arg-type]  # a list is a dataset
