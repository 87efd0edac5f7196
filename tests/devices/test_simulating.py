"""`simulate_device` as a context: what holds inside, that nothing is left, and bad input."""

import copy
import gc
import io
import threading
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import TorchDispatchMode, _get_current_dispatch_mode_stack
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck


def _owners() -> Iterator[tuple[str, type | ModuleType]]:
    yield from (
        (f"torch.{name}", getattr(torch, name)) for name in ("cuda", "xpu", "mps", "accelerator", "fft", "nested")
    )
    yield from (
        ("torch", torch),
        ("Tensor", Tensor),
        ("UntypedStorage", torch.UntypedStorage),
        ("autocast", torch.autocast),
    )
    yield from (("random", torch.cuda.random), ("memory", torch.cuda.memory), ("thread", threading.Thread))
    yield from (("_C", torch._C), ("_C._nn", torch._C._nn), ("_VF", torch._VF), ("F", nn.functional))
    yield from (("cudnn", torch.backends.cudnn), ("mps backend", torch.backends.mps))
    yield ("device context", DeviceContext)


def _state() -> dict[str, int]:
    """What stands under each name of PyTorch, and which modes are on."""
    names = {f"{label}.{name}": id(value) for label, owner in _owners() for name, value in vars(owner).items()}
    return names | {"modes": len(_get_current_dispatch_mode_stack()), "functions": torch._C._len_torch_function_stack()}


def _train(device: str, kind: type[torch.optim.Optimizer], **options: Any) -> list[Tensor]:
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv1d(1, 4, 3), nn.BatchNorm1d(4), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.LazyLinear(3)
    )
    model(torch.randn(2, 1, 8))
    model.to(device)
    optimizer = kind(model.parameters(), **{"lr": 0.01, **options})
    for _ in range(4):
        rows, labels = torch.randn(8, 1, 8), torch.randint(3, (8,))
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(rows.to(device)), labels.to(device)).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 0.1)
        optimizer.step()
    return [value.cpu() for value in model.state_dict().values()]


@pytest.mark.parametrize("kind", ["cuda", "xpu", "mps"])
def test_nothing_is_left_behind(kind: str) -> None:
    torch.ones(1).to("cpu")
    before = _state()

    with tensorcheck.simulate_device(kind):
        (torch.ones(2, device=kind) * 2).sum()

    assert _state() == before


def test_nothing_is_left_behind_after_an_exception() -> None:
    before = _state()

    with pytest.raises(RuntimeError, match="same device"), tensorcheck.simulate_device("cuda"):
        torch.ones(2, device="cuda") + torch.ones(2)

    assert _state() == before


def test_nothing_is_left_behind_by_autocast() -> None:
    before = _state()
    linear, rows = nn.Linear(2, 2), torch.ones(1, 2)

    with tensorcheck.simulate_device("cuda"), torch.autocast("cuda"):
        linear.cuda()(rows.cuda())

    assert _state() == before
    assert linear(rows).dtype is torch.float32


def test_a_default_device_that_is_there_no_more_is_none() -> None:
    with tensorcheck.simulate_device("cuda"):
        torch.set_default_device("cuda")

    assert torch.zeros(1).device.type == "cpu"


def test_the_message_without_an_accelerator_is_as_before() -> None:
    with tensorcheck.simulate_device("cuda"):
        torch.zeros(1, device="cuda")

    with pytest.raises((AssertionError, RuntimeError), match=r"not compiled with CUDA|NVIDIA"):
        torch.zeros(1, device="cuda")


def test_a_tensor_is_on_the_cpu_again_afterwards() -> None:
    with tensorcheck.simulate_device("cuda"):
        tensor = torch.ones(2, device="cuda")

    assert tensor.device.type == "cpu"
    assert tensor.numpy().sum() == 2


def test_a_tensor_of_an_earlier_simulation_is_where_it_is() -> None:
    with tensorcheck.simulate_device("cuda"):
        tensor = torch.ones(2, device="cuda")

    with tensorcheck.simulate_device("cuda"):
        assert tensor.device.type == "cpu"


def test_no_tensor_is_kept_alive() -> None:
    with tensorcheck.simulate_device("cuda"), torch.autocast("cuda"):
        model = nn.Linear(2, 2).cuda()
        scale = torch.tensor(2.0, requires_grad=True)
        (model(torch.ones(1, 2).cuda()) * scale).sum().backward()
        references = [weakref.ref(each) for each in (model.weight, model.weight.grad)]
        del model
    gc.collect()

    assert [reference() for reference in references] == [None, None]
    assert not scale._backward_hooks


def test_an_inner_simulation_has_its_own_count() -> None:
    with tensorcheck.simulate_device("cuda", count=1):
        with tensorcheck.simulate_device("cuda", count=3):
            inner = torch.ones(2, device="cuda:2")
            assert torch.cuda.device_count() == 3

        assert torch.cuda.device_count() == 1
        assert inner.device == torch.device("cuda:2")


def test_two_kinds_are_two_devices() -> None:
    with tensorcheck.simulate_device("cuda"), tensorcheck.simulate_device("xpu"):
        assert torch.ones(1, device="xpu").is_xpu
        with pytest.raises(RuntimeError, match="cuda:0 and xpu:0"):
            torch.ones(2, device="cuda") + torch.ones(2, device="xpu")


def test_simulations_may_end_in_any_order() -> None:
    before = _state()
    first, second = tensorcheck.simulate_device("cuda"), tensorcheck.simulate_device("cuda", count=2)
    first.__enter__()
    second.__enter__()

    first.__exit__(None, None, None)
    assert torch.ones(1, device="cuda:1").is_cuda
    second.__exit__(None, None, None)

    assert _state() == before


def test_it_leaves_the_modes_of_others_alone() -> None:
    class Counting(TorchDispatchMode):
        count = 0

        @classmethod
        def _should_skip_dynamo(cls) -> bool:
            return False

        def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            self.count += 1
            return func(*args, **(kwargs or {}))

    simulation: Any = tensorcheck.simulate_device("cuda")
    counting: Any = Counting()  # type: ignore[no-untyped-call]  # of torch
    simulation.__enter__()
    counting.__enter__()
    simulation.__exit__(None, None, None)
    torch.ones(2)
    counting.__exit__(None, None, None)

    assert counting.count == 1
    assert _get_current_dispatch_mode_stack() == []


def test_a_thread_that_is_started_inside_is_covered() -> None:
    with tensorcheck.simulate_device("cuda"), ThreadPoolExecutor(1) as pool:
        made = pool.submit(lambda: torch.ones(2, device="cuda")).result()
        error = pool.submit(lambda: made + torch.ones(2)).exception()

        assert made.is_cuda
        assert "same device" in str(error)


def test_a_thread_that_was_started_before_is_as_it_was() -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(int).result()
        with tensorcheck.simulate_device("cuda"):
            assert not pool.submit(torch.cuda.is_available).result()
            assert pool.submit(lambda: torch.ones(2) + 1).result().device.type == "cpu"


def test_simulations_in_two_threads_do_not_meet() -> None:
    before = _state()

    def train() -> bool:
        with tensorcheck.simulate_device("cuda"):
            return bool(torch.ones(2, device="cuda").is_cuda)

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(lambda _: train(), range(40)))

    assert _state() == before


def test_threads_may_cast_at_the_same_time() -> None:
    def product() -> torch.dtype:
        with torch.autocast("cuda", dtype=torch.bfloat16):
            return (torch.ones(2, 2, device="cuda") @ torch.ones(2, 2, device="cuda")).dtype

    with tensorcheck.simulate_device("cuda"), ThreadPoolExecutor(3) as pool:
        assert set(pool.map(lambda _: product(), range(12))) == {torch.bfloat16}
        assert product() is torch.bfloat16


def test_pinned_batches_come_through_their_thread() -> None:
    rows = TensorDataset(torch.arange(8.0))
    with tensorcheck.simulate_device("cuda"):
        batches = [batch for (batch,) in DataLoader(rows, batch_size=4, pin_memory=True)]
        assert all(batch.is_pinned() for batch in batches)
        assert [float(batch.cuda(non_blocking=True).sum()) for batch in batches] == [6.0, 22.0]


def test_a_worker_that_touches_the_device_says_what_cuda_says() -> None:
    def collate(rows: list[Any]) -> Tensor:
        return torch.ones(2).cuda()

    with tensorcheck.simulate_device("cuda"):
        torch.ones(1, device="cuda")
        loader = DataLoader(
            TensorDataset(torch.ones(4)), num_workers=1, collate_fn=collate, multiprocessing_context="fork"
        )
        with pytest.raises(RuntimeError, match="Cannot re-initialize CUDA in forked subprocess"):
            next(iter(loader))


def test_workers_give_batches_on_the_cpu() -> None:
    with tensorcheck.simulate_device("cuda"):
        loader = DataLoader(
            TensorDataset(torch.arange(4.0)), batch_size=2, num_workers=1, multiprocessing_context="fork"
        )
        assert [batch.device.type for (batch,) in loader] == ["cpu", "cpu"]


def test_a_worker_that_computes_with_what_is_on_the_device_is_told() -> None:
    with tensorcheck.simulate_device("cuda"):
        loader = DataLoader(TensorDataset(torch.ones(4).cuda()), num_workers=1, multiprocessing_context="fork")
        with pytest.raises(RuntimeError, match="CUDA in forked subprocess"):
            next(iter(loader))


@pytest.mark.parametrize("options", [{}, {"foreach": True}, {"fused": True}, {"foreach": False}], ids=str)
@pytest.mark.parametrize("kind", [torch.optim.SGD, torch.optim.Adam, torch.optim.AdamW])
def test_training_gives_the_same_bits(kind: type[torch.optim.Optimizer], options: dict[str, bool]) -> None:
    plain = _train("cpu", kind, **options)
    with tensorcheck.simulate_device("cuda"):
        simulated = _train("cuda", kind, **options)

    assert all(torch.equal(one, other) for one, other in zip(plain, simulated, strict=True))


@pytest.mark.parametrize("kind", [torch.optim.NAdam, torch.optim.RAdam, torch.optim.ASGD, torch.optim.RMSprop])
def test_an_optimizer_that_chooses_by_device_gives_the_bits_of_that_choice(kind: type[torch.optim.Optimizer]) -> None:
    plain = _train("cpu", kind, foreach=True)
    with tensorcheck.simulate_device("cuda"):
        simulated = _train("cuda", kind)

    assert all(torch.equal(one, other) for one, other in zip(plain, simulated, strict=True))


def test_random_numbers_are_those_of_the_cpu() -> None:
    torch.manual_seed(0)
    plain = torch.randn(3)
    with tensorcheck.simulate_device("cuda"):
        torch.manual_seed(0)
        torch.cuda.manual_seed_all(1)
        assert torch.equal(torch.randn(3, device="cuda").cpu(), plain)


def test_a_seeded_generator_repeats_itself() -> None:
    with tensorcheck.simulate_device("cuda"):
        made = [torch.rand(3, device="cuda", generator=torch.Generator("cuda").manual_seed(7)) for _ in range(2)]
        assert torch.equal(*made)
        assert isinstance(torch.Generator(), torch.Generator)


def test_a_checkpoint_says_its_device_outside_too() -> None:
    file = io.BytesIO()
    with tensorcheck.simulate_device("cuda"):
        torch.save(torch.ones(2, device="cuda"), file)
    file.seek(0)

    with pytest.raises(
        RuntimeError, match=r"deserialize object on a CUDA device but torch.cuda.is_available\(\) is False"
    ):
        torch.load(file)


def test_a_double_backward_crosses_devices_and_comes_back() -> None:
    with tensorcheck.simulate_device("cuda"):
        weight = torch.tensor([2.0], requires_grad=True)
        (first,) = torch.autograd.grad((weight.cuda() ** 3).sum(), weight, create_graph=True)
        (second,) = torch.autograd.grad(first.sum(), weight)

    assert (first.item(), second.item()) == (12.0, 12.0)


def test_a_copied_model_is_where_its_original_is() -> None:
    with tensorcheck.simulate_device("cuda"):
        twin = copy.deepcopy(nn.utils.parametrizations.orthogonal(nn.Linear(2, 2)).cuda())
        assert {value.device.type for value in twin.state_dict().values()} == {"cuda"}


@pytest.mark.parametrize(
    ("kind", "count", "words"),
    [
        ("gpu", 1, "'gpu' can't be simulated; the accelerators that can are cuda, xpu, mps"),
        ("cpu", 1, "'cpu' can't be simulated"),
        ("cuda", 0, "at least one device is needed, and 0 came"),
        ("cuda", True, "at least one device is needed, and True came"),
        ("cuda", 1.5, "at least one device is needed, and 1.5 came"),
        ("mps", 2, "there is one mps device in a machine, and 2 came"),
    ],
)
def test_what_can_not_be_is_refused(kind: str, count: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        tensorcheck.simulate_device(kind, count)


def test_a_real_accelerator_is_told_of_and_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)

    with pytest.warns(RuntimeWarning, match="a real cuda device is here"), tensorcheck.simulate_device("cuda"):
        assert torch.ones(1, device="cuda").untyped_storage().data_ptr()
