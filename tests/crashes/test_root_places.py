"""Where a mistake was made, far from where it crashes: `# HERE` marks the line that a reader must be shown."""

import json
import linecache
import subprocess
import sys
from pathlib import Path

import pytest

import tensorcheck
from tensorcheck.findings import Finding
from tests.invariants import assert_well_formed

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # some of the mistakes make PyTorch warn as well

HEAD = """import argparse
from dataclasses import dataclass, replace
import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, Dataset, IterableDataset
"""

SAMPLES = """
class Waves(Dataset):
    def __init__(self, waves):
        self.waves = waves
    def __len__(self):
        return len(self.waves)
    def __getitem__(self, k):
        return {item}
def waves():
    return [torch.zeros(9), torch.zeros(9), torch.zeros(5), torch.zeros(9)]
"""

PROGRAMS = {
    "the first value of the odd shape in the dataset's own code": SAMPLES.replace("{item}", "self.cut(self.waves[k])")
    + """
def cut(self, wave):
    return wave[:7]  # HERE
Waves.cut = cut
next(iter(DataLoader(Waves(waves()), batch_size=4)))
""",
    "the first value of its sizes, where the shape itself is made at the return": SAMPLES.replace(
        "{item}", "self.cut(self.waves[k]).unsqueeze(0)"
    )
    + """
def cut(self, wave):
    short = wave[:7]  # HERE
    return short
Waves.cut = cut
next(iter(DataLoader(Waves(waves()), batch_size=4, num_workers=1)))
""",
    "the dataset that made the odd sample, among several": """
class Full(Dataset):
    def __len__(self):
        return 3
    def __getitem__(self, k):
        return {"x": torch.zeros(2), "weight": torch.ones(())}
class Bare(Full):
    def __getitem__(self, k):
        return {"x": torch.zeros(2)}  # HERE
next(iter(DataLoader(ConcatDataset([Full(), Bare()]), batch_size=6)))
""",
    "what the dataset's rows were made by, when they were handed to it": """
def index(n):
    return [dict(file=object(), age=k) for k in range(n)]  # HERE
class Rows(Dataset):
    def __init__(self, rows):
        self.rows = rows
    def __len__(self):
        return len(self.rows)
    def __getitem__(self, k):
        row = dict(self.rows[k])
        return row
next(iter(DataLoader(Rows(index(4)), batch_size=2)))
""",
    "an unpacked option of a loader": """
OPTIONS = {
    "train": dict(batch_size=4, shuffle=True),  # HERE
}
class Stream(IterableDataset):
    def __iter__(self):
        yield torch.zeros(2)
DataLoader(Stream(), **OPTIONS["train"])
""",
    "a helper that returns numbers without the dims of the batch": """
def pick(table, t):
    chosen = table[t]
    return chosen  # HERE
def corrupt(table, images, t):
    return pick(table, t) * images
corrupt(torch.ones(50), torch.zeros(20, 1, 16, 16), torch.zeros(20, dtype=torch.long))
""",
    "what the other operand was made by": """
def empty(nodes, width):
    return torch.zeros(nodes, width)  # HERE
def gather(messages, owners):
    sums = empty(4, 3)
    sums.index_add_(0, owners, messages)
gather(torch.ones(6, 3).bfloat16(), torch.zeros(6, dtype=torch.long))
""",
    "the element of what a function returns as a list of many": """
class Buffer:
    def __init__(self):
        self.states = np.zeros((50, 3), dtype=np.float32)
        self.actions = np.zeros((50, 1), dtype=np.float32)  # HERE
    def sample(self, n):
        where = np.arange(n)
        columns = (self.states, self.actions)
        return [torch.as_tensor(each[where]) for each in columns]
buffer = Buffer()
def learn():
    states, actions = buffer.sample(8)
    return torch.zeros(8, 2).gather(1, actions)
learn()
""",
    "the name that a dtype was given": """
IDS = np.int16  # HERE
def users():
    found = np.arange(6)
    return torch.from_numpy(found.astype(IDS))
nn.Embedding(9, 3)(users())
""",
    "a transform to complex numbers": """
def spectrum(wave):
    found = torch.fft.rfft(wave.view(4, 8))  # HERE
    return found / 2
nn.Linear(5, 2)(spectrum(torch.arange(32.0)))
""",
    "classes as bytes of an image": """
def mask():
    drawn = np.zeros((2, 4, 4), dtype=np.uint8)  # HERE
    return torch.from_numpy(drawn)
F.cross_entropy(torch.zeros(2, 3, 4, 4), mask())
""",
    "the only call under no_grad of the function that computes": """
class Agent(nn.Module):
    def __init__(self):
        super().__init__()
        self.policy = nn.Linear(3, 2)
    def scores(self, seen):
        return self.policy(seen).log_softmax(-1)
    @torch.no_grad()  # HERE
    def act(self, seen):
        scores = self.scores(seen)
        return int(scores.argmax()), scores.max()
agent = Agent()
def train():
    _, chosen = agent.act(torch.ones(3))
    loss = -chosen
    loss.backward()
train()
""",
    "a number that another config was given": """
@dataclass(frozen=True)
class Config:
    hidden: int = 4
class Net(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.fc = nn.Linear(3, config.hidden)
def main():
    config = Config()
    state = Net(config).state_dict()
    wider = replace(config, hidden=6)  # HERE
    net = Net(wider)
    net.load_state_dict(state)
main()
""",
    "the number that gives a layer its size": """
class Head(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.anchors, self.classes = 3, classes
        n_out = self.anchors * (4 + classes)  # HERE
        self.pred = nn.Conv2d(2, n_out, 1)
    def forward(self, image):
        b, _, h, w = image.shape
        return self.pred(image).view(b, self.anchors, 5 + self.classes, h, w)
Head(3)(torch.zeros(2, 2, 8, 8))
""",
    "what chunk made of a batch, behind a distribution": """
class Coder(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc, self.dec = nn.Linear(6, 8), nn.Linear(4, 6)
    def encode(self, rows):
        mean, spread = self.enc(rows).chunk(2)  # HERE
        return torch.distributions.Normal(mean, spread.exp())
    def forward(self, rows):
        code = self.encode(rows)
        drawn = code.rsample()
        return self.dec(drawn)
Coder()(torch.zeros(10, 6))
""",
    "a device that an option names, handed through a function": """
def options():
    parser = argparse.ArgumentParser()
    parser.add_argument("--device", default="meta")  # HERE
    return parser.parse_args([])
def epoch(device):
    rows = torch.ones(3)
    rows = rows.to(device)
    return rows.sum().item()
def main():
    given = options()
    epoch(given.device)
main()
""",
    "the device of an object that an attribute's tensors were put on": """
class Plan:
    def __init__(self):
        self.device = torch.device("meta")
class Sums:
    def __init__(self, device):
        self.sums, self.count = {}, 0
        for name in "ab":
            self.sums[name] = torch.zeros(3, device=device)
    def read(self):
        return {name: int((each > 1).sum()) for name, each in self.sums.items()}
plan = Plan()
sums = Sums(device=plan.device)  # HERE
sums.read()
""",
    "a part that alone was given memory": """
with torch.device("meta"):
    net = nn.ModuleDict({"encoder": nn.Linear(3, 2), "decoder": nn.Linear(2, 3)})
def materialise(net):
    net["encoder"].to_empty(device="cpu")  # HERE
def run(net, rows):
    return net["decoder"](net["encoder"](rows))
materialise(net)
run(net, torch.zeros(4, 3))
""",
    "a state that was copied into nothing": """
def build(state):
    with torch.device("meta"):
        net = nn.Linear(3, 2)
    net.load_state_dict(state)  # HERE
    return net
net = build(nn.Linear(3, 2).state_dict())
net(torch.zeros(4, 3))
""",
    "a lazy layer that is initialised too early": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.LazyLinear(3)  # HERE
def init(module):
    if isinstance(module, nn.Linear):
        nn.init.zeros_(module.weight)
Net().apply(init)
""",
}


def found(program: str, folder: Path) -> Finding:
    """The explanation of the program's crash, by its own file, which another process may read."""
    file = folder / "program.py"
    file.write_text(program, encoding="utf-8")
    linecache.checkcache(str(file))
    with pytest.raises(Exception, match=r".") as raised:
        exec(compile(program, str(file), "exec"), {"__name__": "program"})  # noqa: S102 - the programs are these
    finding = tensorcheck.explain(raised.value).findings[0]
    assert_well_formed(finding)
    return finding


def marked(program: str) -> int:
    """The line that a reader must be shown, as files count."""
    return next(index for index, line in enumerate(program.splitlines(), start=1) if "# HERE" in line)


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_line_on_which_the_mistake_was_made_is_shown(name: str, tmp_path: Path) -> None:
    program = HEAD + PROGRAMS[name]
    finding = found(program, tmp_path)

    sites = [finding.site, *(related.site for related in finding.related)]
    assert marked(program) in [site.line for site in sites if site is not None]


WITH_BIRTHS = {
    "the entry of a table that a layer's class was taken from": """
NORMS = {
    "batch": nn.BatchNorm2d,
    "layer": nn.LayerNorm,  # HERE
}
def build(kind, width):
    norm = NORMS[kind]
    return nn.Sequential(nn.Conv2d(1, width, 3), norm(width))
build("layer", 8)(torch.zeros(2, 1, 9, 9))
""",
    "the function in a table that built the layer": """
PARTS = {
    "look": lambda words: nn.MultiheadAttention(words, 2, batch_first=True),  # HERE
    "norm": lambda words: nn.LayerNorm(words),
}
net = nn.ModuleDict({name: make(6) for name, make in PARTS.items()})
net["look"](torch.zeros(2, 3, 6), torch.zeros(2, 5, 8), torch.zeros(2, 5, 8))
""",
    "the entry of a list of numbers": """
PARAMS = {
    "kernels": [2, 3, 9],  # HERE
}
convs = nn.ModuleList([nn.Conv1d(4, 4, k) for k in PARAMS["kernels"]])
for conv in convs:
    conv(torch.zeros(2, 4, 7))
""",
}


@pytest.mark.parametrize("name", WITH_BIRTHS)
def test_a_script_that_is_run_tells_how_its_layers_came_to_be_built(name: str, tmp_path: Path) -> None:
    program = HEAD + WITH_BIRTHS[name]
    script, report = tmp_path / "program.py", tmp_path / "report.json"
    script.write_text(program, encoding="utf-8")
    command = [sys.executable, "-m", "tensorcheck", "run", "--quiet", "--report", str(report), str(script)]
    subprocess.run(command, capture_output=True, timeout=120, check=False)

    (finding,) = json.loads(report.read_text(encoding="utf-8"))["findings"]
    assert marked(program) in [place["line"] for place in (finding["location"], *finding["related"])]


def test_what_a_dimension_lacks_beside_a_batch_is_the_help(tmp_path: Path) -> None:
    finding = found(HEAD + PROGRAMS["a helper that returns numbers without the dims of the batch"], tmp_path)

    assert finding.help == "pick(table, t).view(-1, 1, 1, 1)"
    assert finding.expected.startswith("float32[20, 1, 1, 1]")


def test_a_state_that_was_copied_into_nothing_is_assigned_in_the_help(tmp_path: Path) -> None:
    finding = found(HEAD + PROGRAMS["a state that was copied into nothing"], tmp_path)

    assert finding.help == "net.load_state_dict(state, assign=True)"
