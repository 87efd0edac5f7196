"""TCK433."""

from collections.abc import Iterator

from tensorcheck.events.gradients import CutKind, GradientsLost
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.knowledge.lost_gradients import backward_at, got, is_adversarial, without_cut
from tensorcheck.knowledge.parameter_names import listed_parameters
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits, short


class GeneratorWithoutGradient(Rule[GradientsLost]):
    """Of two networks that are trained in turns one gets no gradient in its own turn: what it made was cut off.

    ## What it does
    Finds an optimizer none of whose parameters got a gradient, while another takes turns with it and does train. The
    line that cut the output of the first network off, before the second judged it, is named.

    ## Why it matters
    Nothing raises, for the critic's parameters have a gradient. The critic's loss falls to nothing, since the generator
    stays as it was initialised. Detaching what it made is right in the critic's turn, and wrong in its own.

    ## Example
    ```python
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    of_generator = torch.optim.SGD(generator.parameters(), lr=0.1)
    of_critic = torch.optim.SGD(critic.parameters(), lr=0.1)
    with tensorcheck.watch(generator, critic) as watch:
        for _ in range(4):
            fake = generator(torch.rand(8, 2)).detach()
            of_critic.zero_grad()
            (critic(fake) - critic(torch.rand(8, 4))).mean().backward()
            of_critic.step()
            of_generator.zero_grad()
            critic(fake).neg().mean().backward()
            of_generator.step()
    ```

    ## Use instead
    ```python
    generator, critic = nn.Linear(2, 4), nn.Linear(4, 1)
    of_generator = torch.optim.SGD(generator.parameters(), lr=0.1)
    of_critic = torch.optim.SGD(critic.parameters(), lr=0.1)
    with tensorcheck.watch(generator, critic) as watch:
        for _ in range(4):
            fake = generator(torch.rand(8, 2))
            of_critic.zero_grad()
            (critic(fake.detach()) - critic(torch.rand(8, 4))).mean().backward()
            of_critic.step()
            of_generator.zero_grad()
            critic(fake).neg().mean().backward()
            of_generator.step()
    ```
    """

    code = "TCK433"
    name = "generator-without-gradient"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: GradientsLost) -> Iterator[Finding]:
        """Report where its output was cut off."""
        if not is_adversarial(event):
            return
        operation, is_off = event.cut.operation, event.cut.kind is CutKind.SWITCHED_OFF
        site = (operation.grad_off if is_off else None) or operation.site
        by = short(site.code) if site is not None else operation.name
        used = () if event.step_site is None else (Related(event.step_site, "its optimizer steps here all the same"),)
        yield self.finding(
            first_that_fits(
                f"`{event.model}` gets no gradient in its own turn: `{by}` cuts it off",
                f"`{event.model}` gets no gradient in its own turn",
                "a network gets no gradient in its own turn",
            ),
            label="gradients are off here" if is_off else f"`{operation.name}` cuts it off here",
            expected=f"the loss before the step of this `{event.optimizer}` leads back to what it holds",
            got=got(event),
            site=site,
            related=(*backward_at(event), *used),
            notes=(f"never learns: {listed_parameters(event.cut.names, event.kinds)}",),
            help=without_cut(operation.site) if not is_off and operation.site is not None else "",
        )
