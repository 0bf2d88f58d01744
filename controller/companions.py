"""What a quarantine needs beside its VLAN, judged from what the switch shows. Pure.

A quarantine VLAN in which quarantined hosts reach each other is a place where they infect each other, and one that
leads nowhere is a port that is shut with more words.
"""

from collections.abc import Iterator

from controller.domain.address import Port
from controller.domain.estate import Estate, HostRole, PortRole
from controller.domain.fence import Effect
from controller.domain.sight import Sight
from controller.locating import ports_of

ONWARD = frozenset({PortRole.UPLINK, PortRole.TRUNK})


def lacking(effect: Effect, sight: Sight, estate: Estate) -> tuple[str, ...]:
    """What speaks against moving a port of this device to the VLAN of a quarantine, in words."""
    if effect.vlan is None:
        return ()
    return tuple(_together(effect, sight)) + tuple(_nowhere(int(effect.vlan), sight, estate))


def _together(effect: Effect, sight: Sight) -> Iterator[str]:
    if not effect.isolated and effect.vlan not in sight.secluded:
        yield (
            f"ports in VLAN {effect.vlan} reach each other: it is no private VLAN, and the device protects no port by "
            "itself"
        )


def _nowhere(vlan: int, sight: Sight, estate: Estate) -> Iterator[str]:
    watching = [host for host in estate.site.hosts if host.role is HostRole.FORENSICS]
    if not watching:
        yield "no forensics host stands in the site file: nobody could look at a quarantined host"
        return
    ends = {port for host in watching for port in (*host.ports, *ports_of(host, estate))}
    onward = {port for port, one in estate.interfaces.items() if one.role in ONWARD}
    carrying = {Port(sight.device, name) for name, number in sight.carries if number == vlan}
    carrying |= {Port(sight.device, name) for name in sight.trunks}
    if not carrying & (ends | onward):
        names = ", ".join(host.name for host in watching)
        yield f"VLAN {vlan} leads from {sight.device} to no forensics host ({names}): no uplink there carries it"
