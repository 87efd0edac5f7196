"""What is known of a module and its parameters, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor


@dataclass(frozen=True, slots=True)
class ModuleMeta:
    """One module of a watched model.

    >>> head = ModuleMeta("head", "Linear", settings={"in_features": 784, "out_features": 10})
    >>> print(head)
    `head` (Linear)
    """

    path: str
    """Dotted, from the watched model, which itself is the empty string."""
    kind: str
    """The name of its class."""
    settings: Mapping[str, object] = field(default_factory=dict)
    """The plain attributes it was configured with: numbers, booleans, strings and tuples of them."""
    parameters: tuple[NamedTensor, ...] = ()
    """Its own parameters, not those of its children, by their attribute names."""
    buffers: tuple[NamedTensor, ...] = ()
    """Its own buffers, likewise."""
    is_builtin: bool = False
    """Whether the class is one of `torch.nn` itself, so that its settings mean what PyTorch documents."""
    definition: Site | None = None
    """The line of its parent's class that made it, such as `self.head = nn.Linear(784, 10)`."""
    inherits: str = ""
    """The class of `torch.nn` whose `forward` it runs, if its own class is a user's and leaves that as it is."""

    @property
    def layer(self) -> str:
        """The layer of `torch.nn` that it is or computes as; empty where it is none.

        >>> ModuleMeta("head", "MyLinear", inherits="Linear").layer
        'Linear'
        """
        # A layer whose weight is parametrized, as by spectral normalisation, is of a class made for it.
        return self.kind.removeprefix("Parametrized") if self.is_builtin else self.inherits

    @property
    def title(self) -> str:
        """The path in backquotes, or the class where it is the watched model itself.

        >>> ModuleMeta("", "Digits").title
        '`Digits`'
        """
        return f"`{self.path or self.kind}`"

    def __str__(self) -> str:
        return f"{self.title} ({self.kind})" if self.path else self.title


@dataclass(frozen=True, slots=True)
class LoaderMeta:
    """How a DataLoader was built.

    >>> LoaderMeta(batch_size=32, length=50, drop_last=False, workers=2, dataset="DigitsDataset").batch_size
    32
    """

    batch_size: int | None
    length: int | None
    """Batches in an epoch; None where the dataset does not know."""
    drop_last: bool
    workers: int
    dataset: str
    """The name of the class that makes the samples, below any subset of it."""
    item_site: Site | None = None
    """The expression that its `__getitem__` returns, where there is just one."""
    samples: int | None = None
    """How many samples an epoch has, where the sampler knows."""

    @property
    def left_over(self) -> int:
        """How many samples the last batch of an epoch has, where it has fewer than the others and is handed out.

        >>> LoaderMeta(batch_size=32, length=4, drop_last=False, workers=0, dataset="Digits", samples=97).left_over
        1
        """
        if self.drop_last or not self.batch_size or self.samples is None or self.samples < self.batch_size:
            return 0
        return self.samples % self.batch_size
