"""A head that is put into a model and frozen with the rest."""

import linecache

import pytest
import torch
from torch import nn

import tensorcheck
from tensorcheck.findings import Finding

PROGRAM = """
model = nn.ModuleDict({{"stem": nn.Linear(4, 8), "body": nn.Linear(8, 8), "fc": nn.Linear(8, 9)}})
{put_in}
for name, parameter in model.named_parameters():
    parameter.requires_grad = name.startswith({trained})
optimizer = torch.optim.SGD([each for each in model.parameters() if each.requires_grad], lr=0.1)
with tensorcheck.watch(model, on_finding=found.append):
    for _ in range(3):
        optimizer.zero_grad()
        model["fc"](model["body"](model["stem"](torch.rand(8, 4)))).square().mean().backward()
        optimizer.step()
"""


def found_in(put_in: str, trained: str = '"body"') -> list[Finding]:
    program = PROGRAM.format(put_in=put_in, trained=trained)
    filename = f"<heads {put_in} {trained}>"
    linecache.cache[filename] = (len(program), None, program.splitlines(keepends=True), filename)
    found: list[Finding] = []
    names = {"torch": torch, "nn": nn, "tensorcheck": tensorcheck, "found": found, "__name__": "heads"}
    exec(compile(program, filename, "exec"), names)  # noqa: S102 - the source is what is read
    return found


def test_a_head_that_is_put_in_and_frozen_with_the_rest_is_found_where_it_is_frozen() -> None:
    (finding,) = found_in("model.fc = nn.Linear(8, 2)")

    assert finding.rule == "TCK420"
    assert finding.headline == "`fc` is new and frozen, while other layers are trained"
    assert finding.site is not None
    assert finding.site.code == 'parameter.requires_grad = name.startswith("body")'
    assert finding.related[0].site.code == "model.fc = nn.Linear(8, 2)"


@pytest.mark.parametrize(
    ("put_in", "trained"),
    [
        ("model.fc = nn.Linear(8, 2)", '("body", "fc")'),
        ("pass", '"body"'),
        ("model.fc = nn.Linear(8, 2); nn.init.orthogonal_(model.fc.weight)", '"body"'),
        ("model.fc = nn.Linear(8, 9); model.load_state_dict(model.state_dict())", '"body"'),
        ("model.fc = nn.Linear(8, 2)", '("stem", "body", "fc")'),
    ],
    ids=["trained", "not put in", "given weights", "loaded", "all trained"],
)
def test_a_frozen_layer_that_may_be_meant_is_silent(put_in: str, trained: str) -> None:
    assert found_in(put_in, trained) == []
