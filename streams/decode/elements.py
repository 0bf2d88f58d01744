"""Which fields of NetFlow v9 and IPFIX are read, and what each of them says.

Numbers are IANA's ("IPFIX Information Elements"), which NetFlow v9 shares up to 127 (RFC 3954, 8; RFC 7012).
"""

from collections.abc import Mapping
from enum import IntEnum
from types import MappingProxyType


class Slot(IntEnum):
    """A column of what was read; addresses of IPv6 take two words, the higher first."""

    OCTETS = 0
    PACKETS = 1
    FLOWS = 2
    PROTOCOL = 3
    FLAGS = 4
    SRC_PORT = 5
    DST_PORT = 6
    SRC4 = 7
    DST4 = 8
    SRC6 = 9
    SRC6_LOW = 10
    DST6 = 11
    DST6_LOW = 12
    SRC_MAC = 13
    DST_MAC = 14
    INPUT = 15
    ICMP = 16  # type and code
    ICMP_TYPE = 17
    FRAGMENT_OFFSET = 18
    FRAGMENT_FLAGS = 19
    FORWARDING = 20
    START = 21
    END = 22
    DURATION = 23
    BOOT = 24  # ms since 1970
    SAMPLER = 25
    INTERVAL = 26  # packets of which one is taken; with SPACE: packets taken before SPACE are left out
    SPACE = 27
    SIZE = 28  # of POPULATION packets so many are taken
    POPULATION = 29
    INTERFACE = 30  # that an option is about
    OUTPUT = 31
    BACK_OCTETS = 32  # of a record that tells both directions: what the one who was spoken to sent
    BACK_PACKETS = 33
    BACK_FLAGS = 34
    SECTION = 35  # where the first octets of a sampled packet stand, and how many there are
    SECTION_SIZE = 36
    PACKET_OCTETS = 37  # of that packet, as long as it was


SLOTS = len(Slot)
WIDE = frozenset({Slot.SRC6, Slot.DST6, Slot.SECTION})
"""Slots of two words."""


class Unit(IntEnum):
    """How a time is written."""

    UPTIME_MS = 0  # since the exporter started
    SECONDS = 1
    MILLISECONDS = 2
    NTP = 3  # seconds since 1900 and a fraction of 2^32 (RFC 7011, 6.1.9)
    BEFORE_EXPORT_US = 4
    MICROSECONDS = 5


REVERSE = 29305
"""Enterprise number by which an element is said of the other direction (RFC 5103, 6.1)."""
BACK = 1 << 16
"""Added to the numbers of such elements."""

IP_SECTION = 313
"""The element whose section begins with the IP header; the others' begin with the frame's (RFC 7133, 3)."""

ELEMENTS: Mapping[int, Slot] = MappingProxyType(
    {
        1: Slot.OCTETS, 2: Slot.PACKETS, 3: Slot.FLOWS, 4: Slot.PROTOCOL, 6: Slot.FLAGS,
        7: Slot.SRC_PORT, 8: Slot.SRC4, 10: Slot.INPUT, 11: Slot.DST_PORT, 12: Slot.DST4, 14: Slot.OUTPUT,
        21: Slot.END, 22: Slot.START, 23: Slot.OCTETS, 24: Slot.PACKETS, 27: Slot.SRC6,
        28: Slot.DST6, 32: Slot.ICMP, 34: Slot.INTERVAL, 48: Slot.SAMPLER, 50: Slot.INTERVAL,
        56: Slot.SRC_MAC, 80: Slot.DST_MAC, 85: Slot.OCTETS, 86: Slot.PACKETS,
        88: Slot.FRAGMENT_OFFSET, 89: Slot.FORWARDING, 139: Slot.ICMP, 150: Slot.START, 151: Slot.END,
        152: Slot.START, 153: Slot.END, 154: Slot.START, 155: Slot.END, 156: Slot.START,
        157: Slot.END, 158: Slot.START, 159: Slot.END, 160: Slot.BOOT, 161: Slot.DURATION,
        162: Slot.DURATION, 176: Slot.ICMP_TYPE, 178: Slot.ICMP_TYPE, 180: Slot.SRC_PORT,
        181: Slot.DST_PORT, 182: Slot.SRC_PORT, 183: Slot.DST_PORT, 197: Slot.FRAGMENT_FLAGS,
        231: Slot.OCTETS, 232: Slot.BACK_OCTETS, 299: Slot.BACK_PACKETS, BACK | 1: Slot.BACK_OCTETS,
        BACK | 2: Slot.BACK_PACKETS, BACK | 6: Slot.BACK_FLAGS, BACK | 85: Slot.BACK_OCTETS,
        BACK | 86: Slot.BACK_PACKETS, 252: Slot.INPUT, 298: Slot.PACKETS, 302: Slot.SAMPLER, 305: Slot.INTERVAL,
        306: Slot.SPACE, 309: Slot.SIZE, 310: Slot.POPULATION, 352: Slot.OCTETS, 104: Slot.SECTION,
        224: Slot.PACKET_OCTETS, 312: Slot.PACKET_OCTETS, IP_SECTION: Slot.SECTION, 315: Slot.SECTION,
    }
)  # fmt: skip
"""Element → what it says."""

PREFERRED = (
    1, 2, 85, 86, 231, 298, 352, 23, 24,  # counts as they came in, from the flow's start, of its initiator; after NAT
    152, 153, 154, 155, 156, 157, 150, 151, 22, 21, 158, 159, 161, 162,  # times, the finest that need no other clock
    7, 11, 182, 183, 180, 181, 32, 139, 10, 252, 302, 48, 305, 50, 34, 315, IP_SECTION, 312,
)  # fmt: skip
"""Where a template has several elements that say the same, the first of these is read."""

UNITS: Mapping[int, Unit] = MappingProxyType(
    {
        21: Unit.UPTIME_MS, 22: Unit.UPTIME_MS, 150: Unit.SECONDS, 151: Unit.SECONDS, 152: Unit.MILLISECONDS,
        153: Unit.MILLISECONDS, 154: Unit.NTP, 155: Unit.NTP, 156: Unit.NTP, 157: Unit.NTP,
        158: Unit.BEFORE_EXPORT_US, 159: Unit.BEFORE_EXPORT_US, 161: Unit.MILLISECONDS, 162: Unit.MICROSECONDS,
    }
)  # fmt: skip
"""How the times among them are written."""
