"""Training scripts put together from healthy parts, and the single edits that spoil them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from hypothesis import strategies as st

Task = Literal["number", "classes", "yes or no", "tags"]
Body = Literal["none", "mlp", "convolution", "recurrent"]
Update = Literal["plain", "clipped", "accumulated"]

_SCRIPT = """\
import copy

import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed({seed})


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = {body}
        self.head = nn.Linear({width}, {outputs})

    def forward(self, inputs):
        features = {features}
        scores = self.head(features)
        return scores


inputs = torch.randn({rows} + 24, {shape})
first, second = inputs.flatten(1)[:, 0], inputs.flatten(1)[:, 1]
targets = {targets}
train_loader = DataLoader(TensorDataset(inputs[24:], targets[24:]), batch_size={batch}, shuffle=True{drop_last})
val_loader = DataLoader(TensorDataset(inputs[:24], targets[:24]), batch_size=12)
model = Network()
criterion = {loss}
optimizer = {optimizer}
{schedule}
best_loss, best = float("inf"), None
for epoch in range({epochs}):
    model.train()
    total = 0.0
    for number, (rows, wanted) in enumerate(train_loader):
{update}
        total += loss.item()
{after_epoch}
    model.eval()
    val_loss = 0.0
    with torch.no_grad():
        for rows, wanted in val_loader:
            val_loss += criterion(model(rows), wanted).item()
    if val_loss < best_loss:
        best_loss, best = val_loss, copy.deepcopy(model.state_dict())
model.load_state_dict(best)
"""

_PLAIN = """\
        {zero}
        outputs = model(rows)
        loss = criterion(outputs, wanted)
        loss.backward()
        optimizer.step(){schedule}"""

_CLIPPED = """\
        {zero}
        outputs = model(rows)
        loss = criterion(outputs, wanted)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step(){schedule}"""

_ACCUMULATED = """\
        outputs = model(rows)
        loss = criterion(outputs, wanted)
        (loss / 2).backward()
        if number % 2 == 1 or number + 1 == len(train_loader):
            optimizer.step()
            {zero}{schedule}"""

_UPDATES: dict[Update, str] = {"plain": _PLAIN, "clipped": _CLIPPED, "accumulated": _ACCUMULATED}

_TARGETS: dict[Task, str] = {
    "number": "(first - 0.5 * second).unsqueeze(1)",
    "classes": "(first > 0).long() + (second > 0).long()",
    "yes or no": "(first > second).float().unsqueeze(1)",
    "tags": "torch.stack([first > 0, second > 0, first > second], 1).float()",
}
_OUTPUTS: dict[Task, int] = {"number": 1, "classes": 3, "yes or no": 1, "tags": 3}
_LOSSES: dict[Task, tuple[str, ...]] = {
    "number": ("nn.MSELoss()", "nn.L1Loss()", "nn.SmoothL1Loss()", "functional.huber_loss"),
    "classes": ("nn.CrossEntropyLoss()", "functional.cross_entropy", "nn.CrossEntropyLoss(label_smoothing=0.1)"),
    "yes or no": ("nn.BCEWithLogitsLoss()", "functional.binary_cross_entropy_with_logits"),
    "tags": ("nn.BCEWithLogitsLoss()", "nn.MultiLabelSoftMarginLoss()"),
}
_FEATURES: dict[Body, str] = {
    "none": "self.body(inputs)",
    "mlp": "self.body(inputs)",
    "convolution": "self.body(inputs.transpose(1, 2))",
    "recurrent": "self.body(inputs)[0].mean(dim=1)",
}
_COLUMNS, _MOMENTS = 5, 7
_NARROW, _WIDE = 9, 20

OPTIMIZERS = (
    "torch.optim.SGD(model.parameters(), lr=0.05)",
    "torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, nesterov=True)",
    "torch.optim.Adam(model.parameters(), lr=0.005)",
    "torch.optim.AdamW(model.parameters(), lr=0.005, weight_decay=0.1)",
    "torch.optim.RMSprop(model.parameters(), lr=0.003)",
    "torch.optim.NAdam(model.parameters(), lr=0.005, foreach=False)",
)
ZEROS = ("optimizer.zero_grad()", "model.zero_grad()", "optimizer.zero_grad(set_to_none=False)")
EPOCH_SCHEDULES = (
    "torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5)",
    "torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.9)",
)
_BATCH_SCHEDULE = (
    "torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.05, total_steps={epochs} * len(train_loader))"
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a healthy script is made of."""

    task: Task
    body: Body
    loss: str
    optimizer: str
    zero: str
    update: Update
    schedule: str
    """Built once; stepped after each epoch, or after each batch where it is a cycle."""
    activation: str
    norm: str
    dropout: bool
    seed: int
    rows: int
    drop_last: bool
    epochs: int

    @property
    def has_modes(self) -> bool:
        """Whether train and eval mode differ."""
        return self.body == "mlp" and (self.dropout or "BatchNorm" in self.norm)

    @property
    def is_per_batch(self) -> bool:
        """Whether the schedule counts batches."""
        return "OneCycle" in self.schedule


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Any healthy script."""
    task = draw(st.sampled_from(sorted(_OUTPUTS)))
    update = draw(st.sampled_from(sorted(_UPDATES)))
    schedules = ("", *EPOCH_SCHEDULES, *(() if update == "accumulated" else (_BATCH_SCHEDULE,)))
    return Plan(
        task=task,
        body=draw(st.sampled_from(sorted(_FEATURES))),
        loss=draw(st.sampled_from(_LOSSES[task])),
        optimizer=draw(st.sampled_from(OPTIMIZERS)),
        zero=draw(st.sampled_from(ZEROS)),
        update=update,
        schedule=draw(st.sampled_from(schedules)),
        activation=draw(st.sampled_from(["nn.ReLU()", "nn.Tanh()", "nn.GELU()", "nn.SiLU()", "nn.LeakyReLU(0.1)"])),
        norm=draw(st.sampled_from(["", f"nn.LayerNorm({_WIDE})", f"nn.BatchNorm1d({_WIDE})"])),
        dropout=draw(st.booleans()),
        seed=draw(st.integers(0, 9)),
        rows=draw(st.sampled_from([240, 246, 252])),
        drop_last=draw(st.booleans()),
        epochs=draw(st.integers(2, 3)),
    )


def script(plan: Plan) -> str:
    """The source of a plan."""
    after_batch = "\n        scheduler.step()" if plan.is_per_batch else ""
    return _SCRIPT.format(
        seed=plan.seed,
        body=_body(plan),
        width={"none": _COLUMNS, "mlp": _WIDE, "convolution": _NARROW, "recurrent": _NARROW}[plan.body],
        outputs=_OUTPUTS[plan.task],
        features=_FEATURES[plan.body],
        rows=plan.rows,
        shape=_COLUMNS if plan.body in ("none", "mlp") else f"{_MOMENTS}, {_COLUMNS}",
        targets=_TARGETS[plan.task],
        batch=12,
        drop_last=", drop_last=True" if plan.drop_last else "",
        loss=plan.loss,
        optimizer=plan.optimizer,
        schedule=f"scheduler = {plan.schedule.format(epochs=plan.epochs)}" if plan.schedule else "",
        epochs=plan.epochs,
        update=_UPDATES[plan.update].format(zero=plan.zero, schedule=after_batch),
        after_epoch="    scheduler.step()" if plan.schedule and not plan.is_per_batch else "",
    )


def _body(plan: Plan) -> str:
    if plan.body == "recurrent":
        return f"nn.GRU({_COLUMNS}, {_NARROW}, batch_first=True)"
    if plan.body == "none":
        return "nn.Identity()"
    if plan.body == "convolution":
        pooled = "nn.AdaptiveAvgPool1d(1), nn.Flatten()"
        return f"nn.Sequential(nn.Conv1d({_COLUMNS}, {_NARROW}, 3), {plan.activation}, {pooled})"
    parts = [f"nn.Linear({_COLUMNS}, {_WIDE})", plan.norm, plan.activation, "nn.Dropout(0.2)" if plan.dropout else ""]
    return f"nn.Sequential({', '.join(part for part in parts if part)})"


@dataclass(frozen=True, slots=True)
class Mutation:
    """One mistake: the rule that must find it, and the edits that make it."""

    name: str
    rule: str
    edits: tuple[tuple[str, str], ...]
    fits: Callable[[Plan], bool] = lambda plan: True
    missed: str = ""
    """Why the rule does not find it, where it does not."""

    def applied(self, source: str) -> str:
        """The spoiled source."""
        for old, new in self.edits:
            assert source.count(old) == 1, (self.name, old)
            source = source.replace(old, new)
        return source


def _learns_below(plan: Plan) -> bool:
    return plan.body != "none"


def _is_layer_by_layer(plan: Plan) -> bool:
    """Whether the head gets what the body returned, and not a mean of it."""
    return plan.body in ("mlp", "convolution")


def _is_mean_over_time(plan: Plan) -> bool:
    return plan.body == "recurrent"


def _is_plain(plan: Plan) -> bool:
    return plan.update == "plain" and not plan.is_per_batch and plan.zero == ZEROS[0]


def _has_epoch_schedule(plan: Plan) -> bool:
    return plan.schedule in EPOCH_SCHEDULES


_STEP = "        loss.backward()\n        optimizer.step()"
_SCORES = "        scores = self.head(features)\n"
_HEADED = "        scores = self.head(features)"
_FORWARD = "        outputs = model(rows)\n        loss = criterion(outputs, wanted)\n"
_VALIDATED = "    model.eval()\n    val_loss = 0.0\n"

MUTATIONS = (
    Mutation(
        "a part that the optimizer does not hold",
        "TCK402",
        (("(model.parameters(), lr", "(model.head.parameters(), lr"),),
        _learns_below,
    ),
    Mutation(
        "a detach in the forward",
        "TCK401",
        ((_HEADED, "        scores = self.head(features.detach())"),),
        _is_layer_by_layer,
    ),
    Mutation(
        "numbers taken out of the forward",
        "TCK401",
        ((_HEADED, "        features = torch.tensor(features.detach().numpy())\n" + _HEADED),),
        _is_layer_by_layer,
    ),
    Mutation(
        "a detach after a mean over time",
        "TCK401",
        ((_HEADED, "        scores = self.head(features.detach())"),),
        _is_mean_over_time,
    ),
    Mutation(
        "a target without its column",
        "TCK202",
        ((_FORWARD, _FORWARD.replace("wanted)", "wanted.squeeze(1))")),),
        lambda plan: plan.task == "number",
    ),
    Mutation(
        "a target with a dim too many",
        "TCK202",
        ((_FORWARD, _FORWARD.replace("outputs, wanted)", "outputs.squeeze(1), wanted)")),),
        lambda plan: plan.task == "number",
    ),
    Mutation(
        "a transposed target",
        "TCK202",
        ((_FORWARD, _FORWARD.replace("wanted)", "wanted.T)")),),
        lambda plan: plan.task == "number",
        missed="a transpose may be asked for",
    ),
    Mutation(
        "no zero_grad",
        "TCK404",
        ((f"        {ZEROS[0]}\n        outputs", "        outputs"),),
        _is_plain,
    ),
    Mutation(
        "zero_grad between backward and step",
        "TCK424",
        (
            (f"        {ZEROS[0]}\n        outputs", "        outputs"),
            (_STEP, f"        loss.backward()\n        {ZEROS[0]}\n        optimizer.step()"),
        ),
        _is_plain,
    ),
    Mutation(
        "zero_grad in each micro-batch",
        "TCK424",
        ((_FORWARD, f"        optimizer.zero_grad()\n{_FORWARD}"),),
        lambda plan: plan.update == "accumulated",
        missed="not found in a script of this form, for a reason not known",
    ),
    Mutation(
        "a step before backward",
        "TCK425",
        (
            (f"        {ZEROS[0]}\n        outputs", "        outputs"),
            (_STEP, f"        optimizer.step()\n        {ZEROS[0]}\n        loss.backward()"),
        ),
        lambda plan: _is_plain(plan) and plan.body == "none",
    ),
    Mutation(
        "a step that is named and not called",
        "TCK426",
        ((_STEP, "        loss.backward()\n        optimizer.step"),),
        lambda plan: _is_plain(plan) and not plan.schedule,
    ),
    Mutation(
        "clipping before backward",
        "TCK428",
        ((_STEP, f"        nn.utils.clip_grad_norm_(model.parameters(), 1.0)\n{_STEP}"),),
        _is_plain,
    ),
    Mutation(
        "train mode set once",
        "TCK502",
        (("    model.train()\n", ""), ("model = Network()\n", "model = Network()\nmodel.train()\n")),
        lambda plan: plan.has_modes,
    ),
    Mutation(
        "validation in train mode",
        "TCK504",
        ((_VALIDATED, "    val_loss = 0.0\n"),),
        lambda plan: plan.has_modes,
    ),
    Mutation(
        "functional dropout that is always on",
        "TCK505",
        ((_HEADED, "        features = functional.dropout(features, 0.3)\n" + _HEADED),),
        _learns_below,
    ),
    Mutation(
        "softmax before cross-entropy",
        "TCK509",
        ((_SCORES, _SCORES.replace("(features)\n", "(features).softmax(dim=1)\n")),),
        lambda plan: plan.task == "classes",
    ),
    Mutation(
        "sigmoid before a loss of logits",
        "TCK509",
        ((_SCORES, _SCORES.replace("(features)\n", "(features).sigmoid()\n")),),
        lambda plan: "binary_cross_entropy" in plan.loss or "BCE" in plan.loss,
    ),
    Mutation(
        "ReLU before cross-entropy",
        "TCK511",
        ((_SCORES, _SCORES.replace("self.head(features)\n", "torch.relu(self.head(features))\n")),),
        lambda plan: plan.task == "classes",
    ),
    Mutation(
        "the scheduler first",
        "TCK501",
        (("    scheduler.step()\n", ""), ("    model.train()\n", "    scheduler.step()\n    model.train()\n")),
        _has_epoch_schedule,
    ),
    Mutation("a scheduler that is never stepped", "TCK506", (("    scheduler.step()\n", ""),), _has_epoch_schedule),
    Mutation(
        "a loss wrapped in a new leaf",
        "TCK416",
        ((_FORWARD, f"{_FORWARD}        loss = torch.tensor(loss.item(), requires_grad=True)\n"),),
    ),
    Mutation(
        "everything frozen",
        "TCK403",
        (("model = Network()\n", "model = Network()\nmodel.requires_grad_(False)\n"),),
    ),
    Mutation(
        "a body without gradients",
        "TCK417",
        (
            (_HEADED, f"            pass\n{_HEADED}"),
            ("        features = ", "        with torch.no_grad():\n            features = "),
        ),
        _learns_below,
    ),
    Mutation("rounded features", "TCK415", ((_HEADED, "        scores = self.head(features.round())"),), _learns_below),
    Mutation(
        "a layer that no step calls",
        "TCK418",
        (("        self.head = ", f"        self.norm = nn.LayerNorm({_NARROW})\n        self.head = "),),
        missed="the scripts are too short for it to be sure",
    ),
    Mutation("a running sum of losses with their graphs", "TCK423", (("total += loss.item()", "total += loss"),)),
    Mutation(
        "features centred over the batch",
        "TCK214",
        ((_HEADED, "        features = features - features.mean(0)\n" + _HEADED),),
        _learns_below,
        missed="not found in a script of this form, for a reason not known",
    ),
    Mutation(
        "a view in place of a transpose",
        "TCK222",
        (("inputs.transpose(1, 2)", f"inputs.reshape(-1, {_COLUMNS}, {_MOMENTS})"),),
        lambda plan: plan.body == "convolution",
    ),
    Mutation(
        "a recurrence over the samples",
        "TCK215",
        ((", batch_first=True)", ")"),),
        lambda plan: plan.body == "recurrent",
    ),
    Mutation(
        "the best weights by reference",
        "TCK515",
        (("copy.deepcopy(model.state_dict())", "model.state_dict()"),),
        missed="not found in a script of this form, for a reason not known",
    ),
    Mutation(
        "a best epoch that is the worst",
        "TCK516",
        (
            ("if val_loss < best_loss", "if val_loss > best_loss"),
            ('float("inf"), None', "0.0, None"),
        ),
        missed="not found in a script of this form, for a reason not known",
    ),
    Mutation(
        "validation on the training loader",
        "TCK517",
        (("in val_loader:", "in train_loader:"),),
        missed="the training data may be measured too",
    ),
    Mutation(
        "a constant output",
        "TCK519",
        ((_SCORES, _SCORES.replace("self.head(features)", "self.head(features * 0)")),),
    ),
)
