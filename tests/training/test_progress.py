import io
import re

import pytest
from rich.console import Console

from tensorcheck.training import classification_metrics
from tensorcheck.training.progress import showing_progress
from tests.training.setups import Setup


def shown(setup: Setup, *, is_terminal: bool, resume: str | None = None) -> str:
    console = Console(file=io.StringIO(), force_terminal=is_terminal, width=160)
    with showing_progress(console) as progress:
        setup.fit(epochs=3, callbacks=[progress], metrics=classification_metrics(4), resume=resume)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_gets_a_bar_with_loss_accuracy_and_learning_rate(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    output = shown(setup, is_terminal=True)
    assert re.search(r"epoch 3/3 +loss \d\.\d{4} +validation \d\.\d{4} +accuracy \d\.\d{4} +lr 0\.05", output)
    assert "21/21" in output
    assert "0:00:00" in output


def test_another_output_gets_a_plain_line_an_epoch(setup: Setup) -> None:
    lines = shown(setup, is_terminal=False).splitlines()
    assert len(lines) == 3
    line = r"epoch 1/3  loss \d\.\d{4}  validation \d\.\d{4}  accuracy \d\.\d{4}  lr 0\.05  \d+\.\d s"
    assert re.fullmatch(line, lines[0])


def test_the_bar_is_taken_down_where_the_training_breaks_off(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    console = Console(file=io.StringIO(), force_terminal=True)
    with pytest.raises(ZeroDivisionError), showing_progress(console) as progress:
        setup.fit(callbacks=[progress], loss_fn=lambda *_: 1 / 0)
    assert not console._live_stack
