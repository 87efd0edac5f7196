"""Mistakes made far from where they surface: `# HERE` marks the line, and what is no ancestor must not be named."""

import pytest

from tensorcheck.calls import Operand
from tensorcheck.lineage import Ancestor, Lineage, Step
from tensorcheck.lineage_wording import made, written
from tensorcheck.sites import Site
from tensorcheck.tensors import TensorMeta
from tests.core.lineage_programs import lineage_of_first_operand

FAR = {
    "a batch that is unpacked into keywords": """
def collate(rows):
    return {"rows": torch.stack(rows).double()}  # HERE
def model(rows):
    return rows @ torch.zeros(999)
for batch in DataLoader([torch.ones(3)], collate_fn=collate):
    model(**batch)
""",
    "keywords that are handed on": """
def inner(rows, scale=None):
    return scale @ torch.zeros(999)
def outer(*args, **options):
    return inner(*args, **options)
outer(torch.ones(3), scale=torch.ones(3).double())  # HERE
""",
    "a partial function": """
def encode(row, dtype):
    return torch.ones(3).double()  # HERE
read = functools.partial(encode, dtype=None)
rows = read(torch.ones(3))
rows @ torch.zeros(999)
""",
    "an object that is called, in a row of such": """
class Scale:
    def __call__(self, rows):
        return rows.double()  # HERE
class Shift:
    def __call__(self, rows):
        return rows + 1
class Compose:
    def __init__(self, *steps):
        self.steps = steps
    def __call__(self, rows):
        for step in self.steps:
            rows = step(rows)
        return rows
class Rows(Dataset):
    def __init__(self, transform):
        self.transform = transform
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return self.transform(torch.ones(3))
data = Rows(Compose(Scale(), Shift()))
for rows in DataLoader(data):
    rows @ torch.zeros(999)
""",
    "a cache that a method fills": """
class Rows(Dataset):
    def __init__(self):
        self.cache = {}
        for index in range(4):
            self.cache[index] = self.make(index)
    def make(self, index):
        return torch.ones(3).double()  # HERE
    def __len__(self):
        return 4
    def __getitem__(self, index):
        return self.cache[index]
for rows in DataLoader(Rows()):
    rows @ torch.zeros(999)
""",
    "a list that a generator fills and empties": """
def batches():
    rows = []
    for _ in range(4):
        rows.append(torch.ones(3).double())  # HERE
        if len(rows) == 2:
            yield torch.stack(rows)
            rows = []
for batch in batches():
    batch @ torch.zeros(999)
""",
    "the columns of a table": """
def table():
    return {"x": torch.ones(8, 3).double()}  # HERE
def clean(columns):
    return {name: column[:4] for name, column in columns.items()}
def loaders():
    data = TensorDataset(*(column for column in clean(table()).values()))
    return DataLoader(data), None
loader, _ = loaders()
for (rows,) in loader:
    rows @ torch.zeros(999)
""",
    "a key that a name holds": """
tables = {
    "left": torch.ones(3),
    "right": torch.ones(3).double(),  # HERE
}
side = "right"
rows = tables[side]
rows @ torch.zeros(999)
""",
    "a file that was saved": """
import tempfile
path = tempfile.mkdtemp() + "/rows.pt"
def prepare(where):
    torch.save({"rows": torch.ones(3).double()}, where)  # HERE
prepare(path)
def load(where):
    return torch.load(where)
blob = load(path)
rows = blob["rows"]
rows @ torch.zeros(999)
""",
    "a branch that an argument chooses": """
def rows_of(kind):
    if kind == "wide":
        return torch.ones(3).double()  # HERE
    return torch.ones(3).double()
rows = rows_of("wide")
rows @ torch.zeros(999)
""",
    "the one of two objects that it is": """
class Table:
    def __init__(self, rows):
        self.rows = rows
left = Table(torch.ones(3).double())
right = Table(torch.ones(3).double())  # HERE
right.rows @ torch.zeros(999)
""",
    "the attribute's last value": """
class Table:
    def __init__(self):
        self.rows = torch.ones(3)
        self.rows = torch.ones(3).double()  # HERE
    def use(self):
        return self.rows @ torch.zeros(999)
Table().use()
""",
}


@pytest.mark.parametrize("name", FAR)
def test_a_far_mistake_is_followed_back_to_its_line(name: str) -> None:
    lineage, marked = lineage_of_first_operand(name, FAR[name])

    way = lineage.way_back(lambda meta: meta.dtype == "float64", makers=("double",))
    last = [ancestor.site.source for ancestor in way if ancestor.site is not None][-1]

    assert last == marked


CHANGES = {
    "a transposition": """
rows = torch.ones(3, 4)
rows = rows.transpose(0, 1)  # HERE
rows = rows * 2
del_me = [rows @ torch.zeros(999)]
""",
    "a mean over the wrong dim, in a loop": """
def pooled(rows):
    for _ in range(2):
        rows = rows * 2
    rows = rows.mean(0)  # HERE
    return rows / 2
rows = pooled(torch.ones(3, 4))
rows @ torch.zeros(999)
""",
    "a transposition before a dataset": """
class Rows(Dataset):
    def __init__(self):
        rows = torch.ones(8, 3, 4)
        rows = rows.transpose(1, 2)  # HERE
        rows *= 2
        self.rows = rows
    def __len__(self):
        return 8
    def __getitem__(self, index):
        return self.rows[index]
for rows in DataLoader(Rows(), batch_size=2):
    rows @ torch.zeros(999)
""",
}


@pytest.mark.parametrize("name", CHANGES)
def test_the_way_of_a_shape_ends_where_it_was_changed(name: str) -> None:
    lineage, marked = lineage_of_first_operand(name, CHANGES[name])
    shape = lineage.ancestors[0].meta.shape if lineage.ancestors[0].meta is not None else ()

    way = lineage.way_of_shape(lambda meta: meta.shape == shape)

    assert [ancestor.site.source for ancestor in way if ancestor.site is not None][-1] == marked


def names_on_the_way(source: str) -> list[str]:
    lineage, _ = lineage_of_first_operand("innocent", source + "# HERE\n")
    return [ancestor.name for ancestor in lineage.way_back(lambda meta: meta.dtype == "float64")]


def test_a_global_is_no_ancestor_of_a_parameter_of_its_name() -> None:
    source = """
rows = torch.ones(3)
def double(rows):
    return (rows * 2,)
class Maker:
    def __init__(self, rows):
        self.made = rows.double()
made = [Maker(torch.zeros(3)), Maker(torch.zeros(3))][1]
made.made @ torch.zeros(999)
"""
    assert "torch.ones(3)" not in names_on_the_way(source)


def test_what_is_known_to_be_innocent_is_passed_by_an_element_too() -> None:
    source = """
table = torch.ones(4, 3)
def pick(index):
    row = table[index]
    return row.to(torch.float64)
pick(2) @ torch.zeros(999)
rows = pick(2)
"""
    assert "table" not in names_on_the_way(
        source.replace("pick(2) @ torch.zeros(999)\nrows = pick(2)", "rows = pick(2)\nrows @ torch.zeros(999)")
    )


def test_a_number_is_not_guilty_of_a_dtype() -> None:
    source = """
PAD = 0
def mask(ids):
    return ids.double().mul(PAD)
rows = mask(torch.ones(3))
rows @ torch.zeros(999)
"""
    assert "PAD" not in names_on_the_way(source)


def test_a_name_that_a_loop_gives_twice_is_not_worth_what_the_last_round_gave() -> None:
    source = """
rows = torch.ones(3)
for turn in range(2):
    if turn:
        rows @ torch.zeros(999)  # HERE
    rows = torch.ones(3).double()
"""
    lineage, _ = lineage_of_first_operand("rounds", source)

    first = next(each for each in lineage.ancestors if each.site is not None and each.site.code == "torch.ones(3)")
    assert first.meta is None or first.meta.dtype != "float64"


def test_a_number_that_several_entries_hold_is_ascribed_to_none() -> None:
    sites = [Site("train.py", line, code="6") for line in (4, 5)]
    entries = [Ancestor(Step.ASSIGNED, name, site, value=6) for name, site in zip("ab", sites, strict=True)]
    size = Ancestor(Step.SPELLED, "size", None, parents=(1, 2))

    assert written(Lineage((size, *entries)), 6) == ()


def test_a_list_is_not_said_to_have_a_dtype() -> None:
    meta = TensorMeta((3,), "float64", "cpu")
    values = Ancestor(Step.ARGUMENT, "[0.5, 0.5]", Site("train.py", 4, code="[0.5, 0.5]"))
    rows = Ancestor(Step.SPELLED, "rows", Site("train.py", 9, code="rows"), meta, parents=(1,))
    operand = Operand("input", meta, rows.site, Lineage((rows, values)))

    notes = [related.note for related in made(operand, lambda meta: meta.dtype == "float64", "float64")]

    assert notes == ["`[0.5, 0.5]` is handed over here"]


def test_numpys_dtype_is_followed_through_a_tensor_of_it() -> None:
    source = """
def rows():
    t = np.linspace(0, 1, 3)  # HERE
    return torch.tensor(t)
made = rows()
made @ torch.zeros(999)
"""
    lineage, marked = lineage_of_first_operand("numpy", source)

    way = lineage.way_back(lambda meta: meta.dtype == "float64", makers=("tensor", "linspace"))

    assert [ancestor.site.source for ancestor in way if ancestor.site is not None][-1] == marked


def test_a_global_that_is_still_there_is_known_in_a_module_that_ran() -> None:
    source = """
COUNTS = np.array([10, 20])
WEIGHTS = torch.from_numpy(1 / COUNTS)
def use():
    return WEIGHTS @ torch.zeros(999)
use()
"""
    assert "COUNTS" not in names_on_the_way(source)
