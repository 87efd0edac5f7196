"""Hypothesis strategies for the plain facts: any that the types allow, with hostile text among it."""

from typing import TypeVar

from hypothesis import strategies as st

from tensorcheck.findings import Finding, Related, Severity
from tensorcheck.record import Coverage, Environment, Record, Skipped
from tensorcheck.sites import Site
from tensorcheck.tensors import NamedTensor, TensorMeta

T = TypeVar("T")

HOSTILE = (
    "<script>alert(1)</script>",
    "</style></title><img src=x onerror=alert(1)>",
    "\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07",
    "[bold red]markup[/]",
    "{{ 7 * 7 }}{% raw %}",
    "'\"&amp;`",
    "left \u202etfel",
    "line\nline\r\ttab",
    "模型e\u0301👩\u200d👩\u200d👧",
    "word" * 60,
)
NO_SURROGATES = st.characters(exclude_categories=["Cs"])


def texts() -> st.SearchStrategy[str]:
    """Text as a user's names may hold it; file names may even hold halves of surrogate pairs."""
    return st.text(st.characters(), max_size=12) | st.sampled_from(HOSTILE)


def codes() -> st.SearchStrategy[str]:
    """Source code and module paths, which Python reads from valid UTF-8."""
    return st.text(NO_SURROGATES, max_size=12) | st.sampled_from(HOSTILE)


@st.composite
def sites(draw: st.DrawFn) -> Site:
    """Places with columns that lie in their source line, with columns but no source line, or without columns."""
    source = draw(codes())
    column = draw(st.integers(0, len(source)))
    end_column = draw(st.integers(column + 1, len(source) + 1)) if column else 0
    return Site(
        file=draw(texts()),
        line=draw(st.integers(0, 100_000)),
        column=column,
        end_column=end_column,
        code=draw(codes()),
        source=draw(st.sampled_from([source, ""])),
        function=draw(codes()),
    )


def tensor_metas() -> st.SearchStrategy[TensorMeta]:
    """Any tensor's metadata."""
    return st.builds(
        TensorMeta,
        shape=st.lists(st.integers(0, 4096), max_size=5).map(tuple),
        dtype=st.sampled_from(["float32", "float64", "bfloat16", "float16", "int64", "uint8", "bool", "complex64"]),
        device=st.sampled_from(["cpu", "meta", "cuda:0", "mps"]),
        requires_grad=st.booleans(),
        is_leaf=st.booleans(),
    )


def named_tensors() -> st.SearchStrategy[NamedTensor]:
    """Any tensor under any name."""
    return st.builds(NamedTensor, name=texts(), meta=tensor_metas())


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    """Findings of rules that need not exist."""
    first, last = sorted(draw(st.tuples(st.integers(0, 10_000), st.integers(0, 10_000))))
    return Finding(
        rule=f"TCK{draw(st.integers(0, 999)):03}",
        name=draw(st.from_regex(r"[a-z]{1,12}(-[a-z]{1,12})?", fullmatch=True)),
        severity=draw(st.sampled_from(Severity)),
        headline=draw(texts().filter(bool)),
        label=draw(texts() | tensor_metas().map(str)),
        expected=draw(texts() | tensor_metas().map(lambda meta: meta.notation)),
        got=draw(texts() | tensor_metas().map(lambda meta: f"{meta.notation}  {meta.device}")),
        site=draw(st.none() | sites()),
        module=draw(st.none() | codes()),
        related=draw(_tuples(st.builds(Related, site=sites(), note=texts()))),
        notes=draw(_tuples(texts())),
        path=draw(_tuples(texts() | named_tensors().map(str))),
        help=draw(texts()),
        tried=draw(st.sampled_from(["", "passed"])),
        count=draw(st.integers(1, 10_000)),
        first_step=first,
        last_step=last,
    )


def records() -> st.SearchStrategy[Record]:
    """Any session's outcome."""
    return st.builds(
        Record,
        version=texts(),
        command=texts(),
        environment=st.builds(Environment, torch=texts(), python=texts(), devices=_tuples(texts())),
        findings=_tuples(findings()),
        coverage=coverages(),
    )


def coverages() -> st.SearchStrategy[Coverage]:
    """Any coverage."""
    return st.builds(
        Coverage,
        models=st.integers(0, 9),
        steps=st.integers(0, 100_000),
        traced=st.integers(0, 9),
        experiments=_tuples(texts()),
        skipped=_tuples(st.builds(Skipped, what=texts(), why=texts())),
        cost=st.none() | st.floats(0, 1),
    )


def _tuples(elements: st.SearchStrategy[T]) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(elements, max_size=2).map(tuple)
