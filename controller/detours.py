"""Ways around a segment's own firewall: from the site file, and from what devices show. Pure."""

from collections.abc import Iterable, Iterator

from controller.domain.address import Port, lies_in
from controller.domain.crossing import within
from controller.domain.estate import Estate, Host, PortRole, Segment
from controller.domain.sight import Sight
from controller.locating import ports_of


def detours(segment: Segment, estate: Estate, sights: Iterable[Sight]) -> tuple[str, ...]:
    """Every second path that was found, in words, each once: VLAN leaks, routes, hosts on both sides."""
    found = [*_declared_hosts(segment, estate), *_declared_segments(segment, estate)]
    for sight in sights:
        found += [*_leaks(segment, estate, sight), *_heard(segment, estate, sight), *_routes(segment, sight)]
    return tuple(dict.fromkeys(found))


def _declared_hosts(segment: Segment, estate: Estate) -> Iterator[str]:
    for host in estate.site.hosts:
        inside = [one for one in host.addresses if lies_in(one, segment.prefixes)]
        outside = [one for one in host.addresses if one not in inside]
        if host.segment == segment.name:
            yield from (
                f"dual-homed: {host.name} also has {one}, outside {segment.name}"
                for one in (*outside, *(prefix for prefix in host.prefixes if not within(prefix, segment.prefixes)))
            )
        elif inside:
            yield f"dual-homed: {host.name} of segment {host.segment or '(none)'} has {inside[0]}, of {segment.name}"


def _declared_segments(segment: Segment, estate: Estate) -> Iterator[str]:
    for other in estate.site.segments:
        if other.name == segment.name:
            continue
        if segment.vlan is not None and other.vlan == segment.vlan:
            yield f"VLAN leak: segments {segment.name} and {other.name} are both in VLAN {segment.vlan}"
        for ours in segment.prefixes:
            for theirs in other.prefixes:
                if within(theirs, [ours]) and other.firewall != segment.firewall:
                    yield f"route: {theirs} of segment {other.name} lies in {ours}, and not behind {segment.firewall}"


def _leaks(segment: Segment, estate: Estate, sight: Sight) -> Iterator[str]:
    if segment.vlan is None or sight.device == segment.firewall:
        return
    for name in sorted({name for name, vlan in sight.carries if vlan == segment.vlan}):
        port = Port(sight.device, name)
        if _is_edge(port, estate) and not _hangs_there(segment, port, estate):
            who = _names(_hosts_at(port, estate))
            yield f"VLAN leak: {port} carries VLAN {segment.vlan}, where {who}"
    for name in sorted(sight.trunks):
        port = Port(sight.device, name)
        if port in estate.interfaces and _is_edge(port, estate) and not _hangs_there(segment, port, estate):
            who = _names(_hosts_at(port, estate))
            yield f"VLAN leak: {port} carries every VLAN, {segment.vlan} among them, where {who}"


def _heard(segment: Segment, estate: Estate, sight: Sight) -> Iterator[str]:
    device = estate.devices.get(sight.device)
    quarantine = device.quarantine_vlan if device is not None else None
    for one in sorted(sight.learned, key=lambda one: (one.interface, one.vlan, one.mac)):
        port, host = Port(sight.device, one.interface), estate.by_mac.get(one.mac)
        place = f"{one.mac} is heard on {port} in VLAN {one.vlan}"
        if host is not None and host.segment == segment.name:
            if segment.vlan is not None and one.vlan not in {0, segment.vlan, quarantine}:
                yield f"dual-homed: {place}, and is {host.name}'s, of {segment.name} in VLAN {segment.vlan}"
            elif _is_edge(port, estate) and port not in _places(host, estate):
                yield f"dual-homed: {place}, and is {host.name}'s, which hangs on {_ports(host, estate)}"
        elif one.vlan == segment.vlan and _is_edge(port, estate):
            who = (
                f"{host.name}'s, of segment {host.segment or '(none)'}"
                if host is not None
                else "nobody's in the site file"
            )
            yield f"VLAN leak: {place}, of {segment.name}, and is {who}"


def _routes(segment: Segment, sight: Sight) -> Iterator[str]:
    if sight.device == segment.firewall:
        return
    for one in sorted(sight.routes, key=lambda one: (one.prefix.version, str(one.prefix), one.interface)):
        if not within(one.prefix, segment.prefixes):
            continue
        if one.via is None:
            yield f"route: {sight.device} is connected to {one.prefix} by {one.interface}"
        elif lies_in(one.via, segment.prefixes):
            yield f"route: {sight.device} reaches {one.prefix} by {one.via}, which is inside {segment.name}"


def _is_edge(port: Port, estate: Estate) -> bool:
    """True for an edge port; a port that nobody declared may be one."""
    interface = estate.interfaces.get(port)
    return interface is None or interface.role is PortRole.EDGE


def _hosts_at(port: Port, estate: Estate) -> tuple[Host, ...]:
    here = {port, Port(port.device, estate.interfaces[port].lag) if port in estate.interfaces else port}
    return tuple(host for host in estate.site.hosts if here & _places(host, estate))


def _hangs_there(segment: Segment, port: Port, estate: Estate) -> bool:
    return any(host.segment == segment.name for host in _hosts_at(port, estate))


def _places(host: Host, estate: Estate) -> frozenset[Port]:
    return frozenset((*host.ports, *ports_of(host, estate), *((host.guest,) if host.guest else ())))


def _ports(host: Host, estate: Estate) -> str:
    return ", ".join(map(str, ports_of(host, estate))) or "no port that is declared"


def _names(hosts: tuple[Host, ...]) -> str:
    if not hosts:
        return "no host is declared"
    return ", ".join(f"{host.name} of {host.segment or 'no segment'} hangs" for host in hosts)
