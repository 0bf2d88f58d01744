"""Messages made smaller where they would not fit one, by LZ4: what it takes is a tenth of what zlib takes."""

import struct

import lz4.block

from controller.domain.errors import BadInput

LARGEST = 256 * 1024 * 1024
"""Octets. No message of ours holds more; who claims so has not been written by us."""


def squeezed(raw: bytes, above: int, *, head: bytes = b"") -> bytes:
    """`head`, one octet that says what was done, and these: 1 where they were more than `above`, and were squeezed."""
    return b"".join((head, b"\0", raw) if len(raw) <= above else (head, b"\1", lz4.block.compress(raw)))


def restored(value: bytes | memoryview) -> bytes | memoryview:
    """What `squeezed` was given, where `value` begins behind the head. Raises BadInput."""
    if value[:1] == b"\0":
        return value[1:]
    if value[:1] != b"\1" or len(value) < 5:
        raise BadInput("squeezed in an unknown way")
    if struct.unpack_from("<I", value, 1)[0] > LARGEST:
        raise BadInput("squeezed from more than there can be")
    try:
        return bytes(lz4.block.decompress(value[1:]))
    except lz4.block.LZ4BlockError as error:
        raise BadInput(f"squeezed badly: {error}") from None
