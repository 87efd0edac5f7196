"""Gradients that are lost between the parameters and the loss: where, by what, and the healthy code beside it."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

import tensorcheck
from tensorcheck.findings import Finding, Severity

Forward = Callable[["Pair", Tensor], Tensor]
STEPS = 4


class Pair(nn.Module):
    """Two layers, joined by what a test wants to see."""

    def __init__(self, forward: Forward) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self._join = forward

    def forward(self, rows: Tensor) -> Tensor:
        return self._join(self, rows)


def found(forward: Forward, loss: Callable[[Tensor], Tensor] = lambda out: out.square().mean()) -> list[Finding]:
    """What is found in a few steps of such a model."""
    torch.manual_seed(0)
    model = Pair(forward)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append, experiments=False) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            loss(model(torch.rand(8, 4))).backward()
            optimizer.step()
    return list(watch.findings)


def codes(findings: list[Finding]) -> list[str]:
    return [finding.rule for finding in findings]


FIRST = "never learns: `first.bias`, `first.weight`"

DETACHED: dict[str, Forward] = {
    "detach": lambda net, rows: net.second(net.first(rows).relu().detach() * 2),
    "data": lambda net, rows: net.second(rows) * net.first(rows).data,
    "as_tensor of numbers": lambda net, rows: net.second(rows) * torch.as_tensor(net.first(rows).mean().item()),
    "item": lambda net, rows: net.second(rows) * net.first(rows).mean().item(),
    "float": lambda net, rows: net.second(rows) * float(net.first(rows).mean().detach()),
    "numpy": lambda net, rows: net.second(rows) + torch.from_numpy(net.first(rows).detach().numpy()).mean(),
    "clone of detached": lambda net, rows: net.second(rows) + net.first(rows).detach().clone().requires_grad_(),
}


@pytest.mark.parametrize("forward", DETACHED.values(), ids=DETACHED)
def test_what_leaves_the_graph_inside_of_the_model_is_found(forward: Forward) -> None:
    (finding,) = found(forward)

    assert finding.rule == "TCK401"
    assert "`first.weight`" in finding.notes[0]
    assert "`second.weight`" not in finding.notes[0]
    assert finding.site is not None
    assert "net.first(rows)" in finding.site.source


def test_what_leaves_the_graph_between_the_model_and_the_loss_is_found() -> None:
    model = nn.ModuleDict({"features": nn.Linear(4, 4), "head": nn.Linear(4, 2)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            rows = torch.rand(8, 4)
            optimizer.zero_grad()
            features, scores = model["features"](rows), model["head"](rows)
            penalty = features.detach().square().mean()
            (scores.square().mean() + penalty).backward()
            optimizer.step()

    (finding,) = watch.findings
    assert finding.rule == "TCK401"
    assert finding.headline == "2 parameters got no gradient: `features.detach()` cuts the graph"
    assert finding.site is not None
    assert finding.site.code == "features.detach()"
    assert finding.help == "penalty = features.square().mean()"


def test_a_number_that_is_added_to_the_loss_in_the_loop_is_found() -> None:
    model = nn.ModuleDict({"one": nn.Linear(4, 4), "two": nn.Linear(4, 2)})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            rows = torch.rand(8, 4)
            optimizer.zero_grad()
            of_one = model["one"](rows).square().mean().item()
            of_two = model["two"](rows).square().mean()
            loss = of_two + of_one
            loss.backward()
            optimizer.step()

    (finding,) = watch.findings
    assert finding.rule == "TCK401"
    assert finding.site is not None
    assert finding.site.source.strip().startswith("of_one")
    assert finding.notes == ("never learns: `one.bias`, `one.weight`",)


def kept(net: Pair, rows: Tensor) -> Tensor:
    index = net.first(rows).argmax(1, keepdim=True)
    scores: Tensor = net.second(rows).gather(1, index)
    return scores


WITHOUT_GRADIENT: dict[str, Forward] = {
    "argmax": kept,
    "comparison": lambda net, rows: net.second(rows) * (net.first(rows) > 0),
    "integers": lambda net, rows: net.second(rows) * net.first(rows).long(),
    "round": lambda net, rows: net.second(rows) + net.first(rows).round(),
    "sign": lambda net, rows: net.second(rows) * torch.sign(net.first(rows)),
    "floor": lambda net, rows: net.second(net.first(rows).floor()),
    "sample": lambda net, rows: net.second(rows) * torch.bernoulli(net.first(rows).sigmoid()),
    "largest indices": lambda net, rows: net.second(rows).gather(1, net.first(rows).topk(2, dim=1).indices),
}


@pytest.mark.parametrize("forward", WITHOUT_GRADIENT.values(), ids=WITHOUT_GRADIENT)
def test_operations_without_a_gradient_are_found(forward: Forward) -> None:
    (finding,) = found(forward)

    assert finding.rule == "TCK415"
    assert "`first.weight`" in finding.notes[0]
    assert "`second.weight`" not in finding.notes[0]
    assert finding.site is not None
    assert "net.first(rows)" in finding.site.source


def without_graph(net: Pair, rows: Tensor) -> Tensor:
    with torch.no_grad():
        hidden = net.first(rows)
    return net.second(hidden)  # type: ignore[no-any-return]  # a module may return anything


def in_inference(net: Pair, rows: Tensor) -> Tensor:
    with torch.inference_mode():
        scale = net.first(rows).mean()
    return net.second(rows).add(scale.clone())  # type: ignore[no-any-return]  # likewise


def left_off(net: Pair, rows: Tensor) -> Tensor:
    torch.set_grad_enabled(False)
    hidden = net.first(rows)
    torch.set_grad_enabled(True)
    return net.second(hidden)  # type: ignore[no-any-return]  # likewise


@pytest.mark.parametrize(
    ("forward", "switch"),
    [
        (without_graph, "torch.no_grad()"),
        (in_inference, "torch.inference_mode()"),
        (left_off, "torch.set_grad_enabled(False)"),
    ],
)
def test_what_runs_with_gradients_switched_off_is_found(forward: Forward, switch: str) -> None:
    (finding,) = found(forward)

    assert finding.rule == "TCK417"
    assert finding.site is not None
    assert finding.site.code == switch
    assert finding.notes == (FIRST,)


def by_index(net: Pair, rows: Tensor) -> Tensor:
    with torch.no_grad():
        best = net.first(rows).topk(2).indices
    return net.second(torch.zeros_like(rows).scatter(1, best, 1.0) * rows)  # type: ignore[no-any-return]  # likewise


def by_mask(net: Pair, rows: Tensor) -> Tensor:
    with torch.no_grad():
        scores = net.first(rows)
        kept = torch.zeros_like(rows).masked_fill(scores < scores.mean(), float("-inf"))
    return net.second((rows + kept).softmax(1))  # type: ignore[no-any-return]  # likewise


@pytest.mark.parametrize("forward", [by_index, by_mask])
def test_scores_without_gradients_that_choose_alone_are_silent(forward: Forward) -> None:
    assert found(forward) == []


def test_a_switch_in_the_loop_is_found() -> None:
    model = Pair(lambda net, rows: net.second(rows))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            torch.set_grad_enabled(False)
            hidden = model.first(torch.rand(8, 4))
            torch.set_grad_enabled(True)
            model(hidden).square().mean().backward()
            optimizer.step()

    (finding,) = watch.findings
    assert finding.rule == "TCK417"
    assert finding.site is not None
    assert finding.site.code == "torch.set_grad_enabled(False)"


def test_a_backbone_in_evaluation_mode_without_gradients_is_an_info() -> None:
    model = Pair(without_graph)
    model.first.eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()

    assert [(finding.rule, finding.severity) for finding in watch.findings] == [("TCK417", Severity.INFO)]


NEW_LEAVES: dict[str, Callable[[Tensor], Tensor]] = {
    "tensor of a number": lambda out: torch.tensor(out.mean().item(), requires_grad=True),
    "detached": lambda out: out.mean().detach().requires_grad_(),
    "clone of detached": lambda out: out.mean().detach().clone().requires_grad_(True),
    "data": lambda out: out.mean().data.requires_grad_(),
    "number": lambda out: torch.tensor([float(out.detach().mean())], requires_grad=True),
}


@pytest.mark.parametrize("loss", NEW_LEAVES.values(), ids=NEW_LEAVES)
def test_a_loss_that_is_a_new_leaf_is_an_error_at_the_line_that_made_it(loss: Callable[[Tensor], Tensor]) -> None:
    (finding,) = found(lambda net, rows: net.second(net.first(rows)), loss)

    assert (finding.rule, finding.severity) == ("TCK416", Severity.ERROR)
    assert finding.site is not None
    assert "out." in finding.site.source
    assert finding.notes[0].startswith("never learns: `first.weight`, `first.bias`, `second.weight`")


def test_a_zero_that_stands_for_a_batch_without_targets_is_silent() -> None:
    assert found(lambda net, rows: net.first(rows), lambda _: torch.zeros((), requires_grad=True)) == []


class _Halved(torch.autograd.Function):
    @staticmethod
    def forward(ctx: object, rows: Tensor, weight: Tensor) -> Tensor:
        return rows * 0.5 + weight.sum()

    @staticmethod
    def backward(ctx: object, *grads: Tensor) -> tuple[Tensor, None]:
        return grads[0] * 0.5, None


def halved(net: Pair, rows: Tensor) -> Tensor:
    joined: Tensor = _Halved.apply(net.second(rows), net.first(rows))  # type: ignore[no-untyped-call]  # torch's own
    return joined


def test_a_custom_function_that_gives_none_for_an_input_is_found() -> None:
    (finding,) = found(halved)

    assert (finding.rule, finding.severity) == ("TCK413", Severity.WARNING)
    assert finding.site is not None
    assert finding.site.source.strip() == "return grads[0] * 0.5, None"
    assert finding.notes[0] == "never learns: `first.weight`, `first.bias`"


def straight_through(net: Pair, rows: Tensor) -> Tensor:
    hidden = net.first(rows)
    rounded = hidden + (hidden.round() - hidden).detach()
    return net.second(rounded)  # type: ignore[no-any-return]  # a module may return anything


def with_metrics(net: Pair, rows: Tensor) -> Tensor:
    hidden = net.first(rows)
    (hidden.argmax(1) == 0).float().mean().item()
    hidden.detach().numpy()
    return net.second(hidden * (hidden > 0))  # type: ignore[no-any-return]  # likewise


def stopped(net: Pair, rows: Tensor) -> Tensor:
    one, two = net.first(rows), net.second(rows)
    return (one - two.detach()) + (two - one.detach())  # type: ignore[no-any-return]  # likewise


HEALTHY: dict[str, Forward] = {
    "plain": lambda net, rows: net.second(net.first(rows).relu()),
    "straight through": straight_through,
    "metrics beside the loss": with_metrics,
    "stop gradient on one side": stopped,
    "sizes alone": lambda net, rows: net.second(rows) * torch.ones_like(net.first(rows).detach()),
    "noise of its size": lambda net, rows: net.second(net.first(rows) + torch.randn_like(net.first(rows))),
}


@pytest.mark.parametrize("forward", HEALTHY.values(), ids=HEALTHY)
def test_cuts_that_leave_another_way_are_silent(forward: Forward) -> None:
    assert codes(found(forward)) == []


def test_a_frozen_layer_behind_a_cut_is_silent() -> None:
    model = Pair(DETACHED["detach"])
    model.first.requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()

    assert not watch.findings


def test_a_teacher_inside_of_the_model_is_silent() -> None:
    class Distilled(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.student, self.teacher = nn.Linear(4, 2), nn.Linear(4, 2)

        def forward(self, rows: Tensor) -> Tensor:
            difference: Tensor = self.student(rows) - self.teacher(rows).detach()
            return difference

    model = Distilled()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()

    assert not watch.findings


def test_a_codebook_that_is_moved_by_hand_is_silent() -> None:
    class Quantized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder, self.codes, self.decoder = nn.Linear(4, 3), nn.Embedding(5, 3), nn.Linear(3, 4)

        def forward(self, rows: Tensor) -> Tensor:
            hidden = self.encoder(rows)
            nearest = self.codes(torch.cdist(hidden, self.codes.weight).argmin(1))
            with torch.no_grad():
                self.codes.weight.mul_(0.99).add_(hidden.mean(0), alpha=0.01)
            through = hidden + (nearest - hidden).detach()
            rebuilt: Tensor = self.decoder(through)
            loss: Tensor = (rebuilt - rows).square().mean() + (hidden - nearest.detach()).square().mean()
            return loss

    model = Quantized()
    optimizer = torch.optim.Adam(model.parameters())
    with tensorcheck.watch(model) as watch:
        for _ in range(12):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).backward()
            optimizer.step()

    assert not watch.findings


def test_a_gan_that_makes_its_samples_twice_is_silent() -> None:
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    of_generator, of_critic = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (generator, critic))
    with tensorcheck.watch(generator, critic) as watch:
        for _ in range(STEPS):
            with torch.no_grad():
                fake = generator(torch.rand(8, 2))
            of_critic.zero_grad()
            (critic(fake) - critic(torch.rand(8, 4))).mean().backward()
            of_critic.step()
            of_generator.zero_grad()
            critic(generator(torch.rand(8, 2))).neg().mean().backward()
            of_generator.step()

    assert not watch.findings


@pytest.mark.parametrize("is_detached", [True, False])
def test_a_generator_that_is_cut_off_in_its_own_turn_is_found(is_detached: bool) -> None:  # noqa: FBT001 - a case
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    of_generator, of_critic = (torch.optim.SGD(net.parameters(), lr=0.1) for net in (generator, critic))
    with tensorcheck.watch(generator, critic, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            with torch.set_grad_enabled(is_detached):
                fake = generator(torch.rand(8, 2))
            of_critic.zero_grad()
            (critic(fake.detach()) - critic(torch.rand(8, 4))).mean().backward()
            of_critic.step()
            of_generator.zero_grad()
            critic(fake.detach() if is_detached else fake).neg().mean().backward()
            of_generator.step()

    (finding,) = watch.findings
    assert finding.rule == "TCK433"
    assert finding.headline.startswith("`generator` gets no gradient in its own turn")
    assert finding.site is not None
    assert finding.site.code == ("fake.detach()" if is_detached else "torch.set_grad_enabled(is_detached)")


def test_an_encoder_and_a_decoder_with_an_optimizer_each_are_no_gan() -> None:
    encoder, decoder = nn.Linear(4, 2), nn.Linear(2, 4)
    optimizers = [torch.optim.SGD(net.parameters(), lr=0.1) for net in (encoder, decoder)]
    with tensorcheck.watch(encoder, decoder, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            rows = torch.rand(8, 4)
            code = encoder(rows).detach()
            (decoder(code) - rows).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()
                optimizer.zero_grad()

    assert codes(list(watch.findings)) == ["TCK401"]


def test_adversarial_inputs_and_a_split_backward_are_silent() -> None:
    body, head = nn.Linear(4, 4), nn.Linear(4, 2)
    model = nn.Sequential(body, head)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            rows = torch.rand(8, 4, requires_grad=True)
            (change,) = torch.autograd.grad(model(rows).square().mean(), rows)
            optimizer.zero_grad()
            features = body((rows + change.sign()).detach())
            leaf = features.detach().requires_grad_()
            head(leaf).square().mean().backward()
            features.backward(leaf.grad)
            optimizer.step()

    assert not watch.findings


def test_a_critic_of_returns_beside_a_policy_is_silent() -> None:
    policy, critic = nn.Linear(4, 2), nn.Linear(4, 1)
    model = nn.ModuleDict({"policy": policy, "critic": critic})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            state, reward = torch.rand(8, 4), torch.rand(8)
            scores, values = policy(state).log_softmax(1), critic(state).squeeze(1)
            action = torch.multinomial(scores.exp(), 1)
            advantage = (reward - values).detach()
            chosen = scores.gather(1, action).squeeze(1)
            optimizer.zero_grad()
            ((values - reward).square().mean() - (chosen * advantage).mean()).backward()
            optimizer.step()

    assert not watch.findings


def test_a_policy_whose_sampled_action_is_all_that_the_loss_sees_is_found() -> None:
    policy, critic = nn.Linear(4, 2), nn.Linear(5, 1)
    model = nn.ModuleDict({"policy": policy, "critic": critic})
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            state = torch.rand(8, 4)
            action = torch.multinomial(policy(state).softmax(1), 1)
            optimizer.zero_grad()
            critic(torch.cat([state, action.float()], dim=1)).mean().backward()
            optimizer.step()

    (finding,) = watch.findings
    assert finding.rule == "TCK415"
    assert finding.notes[0] == "never learns: `policy.bias`, `policy.weight`"


def test_accumulated_gradients_show_a_cut_too() -> None:
    model = Pair(DETACHED["data"])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model, on_finding=list[Finding]().append) as watch:
        for _ in range(STEPS):
            for _ in range(4):
                model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

    assert codes(list(watch.findings)) == ["TCK401"]


def test_activation_checkpoints_are_silent() -> None:
    def join(net: Pair, rows: Tensor) -> Tensor:
        hidden: Tensor = torch.utils.checkpoint.checkpoint(net.first, rows, use_reentrant=True)
        return torch.utils.checkpoint.checkpoint(net.second, hidden, use_reentrant=False)  # type: ignore[no-any-return]

    torch.manual_seed(0)
    model = Pair(join)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01)
    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4, requires_grad=True)).square().mean().backward()
            optimizer.step()

    assert not watch.findings


def test_a_closure_is_silent() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), lr=0.1, max_iter=2)

    def closure() -> float:
        optimizer.zero_grad()
        loss = model(torch.ones(2, 4)).square().mean()
        loss.backward()
        return float(loss.detach())

    with tensorcheck.watch(model) as watch:
        for _ in range(STEPS):
            optimizer.step(closure)

    assert not watch.findings
