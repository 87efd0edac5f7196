"""`tensorcheck.peek`: one line a tensor, of anything, without a trace of having looked."""

import dataclasses
import gc
import random
import sys
import threading
import warnings
import weakref
from collections import OrderedDict, UserDict, deque
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor, nn
from torch._subclasses import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

import tensorcheck
from tensorcheck.peeks import BINS, Peek, PeekRow, Statistics


def only(value: object) -> PeekRow:
    (row,) = tensorcheck.peek(value).rows
    return row


def statistics(value: object) -> Statistics:
    seen = only(value).statistics
    assert seen is not None
    return seen


@dataclasses.dataclass
class Boxes:
    corners: Tensor
    scores: Tensor


@dataclasses.dataclass(slots=True)
class Slotted:
    held: Tensor


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


class Hostile:
    """Whatever is asked of it raises."""

    def __repr__(self) -> NoReturn:
        raise RuntimeError

    __str__ = __len__ = __iter__ = __bool__ = __eq__ = __hash__ = __repr__  # type: ignore[assignment] # that is the point

    def __getattr__(self, name: str) -> NoReturn:
        raise OSError


class HostileMapping(UserDict[str, Any]):
    def __getitem__(self, key: str) -> NoReturn:
        raise OSError


class HostileTensor(Tensor):
    @property
    def shape(self) -> NoReturn:  # type: ignore[override] # that is the point
        raise OSError

    def __repr__(self, **_: Any) -> NoReturn:  # type: ignore[override] # likewise
        raise OSError


def test_a_tensor_has_one_line_with_its_statistics() -> None:
    values = torch.tensor([[0.0, 1.0, 2.0], [3.0, float("nan"), float("-inf")]])
    assert only(values).what == "float32[2, 3] cpu"
    seen = statistics(values)
    assert (seen.lowest, seen.highest, seen.mean) == (0.0, 3.0, 1.5)
    assert seen.std == pytest.approx(values[values.isfinite()].std().item())
    assert [seen.share(name) for name in ("nan", "inf", "zeros")] == ["17%", "17%", "17%"]
    assert len(seen.bars) == BINS
    assert len(str(tensorcheck.peek(values)).splitlines()) == 2


FLOATS = st.sampled_from([np.float16, np.float32, np.float64])


@given(hnp.arrays(FLOATS, hnp.array_shapes(max_dims=3), elements=st.floats(width=16)))
def test_the_statistics_are_those_of_numpy(values: "np.ndarray[Any, Any]") -> None:
    seen, finite = statistics(values), values[np.isfinite(values)].astype(np.float64)
    assert (seen.nan, seen.inf) == (np.isnan(values).sum(), np.isinf(values).sum())
    assert seen.zeros == (values == 0).sum()
    assert sum(seen.histogram) == finite.size
    if finite.size:
        assert (seen.lowest, seen.highest) == (finite.min(), finite.max())
        assert seen.mean == pytest.approx(finite.mean(), abs=1e-9)
        inner = np.histogram(finite, BINS)[0] if finite.min() < finite.max() else [finite.size] + [0] * (BINS - 1)
        assert np.abs(np.array(seen.histogram) - inner).sum() <= 2, "but for a value on an edge"
    if finite.size > 1:
        assert seen.std == pytest.approx(finite.std(ddof=1), abs=1e-9)


@pytest.mark.parametrize(
    ("zeros", "share"), [(0, ""), (1, "<1%"), (20, "1%"), (1000, "50%"), (1999, ">99%"), (2000, "100%")]
)
def test_a_share_is_never_rounded_to_none_or_all(zeros: int, share: str) -> None:
    values = torch.ones(2000)
    values[:zeros] = 0
    assert statistics(values).share("zeros") == share


def test_integers_are_exact_to_their_extremes() -> None:
    limits = torch.iinfo(torch.int64)
    seen = statistics(torch.tensor([limits.min, 0, limits.max - 1]))
    assert (seen.lowest, seen.highest) == (limits.min, limits.max - 1)


def test_many_values_are_seen_as_one_whole() -> None:
    values = torch.arange(200_000, dtype=torch.float32) % 1000
    seen = statistics(values)
    assert (seen.lowest, seen.highest, seen.count, seen.zeros) == (0, 999, 200_000, 200)
    assert set(seen.histogram) == {10_000}
    assert seen.std == pytest.approx(values.double().std().item())


def test_an_expanded_tensor_costs_what_it_holds() -> None:
    seen = statistics(torch.tensor([[1.0], [3.0]]).expand(2, 10**12))
    assert (seen.lowest, seen.mean, seen.highest) == (1.0, 2.0, 3.0)


def test_the_part_that_autograd_plays_is_told() -> None:
    weight = nn.Parameter(torch.ones(2))
    assert only(weight).gradient == "leaf"
    assert only(weight * 2).gradient == "MulBackward0"
    (weight * 2).sum().backward()
    assert only(weight).gradient == "leaf, has grad"
    assert only(weight.requires_grad_(False)).gradient == "frozen"
    assert only(torch.ones(2)).gradient == ""


def kinds_of_numbers() -> list[torch.dtype]:
    return sorted({value for value in vars(torch).values() if isinstance(value, torch.dtype)}, key=str)


@pytest.mark.parametrize("dtype", kinds_of_numbers(), ids=str)
def test_every_dtype_has_a_line(dtype: torch.dtype) -> None:
    with warnings.catch_warnings(action="ignore"):
        try:
            values = torch.zeros(8, dtype=torch.uint8).view(dtype)
        except (RuntimeError, NotImplementedError):
            pytest.skip("there is no tensor of these")
    assert only(values).what.endswith("cpu")


@pytest.mark.parametrize(
    ("values", "note"),
    [
        (torch.zeros(0, 3), "empty"),
        (torch.ones(2, 3).t(), "not contiguous"),
        (torch.eye(3).to_sparse(), "sparse_coo, of the values stored"),
        (torch.empty(3, device="meta"), "no values"),
        (torch.tensor([3 + 4j]), "of absolute values"),
        (nn.LazyLinear(3).weight, "not initialised yet"),
        (
            torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=torch.jagged),
            "jagged, of the values stored",
        ),
    ],
    ids=str,
)
def test_what_is_special_about_a_tensor_is_noted(values: Tensor, note: str) -> None:
    assert note in only(values).notes


def test_an_inference_tensor_and_a_fake_one_are_noted() -> None:
    with torch.inference_mode():
        made = torch.ones(2)
    assert only(made).notes == ("made in inference mode",)
    with FakeTensorMode():
        fake = torch.ones(2)
    assert (only(fake).kind, only(fake).notes) == ("FakeTensor", ("no values",))


def test_nested_batches_are_told_by_path() -> None:
    batch = {
        "image": torch.ones(2),
        "boxes": [Boxes(torch.ones(1), torch.ones(1)), Slotted(torch.ones(1))],
        "pair": Pair(torch.ones(1), torch.ones(1)),
        3: (np.arange(2), "text", None),
        "queue": deque([torch.ones(1)]),
    }
    names = [row.name for row in tensorcheck.peek(batch).rows]
    assert names == [
        *("image", "boxes[0].corners", "boxes[0].scores", "boxes[1].held", "pair.left", "pair.right"),
        *("[3][0]", "[3][1]", "[3][2]", "queue[0]"),
    ]


def test_a_module_is_told_by_dotted_paths_with_kinds() -> None:
    model = nn.Sequential(OrderedDict(conv=nn.Conv2d(3, 4, 3), norm=nn.BatchNorm2d(4), tied=nn.Linear(2, 2)))
    model.tied.bias = model.norm.bias  # type: ignore[union-attr] # tied, as weights sometimes are
    seen = tensorcheck.peek(model.eval())
    assert seen.title == "Sequential: 124 parameters, in eval mode"
    assert ("norm.running_var", "BatchNorm2d buffer") in [(row.name, row.kind) for row in seen.rows]
    assert seen.rows[-1].what == "the same as norm.bias"


def test_an_optimizer_is_told_by_groups_and_state() -> None:
    layer = nn.Linear(2, 3)
    groups: list[dict[str, Any]] = [{"params": [layer.weight], "lr": 0.5}, {"params": [layer.bias]}]
    optimizer = torch.optim.Adam(groups)
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    seen = tensorcheck.peek(optimizer)
    assert seen.title == "Adam: 2 groups, 2 parameters, state of 2"
    assert (seen.rows[0].what, "lr 0.5" in seen.rows[0].notes) == ("1 tensor of 6 elements", True)
    assert [row.name for row in seen.rows[2:]] == ["state step", "state exp_avg", "state exp_avg_sq"]


class Untouchable(Dataset[Tensor]):
    def __init__(self) -> None:
        self.table = torch.ones(3)

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Tensor:
        raise AssertionError


def test_nothing_is_drawn_from_a_loader() -> None:
    seen = tensorcheck.peek(DataLoader(Untouchable(), batch_size=4, shuffle=True))
    assert seen.title == "DataLoader of Untouchable with 8 samples: 4 samples a batch, shuffled, 0 workers"
    assert [row.name for row in seen.rows] == ["table"]


class Stream(IterableDataset[Tensor]):
    def __iter__(self) -> NoReturn:
        raise AssertionError


def test_a_stream_without_a_length_is_told_too() -> None:
    assert tensorcheck.peek(DataLoader(Stream())).title.startswith("DataLoader of Stream: 1 samples a batch")


@pytest.mark.parametrize(
    "array",
    [
        np.array(["a", "b"]),
        np.array([None, {}], dtype=object),
        np.zeros(2, dtype=[("x", "f4")]),
        np.arange(3, dtype=">i4"),
        np.arange(3)[::-1],
        np.float64(2.5),
        np.longdouble(2.5),
        np.ma.masked_array([1, 2], [True, False]),
        np.frombuffer(b"abcd", dtype=np.uint8),
        np.array("2020-01-01", dtype="M8[D]"),
    ],
    ids=repr,
)
def test_any_array_has_a_line(array: object) -> None:
    assert "numpy" in only(array).what


@pytest.mark.parametrize(
    "thing",
    [
        Hostile(),
        [Hostile(), HostileMapping(a=1), torch.ones(2).as_subclass(HostileTensor)],
        HostileMapping(a=1),
        torch.ones(2).as_subclass(HostileTensor),
        type,
        lambda: None,
        (value for value in "abc"),
        Boxes,
        torch.Generator(),
        torch.Size([3]),
        {Hostile: torch.ones(1)},
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_nothing_of_the_users_can_raise_through(thing: object) -> None:
    seen = tensorcheck.peek(thing)
    assert str(seen)
    assert "<table>" in seen._repr_html_()


def test_a_structure_that_holds_itself_ends() -> None:
    loop: list[object] = [torch.ones(1)]
    loop.append(loop)
    assert len(tensorcheck.peek(loop).rows) == 7


def test_a_long_list_is_cut_and_says_so() -> None:
    seen = tensorcheck.peek([torch.ones(1)] * 100)
    assert (len(seen.rows), seen.rows[-1].what) == (65, "36 more")
    assert only(list(range(5000))).what == "list of 5,000 int"


SHAPES = st.lists(st.integers(0, 4), max_size=4)


@given(
    SHAPES,
    st.sampled_from(
        [
            torch.float32,
            torch.float64,
            torch.float16,
            torch.bfloat16,
            torch.int64,
            torch.uint8,
            torch.bool,
            torch.cfloat,
        ]
    ),
    st.booleans(),
    st.sampled_from(["plain", "transposed", "strided", "sparse", "meta", "inference", "conj", "detached"]),
)
@example([0], torch.float32, True, "sparse")
def test_any_tensor_has_one_line(shape: list[int], dtype: torch.dtype, requires_grad: bool, way: str) -> None:  # noqa: FBT001 - likewise
    values = torch.ones(shape).to(dtype)
    values.requires_grad_(requires_grad and (dtype.is_floating_point or dtype.is_complex))
    with torch.inference_mode(way == "inference"):
        ways: dict[str, Callable[[], Tensor]] = {
            "transposed": lambda: values.transpose(0, -1) if shape else values,
            "strided": lambda: values[..., ::2] if shape else values,
            "sparse": lambda: values.detach().to_sparse() if shape else values,
            "meta": lambda: values.to("meta"),
            "conj": lambda: values.resolve_neg().conj(),
            "inference": lambda: values * values,
        }
        made = ways.get(way, values.detach)()
    assert only({"x": made}).name == "x"


def random_states() -> list[object]:
    return [torch.get_rng_state().tolist(), random.getstate(), repr(np.random.get_state())]  # noqa: NPY002 - the global one


def test_random_numbers_gradients_and_modes_stay_as_they_are() -> None:
    model = nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    loader = DataLoader(TensorDataset(torch.ones(4)), shuffle=True)
    things = (model, model.state_dict(), loader, torch.optim.SGD(model.parameters(), lr=1), model(torch.ones(1, 2)))
    before, versions = random_states(), [parameter._version for parameter in model.parameters()]
    for thing in things:
        tensorcheck.peek(thing)
    assert before == random_states()
    assert versions == [parameter._version for parameter in model.parameters()]
    assert all(parameter.grad is None for parameter in model.parameters())
    assert (torch.is_grad_enabled(), model.training) == (True, True)


def test_the_graph_of_what_was_looked_at_still_works() -> None:
    values = torch.ones(3, requires_grad=True)
    made = values.exp()
    tensorcheck.peek({"made": made, "values": values})
    made.sum().backward()
    assert values.grad is not None


def test_no_tensor_is_kept_alive() -> None:
    values = torch.ones(3)
    reference = weakref.ref(values)
    seen = tensorcheck.peek([values])
    del values
    gc.collect()
    assert reference() is None
    assert len(seen.rows) == 1


class Heard(TorchFunctionMode):
    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> NoReturn:
        raise AssertionError(func)


class HeardBelow(TorchDispatchMode):
    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> NoReturn:
        raise AssertionError(func)


@pytest.mark.parametrize("mode", [Heard, HeardBelow])
def test_no_mode_of_the_users_hears_it(mode: Any) -> None:
    values = torch.ones(3, requires_grad=True)
    with mode():
        seen = tensorcheck.peek({"values": values, "fields": (values, values)})
    assert seen.rows[0].statistics == Statistics(3, 1.0, 1.0, mean=1.0, std=0.0, histogram=(3, *[0] * 19))


def test_all_values_are_fetched_in_one_transfer(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[str] = []
    for name in ("tolist", "item", "cpu", "numpy", "__bool__", "__int__", "__float__", "__index__", "nonzero"):
        original = getattr(Tensor, name)

        def counted(self: Tensor, *args: Any, _original: Any = original, _name: str = name) -> Any:
            waits.append(_name)
            return _original(self, *args)

        monkeypatch.setattr(Tensor, name, counted)
    tensorcheck.peek([torch.ones(5), torch.arange(4), torch.eye(3).to_sparse(), torch.tensor([True])])
    assert waits == ["tolist"]


def test_no_operation_of_it_waits_for_a_device() -> None:
    heard: list[str] = []

    class Names(TorchDispatchMode):
        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            heard.append(func._schema.name)
            return func(*args, **(kwargs or {}))

    from tensorcheck.observe.values import statistics_of  # noqa: PLC0415 - below `peek`, which hides from modes

    names: TorchDispatchMode = Names()  # type: ignore[no-untyped-call] # torch's own
    with names, torch.no_grad():
        statistics_of([torch.ones(5), torch.arange(4), torch.ones(2, dtype=torch.bfloat16), torch.tensor([1j])])
    waiting = {"aten::_local_scalar_dense", "aten::nonzero", "aten::bincount", "aten::histc", "aten::masked_select"}
    assert not waiting & set(heard)
    assert not [name for name in heard if "unique" in name or name == "aten::equal"]


def test_it_can_be_called_in_another_thread() -> None:
    seen: list[Peek] = []
    values = torch.ones(2)
    thread = threading.Thread(target=lambda: seen.append(tensorcheck.peek(values)))
    thread.start()
    thread.join()
    assert seen[0].rows[0].statistics is not None


def test_names_made_to_inject_are_shown_as_they_are() -> None:
    seen = tensorcheck.peek({"\x1b[31m<script>": torch.ones(1)})
    assert "\x1b" not in str(seen)
    assert "<script>" not in seen._repr_html_()


def test_inside_vmap_there_are_no_values_and_no_crash() -> None:
    seen: list[Peek] = []

    def look(row: Tensor) -> Tensor:
        seen.append(tensorcheck.peek(row))
        return row

    torch.func.vmap(look)(torch.ones(2, 3))
    assert seen[0].rows[0].notes == ("no values",)


def test_a_quantized_tensor_is_told_by_its_values() -> None:
    with warnings.catch_warnings(action="ignore"):
        values = torch.quantize_per_tensor(torch.tensor([1.0, 2.0]), 0.5, 0, torch.qint8)
    seen = statistics(values)
    assert (seen.lowest, seen.highest) == (1.0, 2.0)


def test_looking_imports_nothing_of_a_compiler() -> None:
    before = set(sys.modules)
    tensorcheck.peek(torch.ones(2))
    assert not [name for name in set(sys.modules) - before if name.startswith(("torch._dynamo", "torch._inductor"))]
