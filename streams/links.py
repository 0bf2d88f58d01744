"""Links that are full, or lose what they should carry, as symptoms of the device they belong to.

A symptom accuses nobody: it starts attribution, which ranks the hosts behind the device by their excess over what is
normal for them. The port of one tenant is no such link: how loud he is, is judged by his own traffic.
"""

from collections.abc import Iterable, Sequence

from controller.domain.address import address_of
from controller.domain.estate import Estate, Interface, PortRole
from controller.domain.rulebook import Attribution
from streams.decode.counters import Link
from streams.reading import bit_rate
from streams.rows import Symptom


def suffering(links: Iterable[Link], exporters: Sequence[str], estate: Estate, rule: Attribution) -> list[Symptom]:
    """What of these links is a symptom; `exporters` are those of the frame."""
    found = []
    for link in links:
        interface = estate.by_if_index.get((address_of(exporters[link.exporter]), link.interface))
        if interface is not None and (interface.role is not PortRole.EDGE or interface.shared):
            found += _symptoms(link, interface, rule)
    return found


def _symptoms(link: Link, interface: Interface, rule: Attribution) -> list[Symptom]:
    name, found = interface.name, []
    if link.use >= rule.link_use:
        text = (
            f"{name} {link.use:.0%} full: {bit_rate(link.in_bits_per_s)} in and {bit_rate(link.out_bits_per_s)} out"
            f" of {bit_rate(link.speed)}"
        )
        found.append(Symptom(interface.device, f"link-full {name}", text, link.receipt_ns))
    if link.discards_per_s >= rule.link_discards_per_s:
        text = f"{name} discards {link.discards_per_s:,.0f} packets/s"
        found.append(Symptom(interface.device, f"link-discards {name}", text, link.receipt_ns))
    if link.errors_per_s >= rule.link_errors_per_s:
        text = f"{name} counts {link.errors_per_s:,.0f} errors/s"
        found.append(Symptom(interface.device, f"link-errors {name}", text, link.receipt_ns))
    return found
