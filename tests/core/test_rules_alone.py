"""What a rule needs is there also where no other rule is asked for."""

from pathlib import Path

import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from tensorcheck.catalogue import entries
from tensorcheck.findings import Finding
from tensorcheck.settings import Settings
from tensorcheck.watching import watch_process


def fine_tune(file: Path) -> None:
    """Train a head on a frozen body, evaluate it, and save and load it."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU(), nn.Linear(4, 2))
    model[0].requires_grad_(requires_grad=False)
    optimizer = torch.optim.Adam(model[2].parameters(), lr=0.01)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    loader = DataLoader(TensorDataset(torch.randn(16, 4), torch.arange(16) % 2), batch_size=4, shuffle=True)
    for rows, labels in loader:
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(rows), labels).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    scheduler.step()
    model.eval()
    with torch.inference_mode():
        model(torch.randn(4, 4)).argmax(1)
    torch.save(model.state_dict(), file)
    model.load_state_dict(torch.load(file, weights_only=True))


@pytest.mark.parametrize("code", [entry.code for entry in entries()])
def test_a_rule_alone_sees_healthy_training_without_a_fault(code: str, tmp_path: Path) -> None:
    with watch_process(list[Finding]().append, settings=Settings(select=(code,))) as watching:
        fine_tune(tmp_path / "model.pth")
    coverage = watching.report.record.coverage
    assert [skip for skip in coverage.skipped if skip.why.startswith("it raised")] == []
    assert watching.findings == ()
