"""`cordon check`: whether what the files say is true, and whether what they name can be reached and heard."""

import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from controller.answering import first_slot
from controller.domain.errors import CordonError
from controller.domain.estate import Estate, SourceFormat
from controller.ledger import Ledger
from controller.ledger_reading import Reading
from controller.settings import Settings, secrets
from drivers.devices import Devices

FRAGMENTS = {
    SourceFormat.GOFLOW2_JSON: (
        "visible with sFlow, or with a NetFlow v9 or IPFIX template that has field 88 or 197; never with NetFlow v5"
    ),
    SourceFormat.PMACCT_JSON: (
        "visible only with aggregate_primitives of field 88, 54 or 197 (nfacctd, pmacctd, uacctd; never sfacctd)"
    ),
    SourceFormat.FASTNETMON_JSON: (
        "visible with sFlow or mirrored traffic; FastNetMon denies them where it hears NetFlow that cannot tell"
    ),
    SourceFormat.DATAGRAMS: (
        "visible with sFlow, or with a NetFlow v9 or IPFIX template that has field 88 or 197; never with NetFlow v5"
    ),
    SourceFormat.SYSLOG: "visible only where a firewall or an IDS names them",
}
"""What each format can show of fragments, from the collectors' documentation and source."""


def sources(estate: Estate, ledger: str) -> Iterator[str]:
    """Per source, whether fragments can be visible at all; per exporter, what a ledger, if given, has heard of it."""
    for source in estate.site.sources:
        yield f"source {source.topic} ({source.format}): fragments are {FRAGMENTS[source.format]}"
    if not ledger:
        return
    book = Ledger.open(ledger)
    try:
        for beat in Reading(book.database).heartbeats():
            for exporter, seen in sorted(beat.exporters.items()):
                shown = "seen" if seen.get("fragments_visible") else "not seen"
                silent = ", silent now" if exporter in beat.silent else ""
                yield f"exporter {exporter}: {seen.get('records', 0)} records, fragments {shown}{silent}"
    finally:
        book.close()


def proofs(ledger: str) -> dict[str, str]:
    """Per device, how fresh the last login is that the controller kept; empty without a ledger."""
    if not ledger:
        return {}
    book, now_ns = Ledger.open(ledger), time.time_ns()  # noqa: TID251 - an adapter: here time comes in
    try:
        return {
            name: f"last login {(now_ns - one.reached_ns) / 3.6e12:.1f} h ago"
            if one.reached_ns
            else f"never logged in: {one.text}"
            for name, one in book.proofs().items()
        }
    finally:
        book.close()


def devices(
    settings: Settings, known_hosts: Path, environment: Mapping[str, str], *, ledger: str, ask: bool
) -> Iterator[tuple[bool, str]]:
    """Per device: what its dialect can hold, when it last let the controller in, and whether it lets us in now.

    False marks what is not well.
    """
    fresh = proofs(ledger)
    estate = settings.estate
    network = Devices(
        estate,
        known_hosts=known_hosts,
        secrets=secrets(estate, environment) if ask else {},
        rehearse=lambda _: True,
    )
    try:
        for name, device in estate.devices.items():
            line = f"device {name} ({device.platform}): holds {', '.join(sorted(network.holds(name)))}"
            line += f"; {fresh[name]}" if name in fresh else ""
            slot = first_slot(estate, name)
            if not ask or slot is None:
                yield True, line
                continue
            begun = time.monotonic()
            try:
                network.device(name).observe(slot)
            except CordonError as error:
                yield False, f"{line}; NOT REACHED: {error}"
                continue
            yield (
                True,
                f"{line}; logged in and answered about {slot.name} in {time.monotonic() - begun:.2f} s, just now",
            )
    finally:
        network.close()
