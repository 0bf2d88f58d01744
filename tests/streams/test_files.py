"""Lines become frames of many records; a file may still be growing, and a line may be cut anywhere by a read."""

import gzip
import io
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from streams.files import LINE, Lines, close, frames, opened


class Dribble:
    """Gives a few bytes at a time."""

    def __init__(self, text: bytes, step: int) -> None:
        self._file, self._step = io.BytesIO(text), step

    def read1(self, size: int = -1) -> bytes:
        return self._file.read(min(self._step, size))


@given(st.lists(st.binary(max_size=30).filter(lambda line: b"\n" not in line)), st.integers(1, 50))
@settings(deadline=None, derandomize=True)
def test_lines_come_whole_however_the_bytes_are_cut(given_lines: list[bytes], step: int) -> None:
    lines, found = Lines(Dribble(b"\n".join(given_lines), step)), []
    while not lines.ended:
        found += lines.read()
    assert found + lines.rest() == [*given_lines[:-1], *filter(None, given_lines[-1:])]


def test_a_frame_holds_many_lines_but_no_more_than_fit() -> None:
    lines = [b"%d" % number for number in range(2500)]
    made = list(frames(lines))
    assert [frame.count(b"\n") + 1 for frame in made] == [1000, 1000, 500]
    assert b"\n".join(made).split(b"\n") == lines
    assert [len(frame) for frame in frames([b"x" * 400_000] * 3)] == [400_000] * 3


def test_empty_lines_and_line_ends_of_windows_are_left_out() -> None:
    assert list(frames([b"a\r", b"", b"\r", b"b"])) == [b"a\nb"]


def test_a_line_of_ten_megabytes_is_cut_to_what_a_message_can_hold() -> None:
    [frame] = frames([b"x" * 10_000_000])
    assert len(frame) == LINE


def test_a_file_that_grows_is_followed_and_its_unfinished_line_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\ntw")
    source = opened(path)
    lines = Lines(source)
    assert lines.read() == [b"one"]
    assert (lines.read(), lines.ended) == ([], True)
    with path.open("ab") as more:
        more.write(b"o\nthree\n")
    assert (lines.read(), lines.ended) == ([b"two", b"three"], False)
    close(source)


def test_a_compressed_file_is_read_as_the_lines_in_it(tmp_path: Path) -> None:
    path = tmp_path / "log.gz"
    path.write_bytes(gzip.compress(b"one\ntwo"))
    source = opened(path)
    lines = Lines(source)
    found = lines.read()
    while not lines.ended:
        found += lines.read()
    close(source)
    assert found + lines.rest() == [b"one", b"two"]
