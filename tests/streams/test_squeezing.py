"""What is squeezed comes back, and what was never squeezed is refused without room being made for it."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from controller.domain.errors import BadInput
from streams.squeezing import restored, squeezed


@given(some.binary(max_size=300), some.integers(0, 300))
def test_octets_come_back_as_they_were(raw: bytes, above: int) -> None:
    value = squeezed(raw, above)
    assert value[0] == (len(raw) > above)
    assert restored(value) == raw


@pytest.mark.parametrize(
    "value", [b"", b"\1", b"\2abc", b"\1\xff\xff\xff\xffabcdefgh", squeezed(b"a" * 500, 1)[:-3]], ids=repr
)
def test_what_was_never_squeezed_is_refused(value: bytes) -> None:
    with pytest.raises(BadInput, match="squeezed"):
        restored(value)
