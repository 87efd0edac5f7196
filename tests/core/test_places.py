"""A finding's place is where the mistake was made, not only where it showed."""

import pytest
import torch
from torch import Tensor, nn

import tensorcheck


class CutEarly(nn.Module):
    """The graph is cut two lines before the layer that is given the result."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)

    def forward(self, rows: Tensor) -> Tensor:
        hidden = self.features(rows)
        cached = hidden.detach()
        hidden = torch.relu(cached)
        logits: Tensor = self.head(hidden)
        return logits


def test_a_cut_is_named_with_its_operation_and_line(capsys: pytest.CaptureFixture[str]) -> None:
    model = CutEarly()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
    (finding,) = watch.findings
    assert finding.rule == "TCK401"
    assert finding.site is not None
    assert finding.site.source.strip() == "cached = hidden.detach()"
    assert finding.label == "`detach` cuts it here"
    assert [related.site.code for related in finding.related] == ["self.head(hidden)"]
    capsys.readouterr()


def test_an_optimizer_is_named_by_the_line_that_built_it(capsys: pytest.CaptureFixture[str]) -> None:
    model = CutEarly()
    with tensorcheck.watch(model) as watch:
        optimizer = torch.optim.SGD(model.head.parameters(), lr=0.1)
        model.head(model.features(torch.rand(8, 4))).square().mean().backward()
        optimizer.step()
    (finding,) = watch.findings
    assert finding.rule == "TCK402"
    assert finding.site is not None
    assert finding.site.code == "torch.optim.SGD(model.head.parameters(), lr=0.1)"
    capsys.readouterr()


def test_freezing_is_named_by_its_line() -> None:
    model = CutEarly()
    with pytest.raises(RuntimeError) as caught, tensorcheck.watch(model) as watch:
        model.requires_grad_(False)
        model(torch.rand(8, 4)).square().mean().backward()
    (finding,) = watch.findings
    assert finding.rule == "TCK403"
    assert finding.site is not None
    assert finding.site.code == "model.requires_grad_(False)"
    assert "TCK403" in caught.value.__notes__[0]


class Doubles(torch.utils.data.Dataset[tuple[Tensor, int]]):
    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return torch.zeros(4, dtype=torch.float64), index


def test_a_wrong_dtype_names_the_line_of_the_dataset() -> None:
    model = CutEarly()
    subset = torch.utils.data.Subset(Doubles(), [0, 1])
    with pytest.raises(RuntimeError), tensorcheck.watch(model) as watch:
        for rows, _ in torch.utils.data.DataLoader(subset, batch_size=2):
            model(rows)
    (finding,) = watch.findings
    assert finding.rule == "TCK101"
    places = {(related.site.function, related.site.code.partition(", index")[0]) for related in finding.related}
    assert ("Doubles.__getitem__", "torch.zeros(4, dtype=torch.float64)") in places


def test_a_loss_without_a_graph_names_what_cut_it() -> None:
    model = CutEarly()
    with pytest.raises(RuntimeError), tensorcheck.watch(model) as watch:
        logits = model(torch.rand(8, 4))
        choices = logits.argmax(1)
        loss = choices.float().mean()
        loss.backward()
    (finding,) = watch.findings
    assert finding.rule == "TCK405"
    assert finding.site is not None
    assert finding.site.code == "logits.argmax(1)"
    assert finding.label == "`argmax` cuts it here"
    assert [related.site.code for related in finding.related] == ["choices.float().mean()", "loss.backward()"]
