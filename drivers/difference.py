"""What has to be sent to take a slot from what it holds to what is wanted, or why it cannot be: pure."""

import re
from dataclasses import replace

from controller.domain.crossing import Passage, Separation
from controller.domain.fence import SlotKind, SlotState
from drivers.dialect import Dialect, Holds
from drivers.items import applies, items_of, lets_pass
from drivers.read import Reading
from drivers.render import lines, seated

_ROW_OF = {
    "vlan": Holds.VLAN,
    "enabled": Holds.SHUT,
    "rate_bps": Holds.RATE,
    "isolated": Holds.ISOLATED,
    "separation": Holds.WALL,
}


def unsupported(dialect: Dialect, kind: SlotKind, want: SlotState, have: SlotState, vlans: frozenset[int]) -> str:
    """Why this platform cannot take the slot from `have` to `want`; empty when it can."""
    holds = {row.holds for row in dialect.rows_of(kind)}
    changed = want.differs(have)
    for attribute in changed:
        if attribute in _ROW_OF and _ROW_OF[attribute] not in holds:
            return f"{dialect.platform} cannot hold {attribute} in a {kind}"
    if "vlan" in changed:
        if have.vlan is None:
            return "the port is not an access port with a VLAN of its own"
        if want.vlan is not None and dialect.vlans is not None and want.vlan not in vlans:
            return f"VLAN {want.vlan} does not exist on the device, or is not active there"
    if "enabled" in changed and None in (want.enabled, have.enabled):
        return "whether the port is closed was not asked"
    rates = {want.rate_bps} - {have.rate_bps} | {one.rate_bps for one in want.entries - have.entries}
    for rate in sorted(rates - {None}, key=str):
        if problem := _rate(dialect, rate):
            return problem
    for entry in sorted(want.entries - have.entries, key=lambda one: one.sort_key()):
        rows = [row for row in dialect.rows_of(kind) if not row.frame and applies(row, entry)]
        if not rows:
            subject = f"segment {entry.segment}" if entry.segment else str(entry.source or "any source")
            return f"{dialect.platform} cannot {entry.action} {entry.traffic} of {subject} in a {kind}"
    if want.separation is not None and (problem := _separation(dialect, kind, want.separation)):
        return problem
    return _together(dialect, kind, want)


def _separation(dialect: Dialect, kind: SlotKind, want: Separation) -> str:
    rows = dialect.rows_of(kind)
    for passage in sorted(want.passages, key=Passage.sort_key):
        if not any(lets_pass(dialect, row, passage) for row in rows):
            return f"{dialect.platform} cannot let pass {passage}"
    for name in sorted(want.inside):
        if not re.fullmatch(dialect.interface, name):
            return f"not an interface of {dialect.platform}: {name!r}"
    return ""


def _rate(dialect: Dialect, rate: int | None) -> str:
    limits = dialect.rate
    if rate is None or limits is None:
        return "the dialect holds no rates"
    if not limits.min_bps <= rate <= limits.max_bps or rate % limits.step_bps:
        return (
            f"{rate} bit/s is not a rate that the device can hold: {limits.min_bps} to {limits.max_bps} "
            f"in steps of {limits.step_bps}"
        )
    return ""


def _together(dialect: Dialect, kind: SlotKind, want: SlotState) -> str:
    names = {item.row for item in items_of(dialect, kind, want)}
    for row in dialect.rows_of(kind):
        if row.name in names and (clash := sorted(names & set(row.without))):
            return f"{dialect.platform} cannot hold {row.name} together with {clash[0]} in one {kind}"
    return ""


def foreign_in_the_way(foreign: tuple[str, ...], want: SlotState, have: SlotState) -> str:
    """The first foreign thing that stands where something would be put; empty when none does.

    What Cordon takes away is its own, and nobody else's configuration is in the way of that.
    """
    places = {name for name in want.differs(have) if name != "entries"}
    places -= {name for name in ("rate_bps", "separation") if getattr(want, name) is None}
    for entry in want.entries - have.entries:
        places |= {"entries", f"entries.{entry.traffic}", f"entries.{entry.action}"}
    return next((one for one in foreign if places & set(one.partition(": ")[0].split("/"))), "")


def both_ways(
    dialect: Dialect, kind: SlotKind, reading: Reading, want: SlotState, *, left_s: int | None
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Lines to `want` and lines back to what was read; the same function in two directions. Raises BadInput."""
    rows = {row.name: row for row in dialect.rows_of(kind)}
    held = reading.items
    wanted = seated(dialect, rows, items_of(dialect, kind, want), held, reading.taken)
    timed = [replace(item, left_s=want.expires_s) for item in wanted]
    return (
        lines(dialect, reading.place, rows, held=held, wanted=wanted, expires_s=want.expires_s),
        lines(dialect, reading.place, rows, held=timed, wanted=held, expires_s=left_s),
    )
