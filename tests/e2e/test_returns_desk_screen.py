"""The transcript keeps its width, its one colour and its words, on a terminal and in a pipe."""

import io

import pytest

from examples.returns_desk.screen import WIDTH, Screen


class Terminal(io.TextIOWrapper):
    def isatty(self) -> bool:
        return True


def drawn(*, is_terminal: bool, has_colour: bool = True) -> str:
    out = io.StringIO()
    screen = Screen(out, is_terminal=is_terminal, has_colour=has_colour)
    screen.line("1  Real work   114 customer cases")
    for done in range(1, 115):
        screen.progress(done, 114, f"{done * 5} calls")
    screen.decided("cancel fatima's order #W8665881, $4,777.75", "DENIED", "own-orders-only", "returns_desk.yaml:31")
    screen.decided("the granted bytes … DENIED before", "RAN", "once", indent=5)
    screen.line("a long line " * 20)
    return out.getvalue()


def test_a_terminal_and_a_pipe_say_the_same_words() -> None:
    on_terminal = drawn(is_terminal=True, has_colour=False).splitlines()
    in_pipe = drawn(is_terminal=False).splitlines()

    assert [line.replace("…", "...") for line in on_terminal if "DENIED" in line] == [
        line for line in in_pipe if "DENIED" in line
    ]
    assert in_pipe[1:5] == [f"   {done}/114   {done * 5} calls" for done in (29, 57, 86, 114)]


@pytest.mark.parametrize("is_terminal", [True, False])
def test_no_line_is_wider_than_the_screen(*, is_terminal: bool) -> None:
    frames = drawn(is_terminal=is_terminal, has_colour=False).replace("\r", "\n").replace("\x1b[K", "").splitlines()

    assert max(map(len, frames)) == WIDTH


def test_a_pipe_gets_ascii_without_escapes() -> None:
    text = drawn(is_terminal=False)

    assert text.isascii()
    assert "\x1b" not in text
    assert "\r" not in text


def test_only_the_decision_word_is_coloured() -> None:
    text = drawn(is_terminal=True)

    coloured = [line for line in text.splitlines() if "\x1b[3" in line]
    assert len(coloured) == 2
    assert "\x1b[31mDENIED\x1b[0m" in coloured[0]
    assert coloured[1].count("\x1b[3") == 1
    assert "\x1b[32mRAN\x1b[0m" in coloured[1]


def test_a_line_after_an_unfinished_bar_begins_on_its_own_line() -> None:
    out = io.StringIO()
    screen = Screen(out, is_terminal=True, has_colour=False)

    screen.progress(1, 2, "half")
    screen.line("stopped")

    assert out.getvalue().endswith("half\x1b[K\nstopped\n")


@pytest.mark.parametrize(
    ("encoding", "environment", "is_plain"),
    [("utf-8", {}, False), ("ascii", {}, True), ("utf-8", {"TERM": "dumb"}, True), ("utf-8", {"NO_COLOR": "1"}, False)],
)
def test_a_terminal_that_cannot_draw_gets_what_a_pipe_gets(
    encoding: str, environment: dict[str, str], *, is_plain: bool
) -> None:
    out = Terminal(io.BytesIO(), encoding=encoding, newline="")
    screen = Screen.on(out, environment)

    screen.progress(1, 2, "half")

    out.seek(0)
    assert ("\r" not in out.read()) is is_plain
