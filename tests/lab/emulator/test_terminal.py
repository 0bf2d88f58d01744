"""The terminal alone: pager, control keys, secrets."""

import pytest

from deploy.lab.device import Reply
from deploy.lab.faults import Fault, Faults, Kind
from deploy.lab.terminal import MORE, Terminal

PAGES = ("one\ntwo", "three\nfour", "five")


class Scripted:
    """A CLI that answers from a table."""

    mode = "exec"
    prompt = "sw# "

    def __init__(self, replies):
        self._replies = replies

    def greeting(self):
        return "Welcome"

    def line(self, text, *, now):
        return self._replies.get(text, Reply("unknown\n", accepted=False))

    def refusal(self, text):
        return Reply(f"no {text}\n", accepted=False)

    def closed(self):
        pass


def start(replies=None, mode="exec"):
    cli = Scripted(replies or {})
    cli.mode = mode
    screen = []

    async def ask(line):
        return cli.line(line, now=0.0)

    terminal = Terminal(cli, write=screen.append, ask=ask)
    terminal.start()
    screen.clear()
    return terminal, screen


async def shown_after(terminal, screen, keys):
    screen.clear()
    alive = await terminal.feed(keys)
    return alive, "".join(screen)


async def test_space_shows_the_next_page_and_the_prompt_comes_after_the_last():
    terminal, screen = start({"show": Reply(pages=PAGES)})
    assert (await shown_after(terminal, screen, "show\r"))[1].endswith("one\r\ntwo\r\n" + MORE)
    assert (await shown_after(terminal, screen, " "))[1].endswith("three\r\nfour\r\n" + MORE)
    assert (await shown_after(terminal, screen, " "))[1].endswith("five\r\nsw# ")


async def test_return_shows_one_line_and_q_leaves_the_pager():
    terminal, screen = start({"show": Reply(pages=PAGES)})
    await terminal.feed("show\r")
    assert (await shown_after(terminal, screen, "\r"))[1].endswith("three\r\n" + MORE)
    assert (await shown_after(terminal, screen, "\r"))[1].endswith("four\r\n" + MORE)
    assert (await shown_after(terminal, screen, "q"))[1].endswith("sw# ")
    assert "five" not in "".join(screen)


async def test_return_on_the_very_last_line_gives_the_prompt_back():
    terminal, screen = start({"show": Reply(pages=("one", "two"))})
    await terminal.feed("show\n")
    assert (await shown_after(terminal, screen, "\n"))[1].endswith("two\r\nsw# ")


async def test_carriage_return_and_line_feed_together_are_one_return():
    terminal, screen = start({"a": Reply("A\n")})
    assert (await shown_after(terminal, screen, "a\r\na\r\n"))[1] == "a\r\nA\r\nsw# a\r\nA\r\nsw# "


async def test_secret_is_not_echoed():
    terminal, screen = start({"hunter2": Reply("in\n")}, mode="password")
    assert (await shown_after(terminal, screen, "hunter2\n"))[1] == "\r\nin\r\nsw# "


async def test_end_of_transmission_on_an_empty_line_ends_the_session():
    terminal, screen = start({"a": Reply()})
    assert (await shown_after(terminal, screen, "\x04"))[0] is False
    assert (await shown_after(terminal, screen, "a\x04"))[0] is True


async def test_control_z_reaches_the_device_with_the_line():
    terminal, screen = start({"end\x1a": Reply("left\n")})
    assert "left" in (await shown_after(terminal, screen, "end\x1a"))[1]


async def test_arrow_keys_leave_no_rubbish_in_the_line():
    terminal, screen = start({"ab": Reply("fine\n")})
    assert "fine" in (await shown_after(terminal, screen, "a\x1b[Ab\n"))[1]


async def test_kill_line_empties_the_line():
    terminal, screen = start({"b": Reply("fine\n")})
    assert "fine" in (await shown_after(terminal, screen, "aaa\x15b\n"))[1]


def test_fault_strikes_as_often_as_it_was_told():
    faults = Faults()
    faults.add(Fault(Kind.REFUSE, "^set", times=2))
    assert [faults.strike(line).kind for line in ("set a", "get a", "set b", "set c")] == [
        Kind.REFUSE,
        None,
        Kind.REFUSE,
        None,
    ]


def test_delays_add_up_and_the_first_failure_wins_without_using_up_the_second():
    faults = Faults()
    for fault in (
        Fault(Kind.SLOW, seconds=1.0),
        Fault(Kind.DROP, "x", times=1),
        Fault(Kind.HANG, "x", times=1),
        Fault(Kind.SLOW, "x", seconds=0.5),
    ):
        faults.add(fault)
    assert (faults.strike("x").kind, faults.strike("x").kind, faults.strike("x").kind) == (Kind.DROP, Kind.HANG, None)
    assert faults.strike("x").delay == 1.5


@pytest.mark.parametrize(("pattern", "times"), [("(", None), ("x", 0)])
def test_broken_pattern_and_a_count_of_none_are_refused(pattern, times):
    with pytest.raises(ValueError, match="fault"):
        Fault(Kind.DROP, pattern, times=times)
