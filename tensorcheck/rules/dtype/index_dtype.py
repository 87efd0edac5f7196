"""TCK103."""

import re
from collections.abc import Iterator

from tensorcheck.calls import FailedCall, Operand, Setting
from tensorcheck.contracts import contract_of
from tensorcheck.events.crash import Crashed
from tensorcheck.findings import Finding, Severity
from tensorcheck.fixes import ChangeSetting, Fix
from tensorcheck.knowledge.dtypes import castings, dtype_places, named_in
from tensorcheck.knowledge.index_operands import Role, has_byte_indices, index_operands
from tensorcheck.lineage_wording import written
from tensorcheck.rule import Rule
from tensorcheck.wording import (
    expectation,
    first_that_fits,
    floored,
    how_it_got_here,
    label_for,
    short,
    subject,
    titled,
)

_IS_ABOUT_INDICES = re.compile(
    r"'indices' to have one of the following scalar types|tensors used as indices must be|are valid indices|"
    r"for index\b|dtype of indices|index tensor of type|\"bincount_cpu\" not|\"repeat_interleave_cpu\" not|"
    r"can be converted to an index|indices should be type|to be a boolean tensor|supports boolean masks|"
    r"expected BoolTensor for mask|_mask are supported|The shape of the mask|slice indices must be integers"
)
_WHOLE = ("int64", "int32")
_MASKED_TOO = ("getitem", "setitem")


class IndexDtype(Rule[Crashed]):
    """Indices are not integers, or a mask is not bool.

    ## What it does
    Explains the exception of an embedding, of an indexing and of the functions that pick by index or mask (`gather`,
    `scatter`, `index_select`, `masked_fill`, `one_hot`, …) when that tensor has a dtype that can't be an index: which
    expression it is and where it got its dtype.

    ## Why it matters
    `torch.Tensor([1, 2])`, a division with `/` and a column of a float table all give floats that look like integers
    when printed. An index of dtype uint8 is taken for a mask, and the message then is about shapes.

    ## Example
    ```python
    model = nn.Embedding(10, 4)
    tokens = torch.Tensor([1, 2, 3])
    with tensorcheck.watch(model) as watch:
        model(tokens)
    ```

    ## Use instead
    ```python
    model = nn.Embedding(10, 4)
    tokens = torch.tensor([1, 2, 3])
    with tensorcheck.watch(model) as watch:
        model(tokens)
    ```
    """

    code = "TCK103"
    name = "index-dtype"
    severity = Severity.ERROR
    since = "0.1.0"

    def check(self, event: Crashed) -> Iterator[Finding]:
        """Look for the operand that is to be an index and can't be one."""
        call = event.call
        if call is None or event.loading is not None or not _IS_ABOUT_INDICES.search(event.message):
            return
        guilty = next(
            ((operand, role) for operand, role in index_operands(call) if _is_wrong(call, operand, role)), None
        )
        number = call.setting("index")
        if guilty is not None:
            yield self._found(event, call, *guilty)
        elif number is not None and isinstance(number.value, float):
            yield self._number(event, call, number)
        elif "slice indices" in event.message and call.first is not None:
            yield self._sliced(event, call.first)
        elif not any(True for _ in index_operands(call)):
            yield from self._told(event, call)

    def _found(self, event: Crashed, call: FailedCall, guilty: Operand, role: Role) -> Finding:
        wanted, meta = _WANTED[role], guilty.meta
        fixes = tuple(castings(guilty, wanted))
        headline = _headline(call, guilty, role)
        spec = f"{wanted}[{', '.join(map(str, meta.shape))}]"

        return self.finding(
            headline,
            label=label_for(headline, str(meta), meta.notation),
            expected=expectation(spec, call.module) if call.module is not None else spec,
            got=meta.notation,
            site=guilty.site or event.site,
            module=event.modules[-1].path if event.modules else None,
            related=dtype_places(guilty),
            notes=("an index of dtype uint8 is taken for a mask",) if "shape of the mask" in event.message else (),
            path=how_it_got_here(event.calls),
            help=next((fix.help for fix in fixes), ""),
            fixes=fixes,
        )

    def _number(self, event: Crashed, call: FailedCall, number: Setting) -> Finding:
        """A number in the brackets that a division made a float."""
        code = number.site.code if number.site is not None else number.name
        indexed = f"`{short(call.first.spelled)}` is" if call.first is not None else "a tensor is"
        headline = f"{indexed} indexed with {number.value}, a float"
        whole = floored(code)
        return self.finding(
            headline,
            label=f"{number.value}, a float",
            expected="int",
            got=f"float {number.value}",
            site=number.site or event.site,
            related=written(number.lineage, number.value),
            fixes=(Fix(whole, (ChangeSetting("index", int(float(str(number.value)))),)),),
        )

    def _sliced(self, event: Crashed, sliced: Operand) -> Finding:
        """A slice with an end that is no integer, which a division most often made."""
        headline = f"`{short(sliced.spelled)}` is sliced with a number that is no integer"
        return self.finding(
            headline,
            label=label_for(headline, str(sliced.meta), sliced.meta.notation),
            expected="int:int",
            got=event.site.code if event.site is not None else "",
            site=event.site,
            notes=("likely: `/` gives a float, where `//` gives an integer",),
        )

    def _told(self, event: Crashed, call: FailedCall) -> Iterator[Finding]:
        """An index whose value is gone: its dtype as the message has it."""
        came = [dtype for dtype in named_in(event.message.split("but got")[-1]) if dtype not in _WHOLE]
        if came and call.unread and "but got" in event.message:
            site = call.unread[-1]
            role: Role = "mask" if "bool" in event.message.lower() else "indices"
            yield self.finding(
                f"`{short(site.code)}` is {came[-1]} but `{call.function}` takes {_WORDS[role]}",
                expected=_WANTED[role],
                got=came[-1],
                site=site,
            )


_WANTED = {"indices": "int64", "mask": "bool"}
_WORDS = {"indices": "integer indices", "mask": "a bool mask"}


def _is_wrong(call: FailedCall, operand: Operand, role: Role) -> bool:
    """Whether a tensor can't be used so; what is in brackets may be a mask too."""
    if operand.meta.dtype == "uint8" and call.function in _MASKED_TOO:
        return has_byte_indices(call)
    if call.function in _MASKED_TOO:
        return operand.meta.dtype not in (*_WHOLE, "int16", "int8", "bool")
    return operand.meta.dtype != _WANTED[role]


def _headline(call: FailedCall, guilty: Operand, role: Role) -> str:
    dtype, name = guilty.meta.dtype, short(guilty.spelled)
    if call.function in _MASKED_TOO:
        indexed = next((each for each in call.operands if each.place == "self"), None)
        whole = short(indexed.spelled) if indexed is not None else ""
        return first_that_fits(
            *([f"`{whole}` is indexed with {dtype} `{name}`"] if whole else []), f"`{name}` is {dtype}, no index"
        )
    first = titled(call.module) if call.module is not None else subject(call, None)
    takes = f"but takes {_WORDS[role]}"
    is_main = contract_of(call.module) is not None and guilty is call.first
    named = [f"{first} got {dtype} `{name}` {takes}"] if guilty.site is not None and not is_main else []
    role_of = [f"{first} got {dtype} `{guilty.name}` {takes}"] if call.kind == "layer" and not is_main else []
    return first_that_fits(*role_of, *named, f"{first} got {dtype} {takes}")
