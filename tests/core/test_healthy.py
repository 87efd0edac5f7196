"""Law 3: loops that are as they should be, however odd, are silent."""

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

import tensorcheck

STEPS = 6
Loop = Callable[[], None]


def net(outputs: int = 2) -> nn.Sequential:
    return nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, outputs))


def watched(*models: nn.Module) -> tensorcheck.Watch:
    def unexpected(finding: object) -> None:
        pytest.fail(f"false alarm: {finding}")

    return tensorcheck.watch(*models, on_finding=unexpected)


def test_plain_training_and_evaluation() -> None:
    model = net()
    optimizer = torch.optim.Adam(model.parameters())
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 2)
    with watched(model):
        for _ in range(STEPS):
            model.train()
            optimizer.zero_grad()
            functional.cross_entropy(model(torch.rand(8, 4)), torch.randint(2, (8,))).backward()
            optimizer.step()
            scheduler.step()
            model.eval()
            with torch.no_grad():
                functional.cross_entropy(model(torch.rand(8, 4)), torch.randint(2, (8,)))


def test_gan_with_two_optimizers() -> None:
    generator, critic = net(4), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    of_generator = torch.optim.Adam(generator.parameters())
    of_critic = torch.optim.Adam(critic.parameters())
    with watched(generator, critic):
        for _ in range(STEPS):
            real, fake = torch.rand(8, 4), generator(torch.rand(8, 4))
            of_critic.zero_grad()
            loss = functional.binary_cross_entropy_with_logits(critic(real), torch.ones(8, 1))
            (loss + functional.binary_cross_entropy_with_logits(critic(fake.detach()), torch.zeros(8, 1))).backward()
            of_critic.step()
            of_generator.zero_grad()
            functional.binary_cross_entropy_with_logits(critic(fake), torch.ones(8, 1)).backward()
            of_generator.step()


@pytest.mark.parametrize("to_none", [True, False])
def test_gan_whose_critic_is_zeroed_before_its_own_step(to_none: bool) -> None:  # noqa: FBT001 - a case
    generator, critic = net(4), nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 1))
    of_generator = torch.optim.Adam(generator.parameters())
    of_critic = torch.optim.Adam(critic.parameters())
    with watched(generator), watched(critic):
        for _ in range(STEPS):
            fake = generator(torch.rand(8, 4))
            critic.zero_grad(set_to_none=to_none)
            critic(torch.rand(8, 4)).mean().backward()
            critic(fake.detach()).mean().neg().backward()
            of_critic.step()
            generator.zero_grad(set_to_none=to_none)
            critic(fake).mean().backward()
            of_generator.step()


def test_gan_whose_optimizers_step_in_turns() -> None:
    generator, critic = net(4), net(1)
    of_generator = torch.optim.SGD(generator.parameters(), lr=0.1)
    of_critic = torch.optim.SGD(critic.parameters(), lr=0.1)
    with watched(generator), watched(critic):
        for step in range(STEPS):
            optimizer = of_generator if step % 3 == 2 else of_critic
            optimizer.zero_grad()
            critic(generator(torch.rand(8, 4))).mean().backward()
            optimizer.step()


def test_gradient_accumulation() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            for _ in range(3):
                (model(torch.rand(8, 4)).square().mean() / 3).backward()
            optimizer.step()
            optimizer.zero_grad(set_to_none=False)


def test_gradients_zeroed_by_hand() -> None:
    model = net()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            for parameter in model.parameters():
                if parameter.grad is not None:
                    parameter.grad.zero_()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()


def test_frozen_backbone_in_the_optimizer() -> None:
    model = net()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()


def test_backbone_frozen_while_watched_then_released() -> None:
    model = net()
    with watched(model):
        model.requires_grad_(False)
        model[4].requires_grad_(True)
        optimizer = torch.optim.SGD(model[4].parameters(), lr=0.1)
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()


def test_teacher_and_moving_average() -> None:
    student, teacher = net(), net().eval().requires_grad_(False)
    average = copy.deepcopy(student)
    optimizer = torch.optim.SGD(student.parameters(), lr=0.1)
    with watched(student, teacher):
        for _ in range(STEPS):
            inputs = torch.rand(8, 4)
            optimizer.zero_grad()
            functional.kl_div(
                student(inputs).log_softmax(1), teacher(inputs).softmax(1), reduction="batchmean"
            ).backward()
            optimizer.step()
            with torch.no_grad():
                for old, new in zip(average.parameters(), student.parameters(), strict=True):
                    old.lerp_(new, 0.1)


def test_lbfgs_closure() -> None:
    model = nn.Linear(4, 1)
    optimizer = torch.optim.LBFGS(model.parameters())
    inputs, targets = torch.rand(8, 4), torch.rand(8, 1)

    def closure() -> float:
        optimizer.zero_grad()
        loss = functional.mse_loss(model(inputs), targets)
        loss.backward()
        return loss.item()

    with watched(model):
        for _ in range(STEPS):
            optimizer.step(closure)


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(7, 4)
        self.hidden = nn.Linear(4, 4)
        self.head = nn.Linear(4, 7, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, tokens: Tensor) -> Tensor:
        logits: Tensor = self.head(checkpoint(self.hidden, self.embedding(tokens), use_reentrant=False))
        return logits


def test_tied_weights_and_activation_checkpointing() -> None:
    model = Tied()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            optimizer.zero_grad()
            tokens = torch.randint(7, (8, 5))
            functional.cross_entropy(model(tokens).flatten(0, 1), tokens.flatten()).backward()
            optimizer.step()


class Heads(nn.Module):
    """Two tasks; each step trains one of them."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.heads = nn.ModuleList([nn.Linear(8, 1), nn.Linear(8, 1)])

    def forward(self, inputs: Tensor) -> list[Tensor]:
        return [head(self.body(inputs)) for head in self.heads]


def test_a_head_that_is_idle_in_some_steps() -> None:
    model = Heads()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watched(model):
        for step in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4))[0 if step < 4 else 1].square().mean().backward()
            optimizer.step()


class ActorCritic(nn.Module):
    """The critic judges features that it must not change."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.actor = nn.Linear(8, 2)
        self.critic = nn.Linear(8, 1)

    def forward(self, states: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(states)
        return self.actor(features), self.critic(features.detach())


def test_a_deliberate_detach() -> None:
    model = ActorCritic()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            optimizer.zero_grad()
            logits, value = model(torch.rand(8, 4))
            (logits.log_softmax(1).mean() + functional.mse_loss(value, torch.rand(8, 1))).backward()
            optimizer.step()


def test_a_probe_on_features_under_no_grad() -> None:
    body, head = nn.Linear(4, 8), nn.Linear(8, 2)
    model = nn.ModuleDict({"body": body, "head": head})
    optimizer = torch.optim.SGD(head.parameters(), lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            optimizer.zero_grad()
            with torch.no_grad():
                features = body(torch.rand(8, 4))
            head(features).square().mean().backward()
            optimizer.step()


def test_fine_tuning_in_evaluation_mode_from_the_start() -> None:
    model = net().eval()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()


@pytest.mark.parametrize("shape", [(1,), (8, 1), (8, 3), ()])
def test_losses_in_which_one_operand_alone_grows(shape: tuple[int, ...]) -> None:
    model = nn.Linear(4, 3)
    with watched(model), warnings.catch_warnings(action="ignore"):
        functional.l1_loss(model(torch.rand(8, 4)), torch.rand(shape))


def test_an_adversary_that_moves_its_input_through_a_frozen_model() -> None:
    model = net().eval().requires_grad_(False)
    image = torch.rand(8, 4, requires_grad=True)
    optimizer = torch.optim.SGD([image], lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(image).square().mean().backward()
            optimizer.step()


def test_two_optimizers_for_two_parts_of_one_model() -> None:
    model = net()
    optimizers = [torch.optim.SGD(model[0].parameters(), lr=0.1), torch.optim.SGD(model[1:].parameters(), lr=0.1)]
    with watched(model):
        for _ in range(STEPS):
            model.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            for optimizer in optimizers:
                optimizer.step()


def test_a_model_that_was_trained_before_its_body_was_frozen() -> None:
    model = net()
    model(torch.rand(8, 4)).square().mean().backward()
    model[0].requires_grad_(False)
    optimizer = torch.optim.SGD(model[1:].parameters(), lr=0.1)
    with watched(model):
        for _ in range(STEPS):
            optimizer.zero_grad()
            model(torch.rand(8, 4)).square().mean().backward()
            optimizer.step()


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_losses_over_pairs_that_are_asked_for() -> None:
    model = nn.Linear(4, 5)
    with watched(model):
        quantiles = model(torch.rand(8, 4))
        functional.smooth_l1_loss(quantiles.unsqueeze(2), torch.rand(8, 1, 5)).backward()
        scores = model(torch.rand(8, 4)).mean(1)
        ranked = functional.l1_loss(scores.unsqueeze(1), scores.detach())
        column = scores[:, None]
        (ranked + functional.mse_loss(column, scores.detach(), reduction="none").mean()).backward()
        anchors = model(torch.rand(6, 4)).unsqueeze(1)
        functional.mse_loss(anchors, torch.rand(9, 5))
