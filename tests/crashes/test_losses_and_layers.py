"""What a loss and a layer were built with, where a crash shows that it does not fit: weights, masks, a base class."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding

COUNTS = np.array([10, 20, 30])
CRITERION = nn.CrossEntropyLoss(weight=torch.from_numpy(1 / COUNTS))


class Trainer:
    def __init__(self, weights: Tensor) -> None:
        self.criterion = nn.CrossEntropyLoss(weight=weights)

    def step(self, scores: Tensor) -> None:
        self.criterion(scores, torch.zeros(8, dtype=torch.int64))


class Heavier(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        heavier = torch.ones(4)
        self.loss = nn.BCEWithLogitsLoss(pos_weight=heavier)

    def forward(self, scores: Tensor, marks: Tensor) -> Tensor:
        loss: Tensor = self.loss(scores, marks)
        return loss


class Encoder(nn.Module):
    def __init__(self, *, is_copied: bool = True) -> None:
        super().__init__()
        layer = nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, dropout=0.0)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False) if is_copied else layer

    def forward(self, rows: Tensor, padding: Tensor) -> Tensor:
        out: Tensor = self.encoder(rows, src_key_padding_mask=padding)
        return out


class Inheriting(nn.Linear):
    pass


class Calling(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name that the base has
        return super().forward(input.flatten(1)) * 2


class Overriding(nn.Linear):
    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - likewise
        return input @ self.weight


class Scaling(nn.Linear):
    def __init__(self, width: int, scale: int) -> None:
        super().__init__(width * scale, 3)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.inheriting = Inheriting(4, 3)
        self.calling = Calling(4, 3)
        self.overriding = Overriding(4, 3)
        self.scaling = Scaling(4, 4)

    def forward(self, rows: Tensor, name: str) -> Tensor:
        out: Tensor = getattr(self, name)(rows)
        return out


def explained(crash: Callable[[], object]) -> Finding:
    with pytest.raises(Exception) as error:  # noqa: PT011 - PyTorch raises what it likes
        crash()
    return tensorcheck.explain(error.value).findings[0]


def places(finding: Finding) -> list[str]:
    return [related.site.code for related in finding.related]


def doubled_weights() -> None:
    weights = torch.from_numpy(COUNTS / COUNTS.sum())
    Trainer(weights).step(torch.zeros(8, 3))


def built_at_once() -> None:
    losses = {"classes": nn.CrossEntropyLoss(torch.tensor([1.0, 2.0]))}
    losses["classes"](torch.zeros(8, 3), torch.zeros(8, dtype=torch.int64))


def converted() -> None:
    criterion = nn.CrossEntropyLoss(weight=torch.ones(3))
    criterion.double()
    criterion(torch.zeros(8, 3), torch.zeros(8, dtype=torch.int64))


def test_the_weights_of_a_loss_are_followed_through_its_constructor_to_where_they_were_made() -> None:
    finding = explained(doubled_weights)
    assert finding.rule == "TCK102"
    assert places(finding)[0] == "weights"
    assert places(finding)[-1] == "torch.from_numpy(COUNTS / COUNTS.sum())"


def test_the_cast_of_a_losss_weights_is_tried_and_offered_where_the_loss_was_built() -> None:
    finding = explained(doubled_weights)
    assert finding.help.startswith("weights.float()    in Trainer.__init__, ")
    assert finding.tried == "the loss passes"


def test_the_weights_of_a_loss_of_the_module_are_found() -> None:
    finding = explained(lambda: CRITERION(torch.zeros(8, 3), torch.zeros(8, dtype=torch.int64)))
    assert places(finding) == ["torch.from_numpy(1 / COUNTS)"]


def test_weights_of_the_wrong_length_are_found_where_the_model_built_its_loss() -> None:
    finding = explained(lambda: Heavier()(torch.zeros(8, 3), torch.zeros(8, 3)))
    assert (finding.rule, places(finding)) == ("TCK207", ["heavier", "torch.ones(4)"])


def test_the_weights_of_a_loss_in_a_dictionary_are_found() -> None:
    assert places(explained(built_at_once)) == ["torch.tensor([1.0, 2.0])"]


def test_weights_of_a_loss_that_was_converted_later_are_not_said_to_be_made_so() -> None:
    finding = explained(converted)
    assert finding.rule == "TCK102"
    assert not any("from here on" in related.note and "likely" not in related.note for related in finding.related)


def test_a_padding_mask_of_the_batch_first_shows_the_layer_that_was_built_without_it() -> None:
    finding = explained(lambda: Encoder()(torch.zeros(6, 5, 8), torch.zeros(6, 5, dtype=torch.bool)))
    layer = "nn.TransformerEncoderLayer(8, 2, dim_feedforward=16, dropout=0.0"
    assert (finding.rule, places(finding)) == ("TCK204", [f"{layer})"])
    assert finding.got.startswith("bool[6, 5]")
    assert (finding.help, finding.tried) == (f"{layer}, batch_first=True)", "the forward passes")


def test_a_layer_that_is_called_itself_is_shown_as_its_copies_are() -> None:
    model = Encoder(is_copied=False)
    finding = explained(lambda: model(torch.zeros(6, 5, 8), torch.zeros(6, 5, dtype=torch.bool)))
    assert "batch_first=False" in finding.expected


def test_a_padding_mask_that_fits_in_no_layout_is_said_to_be_of_the_wrong_shape() -> None:
    finding = explained(lambda: Encoder()(torch.zeros(6, 5, 8), torch.zeros(6, 7, dtype=torch.bool)))
    assert "batch_first" not in finding.help
    assert finding.got.startswith("bool[6, 7]")


@pytest.mark.parametrize("name", ["inheriting", "calling"])
def test_a_subclass_has_the_contract_of_the_forward_that_it_runs(name: str) -> None:
    finding = explained(lambda: Net()(torch.zeros(8, 5), name))
    assert (finding.rule, finding.headline) == ("TCK201", f"`{name}` got 5 features but was built for 4")


def test_a_subclass_with_a_forward_of_its_own_has_no_contract() -> None:
    finding = explained(lambda: Net()(torch.zeros(8, 4), "overriding"))
    assert finding.rule == "TCK204"


def test_a_subclass_that_is_built_of_other_numbers_gets_no_line_to_paste() -> None:
    finding = explained(lambda: Net()(torch.zeros(8, 5), "scaling"))
    assert (finding.headline, finding.help) == ("`scaling` got 5 features but was built for 16", "")
