"""TCK512."""

from collections.abc import Iterator

from tensorcheck.events.passes import WorkersAlike
from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.rule import Rule
from tensorcheck.wording import first_that_fits


class SameWorkerSeed(Rule[WorkersAlike]):
    """All workers of a DataLoader draw the same random numbers, or hand out the same samples.

    ## What it does
    Looks at loaders with several workers for an `IterableDataset` whose workers give the same batches, for a generator
    that the dataset holds and draws from, and for a `worker_init_fn` that seeds with a constant.

    ## Why it matters
    Each worker is a copy of the dataset. A stream that is not divided is handed out once by each, so an epoch has every
    sample several times. A generator is copied with its state, so all workers make the same random crops and noise, and
    the same again in every epoch. The training sees far fewer different samples than it seems to.

    ## Example
    ```python
    class Squares(torch.utils.data.IterableDataset):
        def __iter__(self):
            for number in range(64):
                yield torch.tensor([float(number**2)])

    model = nn.Linear(1, 1)
    with tensorcheck.watch(model) as watch:
        for batch in torch.utils.data.DataLoader(Squares(), batch_size=16, num_workers=2):
            model(batch)
    ```

    ## Use instead
    ```python
    class Squares(torch.utils.data.IterableDataset):
        def __iter__(self):
            worker = torch.utils.data.get_worker_info()
            for number in range(worker.id, 64, worker.num_workers):
                yield torch.tensor([float(number**2)])

    model = nn.Linear(1, 1)
    with tensorcheck.watch(model) as watch:
        for batch in torch.utils.data.DataLoader(Squares(), batch_size=16, num_workers=2):
            model(batch)
    ```

    ## Limits
    The generators of `random`, `torch` and NumPy are seeded for each worker by PyTorch itself and are fine to use. A
    generator that a method of the dataset seeds anew is silent, and so is one beside a `worker_init_fn`. Of streams the
    first batches are compared, on the CPU; batches with few different values may be equal by chance and are silent.
    """

    code = "TCK512"
    name = "same-worker-seed"
    severity = Severity.WARNING
    since = "0.1.0"

    def check(self, event: WorkersAlike) -> Iterator[Finding]:
        """Say what is alike, and what to do about it."""
        site = event.made or event.site
        is_elsewhere = event.site is not None and event.site != site
        yield self.finding(
            first_that_fits(_HEADLINES[event.fault].format(event=event), _SHORTER[event.fault].format(event=event)),
            label=_LABELS[event.fault],
            expected=_EXPECTED[event.fault],
            got=_GOT[event.fault].format(event=event),
            site=site,
            related=(Related(event.site, "its workers are started here"),) if is_elsewhere and event.site else (),
            help=_HELP[event.fault].format(event=event),
        )


_HEADLINES = {
    "same stream": "`{event.dataset}` gives the same samples in all {event.workers} workers",
    "same generator": "`{event.what}` of `{event.dataset}` is in the same state in all {event.workers} workers",
    "same seed": "`{event.what}` seeds all {event.workers} workers alike",
}
_SHORTER = {
    "same stream": "the dataset gives the same samples in all {event.workers} workers",
    "same generator": "a generator is in the same state in all {event.workers} workers",
    "same seed": "`worker_init_fn` seeds all {event.workers} workers alike",
}
_LABELS = {
    "same stream": "each worker gives all",
    "same generator": "copied into each worker",
    "same seed": "a constant",
}
_EXPECTED = {
    "same stream": "each sample once in an epoch",
    "same generator": "other random numbers in each worker",
    "same seed": "another seed in each worker",
}
_GOT = {
    "same stream": "each sample {event.workers} times    once by each worker",
    "same generator": "the same random numbers {event.workers} times    and again in each epoch",
    "same seed": "the same seed {event.workers} times    and again in each epoch",
}
_HELP = {
    "same stream": "info = get_worker_info()    and give every info.num_workers-th sample from info.id on",
    "same generator": "rng = np.random.default_rng([torch.initial_seed() % 2**32, index])    in place of {event.what}",
    "same seed": "np.random.seed(torch.initial_seed() % 2**32)    or none: PyTorch seeds each worker itself",
}
