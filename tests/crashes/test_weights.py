"""What made a layer's weights what they are: each program ends in a crash, and `# HERE` marks the line to blame."""

import linecache
from collections.abc import Iterator

import pytest
import torch

import tensorcheck
from tensorcheck.findings import Finding
from tests.invariants import assert_well_formed

HEAD = """import copy, io
import torch
from torch import nn
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(4, 2)
    def forward(self, rows):
        return self.fc(rows)
"""

CONVERSIONS = {
    "a statement": """
net = Net()
net.half()  # HERE
net(torch.ones(3, 4))
""",
    "its own name again": """
net = nn.Sequential(nn.Linear(4, 2), nn.ReLU())
net = net.to(torch.float16)  # HERE
net(torch.ones(3, 4))
""",
    "a model made on the spot": """
net = Net().half()  # HERE
net(torch.ones(3, 4))
""",
    "a function that was called with it": """
def prepare(model):
    model.eval().half()  # HERE
def main():
    net = Net()
    prepare(net)
    net(torch.ones(3, 4))
main()
""",
    "a method of the object that runs": """
class Trainer:
    def __init__(self, net):
        self.net = net
    def shrink(self):
        self.net.to(dtype=torch.float16)  # HERE
    def fit(self):
        for _ in range(2):
            self.net(torch.ones(3, 4))
            self.shrink()
Trainer(Net()).fit()
""",
    "a loop over its parameters": """
net = Net()
for weight in net.parameters():
    weight.data = weight.data.half()  # HERE
net(torch.ones(3, 4))
""",
    "the default": """
torch.set_default_dtype(torch.float16)  # HERE
net = Net()
net(torch.ones(3, 4, dtype=torch.float32))
""",
}

PLACES = {
    "a plain list": """
class Stack(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.rest = [nn.Linear(4, 4)]  # HERE
    def forward(self, rows):
        return self.rest[0](self.first(rows))
with torch.device("meta"):
    net = Stack()
net.to_empty(device="cpu")
net(torch.ones(3, 4))
""",
    "a block": """
def build():
    return Net()
with torch.device("meta"):  # HERE
    net = build()
net(torch.ones(3, 4))
""",
    "the default": """
def count():
    torch.set_default_device("meta")  # HERE
    return sum(each.numel() for each in Net().parameters())
rows = torch.ones(3, 4)
count()
Net()(rows)
""",
    "a factory's argument": """
def build(width, device):
    return nn.Sequential(nn.Linear(4, width, device=device), nn.Linear(width, 2))
net = build(8, "meta")  # HERE
net(torch.ones(3, 4))
""",
    "weights that were copied before they were loaded": """
class Average:
    def __init__(self, model):
        self.shadow = {name: weight.detach().clone() for name, weight in model.named_parameters()}
    def store(self, model):
        model.load_state_dict(self.shadow)
state = Net().state_dict()
with torch.device("meta"):
    net = Net()
average = Average(net)  # HERE
net.load_state_dict(state, assign=True)
average.store(Net())
""",
}

OPERANDS = {
    "an attribute that keeps the device": """
class Shifted(nn.Module):
    def __init__(self, device):
        super().__init__()
        self.device = torch.device(device)
    def forward(self, rows):
        return rows + torch.ones(4, device=self.device)
Shifted("meta")(torch.zeros(4))  # HERE
""",
    "a block": """
with torch.device("meta"):  # HERE
    shift = torch.ones(4)
torch.zeros(4) + shift
""",
    "the default": """
rows = torch.zeros(4)
torch.set_default_device("meta")  # HERE
shift = torch.ones(4)
rows + shift
""",
}


@pytest.fixture(autouse=True)
def defaults() -> Iterator[None]:
    yield
    torch.set_default_dtype(torch.float32)
    torch.set_default_device(None)


def found(program: str) -> Finding:
    """The explanation of the program's crash."""
    filename, code = "<weights>", f"{HEAD}{program}"
    linecache.cache[filename] = (len(code), None, code.splitlines(keepends=True), filename)
    with pytest.raises((RuntimeError, TypeError)) as raised:
        exec(compile(code, filename, "exec"), {"__name__": "program"})  # noqa: S102 - the programs are these
    (finding,) = tensorcheck.explain(raised.value).findings
    assert_well_formed(finding)
    return finding


def blamed(program: str) -> int:
    """The line to blame, as files count."""
    return next(index for index, line in enumerate(f"{HEAD}{program}".splitlines(), start=1) if "# HERE" in line)


@pytest.mark.parametrize("program", CONVERSIONS.values(), ids=CONVERSIONS.keys())
def test_what_gave_the_weights_their_dtype_is_the_root(program: str) -> None:
    finding = found(program)

    assert finding.rule == "TCK101"
    assert [each.site.line for each in finding.related] == [blamed(program)]


@pytest.mark.parametrize("program", PLACES.values(), ids=PLACES.keys())
def test_what_left_the_weights_on_meta_is_a_related_place(program: str) -> None:
    finding = found(program)

    assert finding.rule == "TCK304"
    assert blamed(program) in [each.site.line for each in finding.related]


@pytest.mark.parametrize("program", OPERANDS.values(), ids=OPERANDS.keys())
def test_what_named_the_device_of_an_operand_is_the_last_place(program: str) -> None:
    finding = found(program)

    assert finding.rule == "TCK303"
    assert finding.related[-1].site.line == blamed(program)


def test_a_conversion_that_is_meant_for_a_copy_is_helped_with_a_copy() -> None:
    finding = found(
        "net = Net()\nsmall = net.half()\ntorch.save(small.state_dict(), io.BytesIO())\nnet(torch.ones(3, 4))\n"
    )

    assert (finding.help, finding.fixes) == ("copy.deepcopy(net).half()", ())


def test_a_conversion_whose_result_is_called_is_helped_at_the_input() -> None:
    finding = found("net = Net()\nsmall = net.half()\nsmall(torch.ones(3, 4))\n")

    assert finding.help == "rows.half()"


@pytest.mark.parametrize(
    "program",
    [
        "net = Net().double()\nteacher = copy.deepcopy(net)\nteacher.double()\nteacher(torch.ones(3, 4).half())\n",
        "net = nn.Linear(4, 2, dtype=torch.float64)\nnet(torch.ones(3, 4))\nnet.double()\n",
        "teacher = nn.Linear(4, 2)\nteacher.double()\nnn.Linear(4, 2, dtype=torch.float64)(torch.ones(3, 4))\n",
    ],
    ids=["another dtype came", "it has not run", "another module"],
)
def test_a_conversion_that_explains_nothing_is_not_named(program: str) -> None:
    assert [each.note for each in found(program).related if "made float64 here" in each.note] == []


def test_a_conversion_is_meant_where_another_input_has_its_dtype() -> None:
    finding = found("gru = nn.GRU(4, 3).double()\ngru(torch.ones(3, 4).double(), torch.zeros(1, 3))\n")

    assert "`torch.zeros(1, 3)`" in finding.headline
    assert finding.related == ()


def test_a_conversion_in_a_branch_is_likely() -> None:
    program = "net = Net()\nif len(HALF):\n    net.half()\nnet(torch.ones(3, 4))\n"

    assert found(f"HALF = 'yes'\n{program}").related[0].note == "likely: `net` is made float16 here"


def test_a_layer_in_a_plain_list_is_named_by_its_attribute() -> None:
    finding = found(PLACES["a plain list"])

    assert finding.module == "rest[0]"
    assert finding.help == "self.rest = nn.ModuleList([nn.Linear(4, 4)])"


def test_a_layer_of_a_factory_is_placed_at_its_own_line() -> None:
    build = "def build(width):\n    return nn.Sequential(\n        nn.ReLU(),\n        nn.Linear(width, 2),\n    )\n"

    assert "nn.Linear(width, 2)" in found(f"{build}net = build(8)\nnet(torch.ones(3, 4))\n").expected


def test_a_tuple_in_a_sequential_names_the_layer_that_gave_it_and_the_factorys_call() -> None:
    build = (
        "def build(width):\n    net = nn.Sequential(\n        nn.LSTM(4, width),\n        nn.Linear(width, 2),\n    )\n"
    )

    related = found(f"{build}    return net\nnet = build(8)\nnet(torch.ones(3, 1, 4))\n").related

    assert [each.site.code for each in related] == ["nn.LSTM(4, width)", "build(8)"]


def test_the_values_of_a_failing_sample_are_told_with_their_devices_where_one_is_elsewhere() -> None:
    program = """
class Scaled(torch.utils.data.Dataset):
    def __init__(self):
        self.rows, self.mean = torch.ones(3, 4), torch.ones(4, device="meta")
    def __len__(self):
        return 3
    def __getitem__(self, index):
        return self.rows[index] - self.mean
next(iter(torch.utils.data.DataLoader(Scaled())))
"""

    assert "`self.mean` is float32[4] meta" in found(program).notes[1]
    assert "`self.rows[index]` is float32[4] cpu" in found(program).notes[1]
