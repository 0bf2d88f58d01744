"""NetFlow version 5 (Cisco, "NetFlow Export Datagram Format"): what its records would be with a template."""

from streams.decode.layouts import Layout

VERSION = 5
HEADER, RECORD = 24, 48
"""Octets."""

_FIELDS = (
    (8, 4), (12, 4), (15, 4), (10, 2), (14, 2), (2, 4), (1, 4), (22, 4), (21, 4), (7, 2), (11, 2), (-1, 1), (6, 1),
    (4, 1), (5, 1), (16, 2), (17, 2), (9, 1), (13, 1), (-1, 2),
)  # fmt: skip

LAYOUT = Layout(tuple(element for element, _ in _FIELDS), tuple(length for _, length in _FIELDS))
