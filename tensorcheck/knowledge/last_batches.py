"""The last batch of an epoch, foreseen: which loaders were seen, and how many samples are left over for it."""

from tensorcheck.events.loading import BatchLoaded
from tensorcheck.findings import Related


class SeenLoaders:
    """The loaders whose batches were seen, by how many samples a batch has."""

    def __init__(self) -> None:
        self._batches: list[BatchLoaded] = []

    def saw(self, event: BatchLoaded) -> None:
        """A loader handed out a batch."""
        self._batches.append(event)

    def of_size(self, batch: int) -> BatchLoaded | None:
        """The first loader whose batches have so many samples, and have them along the first dim."""
        return next((each for each in self._batches if self._is_of(each, batch)), None)

    def ending_with(self, left_over: int, batch: int) -> BatchLoaded | None:
        """The first loader of such batches whose last one has so many samples."""
        return next((each for each in self._batches if self._is_of(each, batch) and _left(each) == left_over), None)

    def shorter(self, batch: int) -> BatchLoaded | None:
        """The first loader of such batches whose last one has fewer."""
        return next((each for each in self._batches if self._is_of(each, batch) and _left(each)), None)

    @property
    def single(self) -> BatchLoaded | None:
        """The first loader that hands out one sample at a time."""
        return next((each for each in self._batches if each.loader.batch_size == 1), None)

    def _is_of(self, event: BatchLoaded, batch: int) -> bool:
        firsts = {field.meta.shape[0] for field in event.fields if field.meta.shape}
        return event.loader.batch_size == batch and bool(firsts & {batch})


def _left(event: BatchLoaded) -> int:
    return event.loader.left_over


def loaded_here(event: BatchLoaded) -> tuple[Related, ...]:
    """The line that takes batches from the loader."""
    loader = event.loader
    words = f"{loader.samples} samples of `{loader.dataset}` in batches of {loader.batch_size} come from here"
    return (Related(event.site, words),) if event.site is not None else ()
