"""What a copy is asked after the first step: are samples mixed, and does a language model look ahead?"""

import weakref
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

import tensorcheck
from tensorcheck.findings import Finding, Severity
from tests.experiments.healthy_models import BATCH, CLASSES, HEALTHY, MIXED_ON_PURPOSE, TIME, WIDTH, Healthy

NAMES = ("batch-independence", "causality")
MIXING = ("TCK214", "TCK215", "TCK216")


def trained(healthy: Healthy, *, experiments: bool = True) -> tensorcheck.Watch:
    optimizer = torch.optim.SGD(healthy.model.parameters(), lr=0.01)
    with tensorcheck.watch(healthy.model, on_finding=list[Finding]().append, experiments=experiments) as watch:
        for _ in range(2):
            optimizer.zero_grad()
            healthy.loss(healthy.model(*healthy.given)).backward()
            optimizer.step()
    return watch


def found(watch: tensorcheck.Watch) -> list[tuple[str, Severity]]:
    return [(finding.rule, finding.severity) for finding in watch.findings if finding.rule in MIXING]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_models_are_silent(name: str, seed: int) -> None:
    torch.manual_seed(seed)
    watch = trained(HEALTHY[name]())
    assert found(watch) == []
    assert "TCK001" not in [finding.rule for finding in watch.findings]


@pytest.mark.parametrize("name", MIXED_ON_PURPOSE)
def test_of_samples_that_may_meet_on_purpose_it_is_worth_knowing_and_no_more(name: str) -> None:
    severities = {severity for _, severity in found(trained(MIXED_ON_PURPOSE[name]()))}
    assert severities == {Severity.INFO}


@pytest.mark.parametrize("name", ["residual", "lstm batch first", "causal by hand", "by name", "siamese", "wrapped"])
def test_coverage_names_the_experiments_that_were_made(name: str) -> None:
    coverage = trained(HEALTHY[name]()).report.record.coverage
    assert coverage.experiments == (NAMES if name.startswith("causal") else NAMES[:1])
    assert coverage.skipped == ()


def test_coverage_says_why_a_question_could_not_be_put() -> None:
    skipped = trained(HEALTHY["graph"]()).report.record.coverage.skipped
    assert [each.what for each in skipped] == [NAMES[0]]


def test_experiments_can_be_turned_off() -> None:
    watch = trained(Healthy(Confused(), (torch.rand(BATCH, TIME, WIDTH),), classes()), experiments=False)
    assert found(watch) == []
    assert watch.report.record.coverage.experiments == ()


class Confused(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.LSTM(WIDTH, 8)
        self.head = nn.Linear(8, CLASSES)

    def forward(self, steps: Tensor) -> Tensor:
        states, _ = self.rnn(steps)
        logits: Tensor = self.head(states[:, -1])
        return logits


def classes() -> Tensor:
    return torch.randint(CLASSES, (BATCH,))


def only(watch: tensorcheck.Watch) -> Finding:
    findings = [finding for finding in watch.findings if finding.rule in MIXING]
    assert len(findings) == 1
    return findings[0]


def test_a_recurrent_layer_that_takes_the_batch_for_time_is_found_where_it_was_built() -> None:
    finding = only(trained(Healthy(Confused(), (torch.rand(BATCH, TIME, WIDTH),), classes())))
    assert (finding.rule, finding.severity, finding.module) == ("TCK215", Severity.WARNING, "rnn")
    assert finding.site is not None
    assert finding.site.code == "self.rnn = nn.LSTM(WIDTH, 8)"
    assert finding.help == "self.rnn = nn.LSTM(WIDTH, 8, batch_first=True)"
    assert [place.site.code for place in finding.related] == ["self.rnn(steps)", "healthy.model(*healthy.given)"]


class Flattened(nn.Module):
    """The states of each step come with the batch second, and are flattened as if it came first."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn = nn.GRU(WIDTH, 8)
        self.head = nn.Linear(8 * TIME, CLASSES)

    def forward(self, steps: Tensor) -> Tensor:
        states, _ = self.rnn(steps.transpose(0, 1))
        flat = states.reshape(len(steps), -1)
        logits: Tensor = self.head(flat.relu())
        return logits


def test_a_reshape_that_swallows_the_batch_is_found_with_what_is_missing() -> None:
    finding = only(trained(Healthy(Flattened(), (torch.rand(BATCH, TIME, WIDTH),), classes())))
    assert (finding.rule, finding.severity) == ("TCK215", Severity.WARNING)
    assert finding.help == "states.transpose(0, 1).reshape(len(steps), -1)"


class Layers(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, steps: Tensor) -> Tensor:
        logits: Tensor = self.head(self.layer(steps).mean(1))
        return logits


@pytest.mark.filterwarnings("ignore:enable_nested_tensor")
def test_attention_over_the_batch_is_found_in_a_layer_of_pytorch() -> None:
    encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(WIDTH, 3, 24), 1)
    finding = only(trained(Healthy(Layers(encoder), (torch.rand(BATCH, TIME, WIDTH),), classes())))
    assert (finding.rule, finding.severity) == ("TCK215", Severity.WARNING)


class Gated(nn.Module):
    def __init__(self, gate: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.gate = gate
        self.head = nn.Linear(WIDTH, CLASSES)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.head(rows * self.gate(rows))
        return logits


@pytest.mark.parametrize(
    "gate",
    [
        lambda rows: rows.softmax(0),
        lambda rows: functional.softmax(rows, dim=0),
        lambda rows: functional.normalize(rows, dim=0),
        lambda rows: rows / rows.norm(),
        nn.Softmax(dim=0),
    ],
    ids=["method", "function", "normalize", "norm", "layer"],
)
def test_what_is_normalised_over_the_batch_is_found(gate: Callable[[Tensor], Tensor]) -> None:
    finding = only(trained(Healthy(Gated(gate), (torch.rand(BATCH, WIDTH),), classes())))
    assert (finding.rule, finding.severity) == ("TCK214", Severity.WARNING)


def test_a_loader_makes_sure_which_dim_is_the_batch() -> None:
    class Column(nn.Module):
        """Takes the rows of a batch for one sequence."""

        def __init__(self) -> None:
            super().__init__()
            self.rnn, self.head = nn.GRU(WIDTH, 8), nn.Linear(8, 1)

        def forward(self, rows: Tensor) -> Tensor:
            score: Tensor = self.head(self.rnn(rows)[0])
            return score

    data = TensorDataset(torch.rand(48, WIDTH), torch.rand(48, 1))
    found_in = []
    for batches in (DataLoader(data, BATCH), [data[:BATCH]]):
        model = Column()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
        with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
            for rows, prices in batches:
                functional.mse_loss(model(rows), prices).backward()
                optimizer.step()
                optimizer.zero_grad()
        found_in.append(found(watch))
    assert found_in == [[("TCK215", Severity.WARNING)], []]


class Language(nn.Module):
    def __init__(self, attend: Callable[[Tensor, Tensor, Tensor], Tensor]) -> None:
        super().__init__()
        self.embed, self.qkv, self.out = nn.Embedding(20, WIDTH), nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, 20)
        self.attend = attend

    def forward(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(self.embed(tokens)).view(*tokens.shape, 3, 3, 4).permute(2, 0, 3, 1, 4)
        mixed = self.attend(q, k, v)
        logits: Tensor = self.out(mixed if mixed.dim() == 3 else mixed.transpose(1, 2).flatten(2))
        return logits


def no_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-2, -1)).softmax(-1) @ v


def inverted_mask(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    past = torch.ones(q.size(2), q.size(2), dtype=torch.bool).tril(-1)
    return (q @ k.transpose(-2, -1)).masked_fill(past, float("-inf")).softmax(-1) @ v


def next_in_sight(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    future = torch.ones(q.size(2), q.size(2), dtype=torch.bool).triu(2)
    return (q @ k.transpose(-2, -1)).masked_fill(future, float("-inf")).softmax(-1) @ v


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return functional.scaled_dot_product_attention(q, k, v)


def merged_by_reshape(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    return mixed.reshape(q.size(0), q.size(2), WIDTH)


@pytest.mark.parametrize(
    ("attend", "root"),
    [
        (no_mask, "(q @ k.transpose(-2, -1)).softmax(-1)"),
        (inverted_mask, '(q @ k.transpose(-2, -1)).masked_fill(past, float("-inf"))'),
        (next_in_sight, '(q @ k.transpose(-2, -1)).masked_fill(future, float("-inf"))'),
        (fused, "functional.scaled_dot_product_attention(q, k, v)"),
        (merged_by_reshape, "mixed.reshape(q.size(0), q.size(2), WIDTH)"),
    ],
)
def test_a_language_model_that_looks_ahead_is_found_where_it_does(
    attend: Callable[[Tensor, Tensor, Tensor], Tensor], root: str
) -> None:
    words = torch.randint(20, (BATCH, 9))
    finding = only(trained(Healthy(Language(attend), (words[:, :-1],), words[:, 1:])))
    assert (finding.rule, finding.severity) == ("TCK216", Severity.WARNING)
    assert finding.site is not None
    assert finding.site.code == root


def test_where_no_line_of_the_users_runs_in_the_model_its_call_is_named() -> None:
    layer = nn.TransformerEncoderLayer(WIDTH, 1, WIDTH, batch_first=True)
    model = nn.Sequential(nn.Embedding(20, WIDTH), layer, nn.Linear(WIDTH, 20))
    words = torch.randint(20, (BATCH, 9))

    finding = only(trained(Healthy(model, (words[:, :-1],), words[:, 1:])))

    assert finding.site is not None
    assert finding.site.code == "healthy.model(*healthy.given)"
    assert (finding.module, finding.help) == ("1.self_attn", "")


def test_a_model_of_masked_tokens_may_look_ahead() -> None:
    words = torch.randint(20, (BATCH, 8))
    assert found(trained(Healthy(Language(no_mask), (words,), words))) == []
    assert found(trained(Healthy(Language(no_mask), (words,), torch.randint(20, (BATCH, 8))))) == []


def test_what_a_forward_remembers_elsewhere_is_not_called_again() -> None:
    class Diary:
        def __init__(self) -> None:
            self.entries: list[int] = []

    diary = Diary()

    class Writing(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Linear(WIDTH, CLASSES)

        def forward(self, rows: Tensor) -> Tensor:
            diary.entries.append(len(rows))
            logits: Tensor = self.body(rows)
            return logits

    watch = trained(Healthy(Writing(), (torch.rand(BATCH, WIDTH),), classes()))
    assert diary.entries == [BATCH, BATCH]
    assert "`diary`" in watch.report.record.coverage.skipped[0].why


def test_a_model_that_draws_and_counts_is_left_to_the_same_bits() -> None:
    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.norm = nn.Linear(WIDTH, CLASSES), nn.BatchNorm1d(CLASSES)
            self.calls = 0

        def forward(self, rows: Tensor) -> Tensor:
            self.calls += 1
            print("called")  # noqa: T201 - what a user's model does
            drawn: Tensor = functional.dropout(self.norm(self.body(rows)), 0.5, training=True)
            return drawn

    ends = []
    for experiments in (False, True):
        torch.manual_seed(0)
        model = Counting()
        trained(Healthy(model, (torch.rand(BATCH, WIDTH),), classes()), experiments=experiments)
        ends.append((model.calls, [*model.state_dict().values()], torch.rand(3)))
    (calls, state, drawn), (others, other_state, other_drawn) = ends
    assert calls == others == 2
    assert all(torch.equal(one, other) for one, other in zip(state, other_state, strict=True))
    assert torch.equal(drawn, other_drawn)


@pytest.mark.parametrize("classes_", [2, 3, 4])
def test_as_many_samples_are_asked_as_there_are_not_classes(classes_: int) -> None:
    class Few(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.head = nn.Linear(WIDTH, classes_)

        def forward(self, rows: Tensor) -> Tensor:
            logits: Tensor = self.head(rows.softmax(0))
            return logits

    finding = only(trained(Healthy(Few(), (torch.rand(BATCH, WIDTH),), torch.randint(classes_, (BATCH,)))))
    assert (finding.rule, finding.severity) == ("TCK214", Severity.WARNING)


def test_nothing_of_what_was_copied_is_kept_after_the_first_step() -> None:
    kept = []

    class Remembered(nn.Linear):
        def forward(self, rows: Tensor) -> Tensor:
            kept.append(weakref.ref(rows))
            output: Tensor = super().forward(rows)
            return output

    model = Remembered(WIDTH, CLASSES)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model):
        for _ in range(2):
            functional.cross_entropy(model(torch.rand(BATCH, WIDTH)), classes()).backward()
            optimizer.step()
            assert kept[-1]() is None
