"""Weights that another model gets than the one that is used, and code that loads into a second model on purpose."""

import runpy
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest

from tensorcheck.findings import Finding

HEAD = """
import contextlib, copy, functools
import torch, tensorcheck
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.head = nn.Linear(8, 2)
    def forward(self, rows):
        return self.head(self.body(rows).relu())

class Wrapper(nn.Module):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner

def train(net, optimizer=None, steps=3):
    optimizer = optimizer or torch.optim.SGD(net.parameters(), lr=0.1)
    for _ in range(steps):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(torch.rand(8, 4)), torch.arange(8) % 2).backward()
        optimizer.step()

torch.manual_seed(0)
saved = Net().state_dict()
torch.save(Net(), "whole.pt")
model = Net()
watch = tensorcheck.watch(model, on_finding=lambda finding: None, experiments=False)
"""


def found(program: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Sequence[Finding]:
    """What is found in a script that does this."""
    monkeypatch.chdir(folder)
    script = folder / "script.py"
    lines = textwrap.indent(textwrap.dedent(program).strip(), "    ")
    script.write_text(f"{HEAD}\nwith watch:\n{lines}\n")
    findings: Sequence[Finding] = runpy.run_path(str(script), run_name="__main__")["watch"].findings
    return findings


LOCAL = """
def load(net):
    net = Net()
    net.load_state_dict(saved)
    net.eval()
load(model)
model(torch.rand(2, 4))
"""

METHOD = """
class Trainer:
    def __init__(self):
        self.net = model
    def load(self):
        net = Net()
        net = net.to("cpu")
        net.load_state_dict(saved)
    def fit(self):
        train(self.net)
trainer = Trainer()
trainer.load()
trainer.fit()
"""

MAIN = """
def main():
    pretrained = Net()
    pretrained.load_state_dict(saved)
    net = Net()
    train(net)
main()
"""

OTHER_NAME = """
pretrained = Net()
pretrained.load_state_dict(saved)
pretrained.eval()
train(model)
"""


@pytest.mark.parametrize(
    ("program", "headline"),
    [
        ("Net().load_state_dict(saved)\ntrain(model)", "The weights are loaded into a `Net` that nothing holds"),
        ("keys = Net().to('cpu').load_state_dict(saved)", "The weights are loaded into a `Net` that nothing holds"),
        (LOCAL, "`net` gets the weights, and is gone when `load` ends"),
        (METHOD, "`net` gets the weights, and is gone when `load` ends"),
        (MAIN, "`pretrained` gets the weights, and nothing uses it"),
        (OTHER_NAME, "`pretrained` gets the weights, and nothing uses it"),
    ],
)
def test_weights_that_nobody_uses_are_found(
    program: str, headline: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = found(program, tmp_path, monkeypatch)
    assert (finding.rule, finding.headline) == ("TCK808", headline)
    assert finding.site is not None
    assert "load_state_dict(saved)" in finding.site.code


RETURNED = """
def load():
    net = Net()
    net.load_state_dict(saved)
    return net.eval()
train(load())
"""

CACHED = """
@functools.cache
def net():
    return Net()
net().load_state_dict(saved)
net()(torch.rand(2, 4))
"""

OWN_METHOD = """
class Loading(Net):
    def load_state_dict(self, state, strict=True):
        return super().load_state_dict(state, strict)
other = Loading()
other.load_state_dict(saved)
train(other)
"""

WRAPPED_IN_A_FUNCTION = """
def main():
    net = Net()
    Wrapper(net).load_state_dict({f"inner.{key}": value for key, value in saved.items()})
    train(net)
main()
"""

WRAPPED_FAR_AWAY = """
class Trainer:
    def __init__(self):
        self.net = Net()
class Run:
    def __init__(self):
        self.trainer = Trainer()
    def load(self):
        Wrapper(self.trainer.net).load_state_dict({f"inner.{key}": value for key, value in saved.items()})
run = Run()
run.load()
train(run.trainer.net)
"""

KEPT = """
class Trainer:
    def __init__(self):
        self.net = Net()
    def load(self):
        net = self.net
        net.load_state_dict(saved)
trainer = Trainer()
trainer.load()
train(trainer.net)
"""

GLOBAL = """
def load():
    global other
    other = Net()
    other.load_state_dict(saved)
load()
train(other)
"""

READ_IN_A_FUNCTION = """
teacher = Net()
teacher.load_state_dict(saved)
def distil(rows):
    return teacher(rows)
train(model)
"""

AVERAGED = """
total = dict.fromkeys(saved, 0.0)
for state in (saved, saved):
    one = Net()
    one.load_state_dict(state)
    total = {key: total[key] + value / 2 for key, value in one.state_dict().items()}
model.load_state_dict(total)
"""

CHECKED = """
try:
    Net().load_state_dict(saved)
except RuntimeError:
    print("an old file")
train(model)
"""

EXPECTED_TO_RAISE = """
with contextlib.suppress(RuntimeError), contextlib.nullcontext("raises"):
    Net().load_state_dict(saved)
"""

AFTER_TRAINING = """
train(model)
def check():
    again = Net()
    again.load_state_dict(model.state_dict())
check()
Net().load_state_dict(model.state_dict())
"""

IN_A_LIST = """
nets = []
def add():
    nets.append(Net())
    net = nets[-1]
    net.load_state_dict(saved)
add()
train(nets[0])
"""

ALONE = """
restored = Wrapper(None)
restored.load_state_dict({})
train(model)
"""

CONDITIONAL = """
net = Net()
if model is None:
    net = copy.deepcopy(model)
net.load_state_dict(saved)
train(model)
"""


@pytest.mark.parametrize(
    "program",
    [
        "model.load_state_dict(saved)\ntrain(model)",
        "Wrapper(model).load_state_dict({f'inner.{key}': value for key, value in saved.items()})\ntrain(model)",
        *(RETURNED, CACHED, OWN_METHOD, WRAPPED_IN_A_FUNCTION, KEPT, GLOBAL, READ_IN_A_FUNCTION, AVERAGED, CHECKED),
        *(WRAPPED_FAR_AWAY, EXPECTED_TO_RAISE, AFTER_TRAINING, IN_A_LIST, ALONE, CONDITIONAL),
    ],
)
def test_a_second_model_that_is_used_or_checked_is_silent(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not found(program, tmp_path, monkeypatch)


BUILT = "optimizer = torch.optim.SGD(model.parameters(), lr=0.1)\n"
TRAINER = """
class Trainer:
    def __init__(self):
        self.net = model
        self.optimizer = torch.optim.Adam(self.net.parameters())
    def resume(self):
        self.net = Net()
        self.net.load_state_dict(saved)
trainer = Trainer()
trainer.resume()
train(trainer.net, trainer.optimizer)
"""
BEST_AGAIN = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train(model, optimizer)
torch.save({"net": model}, "best.pt")
model = torch.load("best.pt", weights_only=False)["net"]
train(model, optimizer)
"""


@pytest.mark.parametrize(
    ("program", "line"),
    [
        (BUILT + "model.load_state_dict(saved, assign=True)\ntrain(model, optimizer)", "model.load_state_dict(saved"),
        (
            BUILT + "model = torch.load('whole.pt', weights_only=False)\ntrain(model, optimizer)",
            "torch.load('whole.pt'",
        ),
        (TRAINER, "self.net.load_state_dict(saved)"),
        (BEST_AGAIN, 'torch.load("best.pt"'),
    ],
)
def test_a_model_that_is_loaded_after_its_optimizer_was_built_is_found(
    program: str, line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (finding,) = found(program, tmp_path, monkeypatch)
    assert (finding.rule, finding.help[:6]) == ("TCK808", "build ")
    assert finding.site is not None
    assert finding.site.code.startswith(line)


COPIED_BACK = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train(model, optimizer)
best = copy.deepcopy(model)
model = copy.deepcopy(best)
train(model, optimizer)
"""


def test_a_model_that_is_replaced_in_the_middle_of_a_training_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert [finding.rule for finding in found(COPIED_BACK, tmp_path, monkeypatch)] == ["TCK402"]


BUILT_AGAIN = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train(model, optimizer)
model.load_state_dict(saved, assign=True)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train(model, optimizer)
"""
TEACHER = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
teacher = Net().requires_grad_(False)
teacher.load_state_dict(saved, assign=True)
for step in range(3):
    optimizer.zero_grad()
    (model(torch.ones(4, 4)) - teacher(torch.ones(4, 4))).square().mean().backward()
    optimizer.step()
"""
EVALUATED = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
train(model, optimizer)
torch.save({"net": model}, "best.pt")
best = torch.load("best.pt", weights_only=False)["net"]
with torch.no_grad():
    best(torch.ones(2, 4))
train(model, optimizer)
"""
ATTACKED = """
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
other = torch.load("whole.pt", weights_only=False)
for step in range(4):
    rows = torch.rand(8, 4, requires_grad=True)
    other(rows).sum().backward()
    optimizer.zero_grad()
    model(rows + 0.1 * rows.grad.sign()).square().mean().backward()
    optimizer.step()
"""


@pytest.mark.parametrize(
    "program",
    [
        BUILT + "model.load_state_dict(saved)\ntrain(model, optimizer)",
        "model.load_state_dict(saved, assign=True)\n" + BUILT + "train(model, optimizer)",
        *(BUILT_AGAIN, TEACHER, EVALUATED, ATTACKED),
    ],
)
def test_a_load_that_leaves_the_optimizer_its_parameters_is_silent(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not found(program, tmp_path, monkeypatch)
