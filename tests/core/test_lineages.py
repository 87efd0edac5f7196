"""Where a crash's operand came from: each program ends in a crash, and `# HERE` marks the line that made the tensor."""

import pytest

from tensorcheck.lineage import Step
from tests.core.lineage_programs import lineage_of_first_operand

WAYS = {
    "a name": """
rows = torch.zeros(8, 4).double()  # HERE
rows @ torch.zeros(999)
""",
    "a pair": """
def pair():
    made = torch.zeros(3).double()  # HERE
    return torch.zeros(1), made
left, right = pair()
right @ torch.zeros(999)
""",
    "an argument through two callers": """
def outer(rows):
    return inner(rows * 2)
def inner(table):
    return table @ torch.zeros(999)
outer(torch.zeros(3).double())  # HERE
""",
    "an attribute": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.ones(3).double()  # HERE
    def forward(self):
        return self.scale @ torch.zeros(999)
Net()()
""",
    "a buffer": """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("scale", torch.ones(3).double())  # HERE
    def forward(self):
        return self.scale @ torch.zeros(999)
Net()()
""",
    "an attribute set from outside": """
class Net(nn.Module):
    def forward(self):
        return self.scale @ torch.zeros(999)
net = Net()
net.scale = torch.ones(3).double()  # HERE
net()
""",
    "a constructor's argument": """
class Net(nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale
    def forward(self):
        return self.scale @ torch.zeros(999)
Net(torch.ones(3).double())()  # HERE
""",
    "a sample of a dataset": """
class Rows(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        row = np.ones(3)  # HERE
        return torch.from_numpy(row), index
for rows, index in DataLoader(Rows(), batch_size=4):
    rows @ torch.zeros(999)
""",
    "a sample that is a dict": """
class Rows(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return {"row": np.ones(3),  # HERE
                "index": index}
for batch in DataLoader(Rows(), batch_size=4):
    batch["row"] @ torch.zeros(999)
""",
    "a stream": """
class Rows(torch.utils.data.IterableDataset):
    def __iter__(self):
        while True:
            yield np.ones(3)  # HERE
batch = next(iter(DataLoader(Rows(), batch_size=4)))
batch @ torch.zeros(999)
""",
    "a collate function": """
def collate(samples):
    rows = torch.stack([row for row, _ in samples]).double()  # HERE
    return rows, torch.tensor([label for _, label in samples])
data = [(torch.ones(3), 1)] * 8
for step, (rows, labels) in enumerate(DataLoader(data, batch_size=4, collate_fn=collate)):
    rows @ torch.zeros(999)
""",
    "through a collate function that zips": """
class Rows(Dataset):
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return torch.ones(3).double(), index  # HERE
def collate(samples):
    rows, labels = zip(*samples)
    return torch.stack(rows), labels
for rows, labels in DataLoader(Rows(), batch_size=4, collate_fn=collate):
    rows @ torch.zeros(999)
""",
    "a column of tensors": """
table = torch.ones(8, 3).double()  # HERE
data = TensorDataset(table[:6], torch.zeros(6))
for rows, labels in DataLoader(data, batch_size=2):
    rows @ torch.zeros(999)
""",
    "a split of columns": """
table = torch.ones(8, 3).double()  # HERE
train, test = random_split(TensorDataset(table, torch.zeros(8)), [6, 2])
loader = DataLoader(train, batch_size=2)
for rows, labels in loader:
    rows @ torch.zeros(999)
""",
    "a comprehension's variable": """
tables = [torch.ones(3).double() for _ in range(2)]  # HERE
sums = [table @ torch.zeros(999) for table in tables]
""",
    "a lambda": """
multiply = lambda rows: rows @ torch.zeros(999)
multiply(torch.ones(3).double())  # HERE
""",
    "a cached function": """
@functools.cache
def table(size):
    return torch.ones(size).double()  # HERE
fail(table(3))
""",
    "a method": """
class Source:
    def __init__(self):
        self.rows = torch.ones(3)
    def doubled(self):
        return self.rows.double()  # HERE
source = Source()
rows = source.doubled()
rows @ torch.zeros(999)
""",
    "a keyword": """
def multiply(*, rows=None, count=1):
    return rows @ torch.zeros(999)
multiply(count=3, rows=torch.ones(3).double())  # HERE
""",
    "a global of the module": """
TABLE = torch.ones(3).double()  # HERE
def multiply():
    return TABLE @ torch.zeros(999)
multiply()
""",
    "the branch that was taken": """
class Rows(Dataset):
    def __init__(self, transform=None):
        self.transform = transform
    def __len__(self):
        return 8
    def __getitem__(self, index):
        row = np.ones(3)  # HERE
        if self.transform is not None:
            row = self.transform(row)
        return row
for rows in DataLoader(Rows(), batch_size=4):
    rows @ torch.zeros(999)
""",
    "a dictionary of settings": """
settings = {"rows": torch.ones(3).double()}  # HERE
rows = settings["rows"]
rows @ torch.zeros(999)
""",
    "a dataclass's default": """
@dataclasses.dataclass
class Settings:
    rows: torch.Tensor = dataclasses.field(default_factory=lambda: torch.ones(3).double())  # HERE
settings = Settings()
settings.rows @ torch.zeros(999)
""",
}


@pytest.mark.parametrize("name", WAYS)
def test_a_tensor_is_followed_back_to_the_line_that_made_it(name: str) -> None:
    lineage, marked = lineage_of_first_operand(name, WAYS[name])

    back = lineage.way_back(lambda meta: meta.dtype == "float64", makers=("double",))
    way = [ancestor for ancestor in back if ancestor.site is not None]

    assert marked in [ancestor.site.source for ancestor in way if ancestor.site is not None]
    assert way[-1].site is not None
    assert way[-1].site.source == marked, [(each.step, each.name, each.meta) for each in way]


def test_the_dataset_and_the_loader_are_known() -> None:
    lineage, _ = lineage_of_first_operand("built", WAYS["a split of columns"])

    assert {ancestor.name for ancestor in lineage.built()} >= {"loader"}


def test_a_layers_definition_is_known() -> None:
    source = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.head = nn.Linear(4, 3)  # HERE
    def forward(self, rows):
        return self.head(rows) @ torch.zeros(999)
Net()(torch.zeros(8, 4))
"""
    lineage, marked = lineage_of_first_operand("layer", source)

    assert [ancestor.site.source for ancestor in lineage.layers() if ancestor.site is not None] == [marked]


def test_no_value_is_its_own_ancestor() -> None:
    source = """
a = b = torch.zeros(3)
for _ in range(2):
    a, b = b, a @ torch.zeros(999) if _ else a * b  # HERE
"""
    lineage, _ = lineage_of_first_operand("cycle", source)

    assert len(list(lineage.way_back(lambda _: True))) <= len(lineage.ancestors)
    assert lineage.ancestors[0].step is Step.SPELLED
