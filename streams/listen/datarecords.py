"""How many data records an IPFIX message holds: what its sequence number counts (RFC 7011, 3.1).

Only that: the lengths of records by template, never what is in them, which is read elsewhere.
"""

import struct

_MESSAGE, _SET, _FIELD, _ENTERPRISE_FIELD = 16, 4, 4, 8
_TEMPLATES, _OPTIONS, _FIRST_DATA = 2, 3, 256
_VARIABLE = 0xFFFF
UNKNOWN = -1

_pair = struct.Struct(">HH").unpack_from


class DataRecords:
    """Remembers how long the records of each template are. At most `most` templates; what would be one more is not."""

    def __init__(self, *, most: int = 16_384) -> None:
        self._most = most
        self._lengths: dict[tuple[int, int, int], int] = {}  # sender, domain, template → octets; UNKNOWN: they vary

    def count(self, sender: int, domain: int, message: memoryview) -> int:
        """Data records in a message; UNKNOWN where a template is, or its records vary in length, or it is cut short."""
        total, at = 0, _MESSAGE
        while at + _SET <= len(message):
            number, length = _pair(message, at)
            if length < _SET or at + length > len(message):
                return UNKNOWN
            if number >= _FIRST_DATA:
                each = self._lengths.get((sender, domain, number), UNKNOWN)
                if each == UNKNOWN:
                    total = UNKNOWN
                elif total != UNKNOWN:
                    total += (length - _SET) // each
            elif number in (_TEMPLATES, _OPTIONS):
                self._learn(sender, domain, message[at + _SET : at + length], options=number == _OPTIONS)
            at += length
        return total

    def _learn(self, sender: int, domain: int, records: memoryview, *, options: bool) -> None:
        at = 0
        while at + 4 <= len(records):
            template, fields = _pair(records, at)
            if template < _FIRST_DATA:  # padding, or all templates withdrawn: what follows says it anew
                return
            if not fields:
                self._lengths.pop((sender, domain, template), None)
                at += 4
                continue
            at += 6 if options else 4
            length = 0
            for _ in range(fields):
                if at + _FIELD > len(records):
                    return
                element, octets = _pair(records, at)
                at += _ENTERPRISE_FIELD if element & 0x8000 else _FIELD
                length = UNKNOWN if octets == _VARIABLE or length == UNKNOWN else length + octets
            key = sender, domain, template
            if key in self._lengths or len(self._lengths) < self._most:
                self._lengths[key] = length or UNKNOWN
