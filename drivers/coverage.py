"""What each platform's fences really do, as one page made from the dialects: docs/coverage.md."""

from collections.abc import Iterator, Sequence

from drivers.dialect import Cover, Dialect, Holds, Row
from drivers.items import applies
from drivers.loading import samples

TITLES = {
    "filter_class:fragments": "Filter fragments",
    "filter_class:malformed": "Filter malformed packets",
    "filter_class:odd_protocol": "Filter odd protocols",
    "filter_class:mail": "Filter outbound mail",
    "block_address": "Block an address",
    "cut_guest": "Cut a guest",
    "throttle": "Throttle",
    "quarantine": "Quarantine",
    "shut": "Shut a port",
    "isolate_segment": "Isolate a segment",
    "separate_segment": "Separate a segment",
}
"""Fence kinds in the order of the page, narrowest first."""

_COLUMNS = ("direction", "families", "fragments", "arp", "established", "reload", "note")
_HEADINGS = (
    "Platform",
    "Direction",
    "Address families",
    "Fragments",
    "ARP",
    "Established sessions",
    "After a restart",
    "Mind",
    "Ends on the device",
)
_INTRODUCTION = """\
# What the fences do, platform by platform

Made from the dialects by `cordon dialects coverage`; a test keeps it true. A fence that a platform cannot hold is
refused before anything is sent. "Ends on the device" means that the fence goes by itself when Cordon is dead.
"""


def page(dialects: Sequence[Dialect]) -> str:
    """The whole page, in Markdown."""
    return "\n".join((_INTRODUCTION, *_overview(dialects), *_details(dialects))) + "\n"


def ends_by_itself(dialect: Dialect, kind: str) -> bool:
    """True when a fence of this kind, or all of its entries, carry a time after which the device drops them."""
    rows: list[Row] = []
    for slot, _, want in samples(dialect)[kind]:
        rows += [
            row
            for row in dialect.rows_of(slot)
            if not row.frame and row.holds is Holds.ENTRIES and any(applies(row, entry) for entry in want.entries)
        ]
    return bool(rows) and all(any("{timer}" in line for line in row.set) for row in rows)


def _overview(dialects: Sequence[Dialect]) -> Iterator[str]:
    yield "| Fence | " + " | ".join(dialect.about for dialect in dialects) + " |"
    yield "|---|" + "---|" * len(dialects)
    for kind, title in TITLES.items():
        yield f"| {title} | " + " | ".join("yes" if kind in dialect.cover else "–" for dialect in dialects) + " |"


def _details(dialects: Sequence[Dialect]) -> Iterator[str]:
    for kind, title in TITLES.items():
        yield f"\n## {title}\n"
        yield "| " + " | ".join(_HEADINGS) + " |"
        yield "|" + "---|" * len(_HEADINGS)
        for dialect in dialects:
            if kind in dialect.cover:
                yield _line(dialect, dialect.cover[kind], ends="yes" if ends_by_itself(dialect, kind) else "no")


def _line(dialect: Dialect, cover: Cover, *, ends: str) -> str:
    cells = (getattr(cover, name) or "–" for name in _COLUMNS)
    return "| " + " | ".join((dialect.about, *cells, ends)) + " |"
