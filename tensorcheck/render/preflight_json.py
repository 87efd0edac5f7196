"""What a preflight learned, as JSON and back."""

from dataclasses import asdict
from typing import Any

from tensorcheck.preflights import Memory, Preflight
from tensorcheck.shapes import ModuleRow, ShapeTable
from tensorcheck.tensors import NamedTensor, TensorMeta

Json = dict[str, Any]


def preflight_json(preflight: Preflight) -> Json:
    """A preflight in the form of `report.schema.json`.

    >>> preflight_json(Preflight(parameters=850))["parameters"]
    850
    """
    return {
        "passed": list(preflight.passed),
        "failure": preflight.failure,
        "stop": preflight.stop,
        "parameters": preflight.parameters,
        "trainable": preflight.trainable,
        "memory": {**asdict(preflight.memory), "together": preflight.memory.together},
        "modules": [_row(row) for row in preflight.shapes.rows],
    }


def read_preflight(preflight: Json) -> Preflight:
    """The preflight that was written so.

    >>> read_preflight(preflight_json(Preflight(parameters=850))).parameters
    850
    """
    memory = {name: int(count) for name, count in preflight["memory"].items() if name != "together"}
    return Preflight(
        shapes=ShapeTable(tuple(_read_row(row) for row in preflight["modules"])),
        parameters=int(preflight["parameters"]),
        trainable=int(preflight["trainable"]),
        memory=Memory(**memory),
        passed=tuple(map(str, preflight["passed"])),
        failure=str(preflight["failure"]),
        stop=str(preflight["stop"]),
    )


def _row(row: ModuleRow) -> Json:
    return {
        "path": row.path,
        "kind": row.kind,
        "inputs": [_tensor(each) for each in row.inputs],
        "outputs": [_tensor(each) for each in row.outputs],
        "parameters": row.parameters,
        "with_gradient": row.with_gradient,
        "trainable": row.trainable,
    }


def _tensor(tensor: NamedTensor) -> Json:
    meta = tensor.meta
    return {
        "name": tensor.name,
        "shape": list(meta.shape),
        "dtype": meta.dtype,
        "device": meta.device,
        "requires_grad": meta.requires_grad,
    }


def _read_row(row: Json) -> ModuleRow:
    return ModuleRow(
        path=str(row["path"]),
        kind=str(row["kind"]),
        inputs=tuple(_read_tensor(each) for each in row["inputs"]),
        outputs=tuple(_read_tensor(each) for each in row["outputs"]),
        parameters=int(row["parameters"]),
        with_gradient=int(row["with_gradient"]),
        trainable=int(row["trainable"]),
    )


def _read_tensor(tensor: Json) -> NamedTensor:
    shape = tuple(map(int, tensor["shape"]))
    meta = TensorMeta(shape, str(tensor["dtype"]), str(tensor["device"]), bool(tensor["requires_grad"]))
    return NamedTensor(str(tensor["name"]), meta)
