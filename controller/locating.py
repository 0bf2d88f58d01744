"""Where a subject hangs: from what the streams saw to ports that can be fenced.

The port by which traffic entered is the best witness of who sends. An address or a MAC says who only as far as the
estate ties it to that same port; where they contradict each other nothing is located, or only the port is.
"""

from controller.domain.address import Address, AttachmentKey, HostKey, Mac, Port, address_of, mac_of
from controller.domain.errors import BadInput, NotLocated
from controller.domain.estate import Estate, Host, Interface, PortRole, attachment_prefixes
from controller.domain.record import Attachment
from controller.domain.verdict import Verdict


def locate(verdict: Verdict, estate: Estate) -> Attachment:
    """The attachment of a verdict's subject, with how it was found in words.

    Raises NotLocated, saying what contradicts what or what is missing. A shared port behind which the sender cannot be
    told apart is located as the port alone: `host` is empty and `shared` is true.
    """
    if isinstance(verdict.subject, HostKey):
        return _of_address(verdict.subject, verdict, estate)
    return _of_entry(verdict.subject, estate)


def same_place(one: Attachment, other: Attachment) -> bool:
    """True when two attachments are one: the same host, or, where no host is known, the same port and MAC."""
    if one.host or other.host:
        return one.host == other.host
    return set(one.ports) == set(other.ports) and one.mac == other.mac


def ports_of(host: Host, estate: Estate) -> tuple[Port, ...]:
    """The host's switch ports, members of a LAG standing for the LAG, each once."""
    return tuple(dict.fromkeys(_aggregate(port, estate) for port in host.ports))


def _of_address(key: HostKey, verdict: Verdict, estate: Estate) -> Attachment:
    if not estate.is_ours(key.address) and estate.host_at(key.address) is None:
        raise NotLocated(f"{key.address} is not one of ours: an outside sender is nobody's port here")
    host = estate.host_at(key.address)
    entry = _entry(verdict, estate)
    if entry is None:
        if host is None:
            raise NotLocated(f"{key.address} is ours, but the estate names no host with it and no edge port was seen")
        return _attachment(host, estate, how=f"{key.address} belongs to {host.name} in the estate; no entry was seen")
    port = Port(entry.device, entry.name)
    if host is None:
        return _port_only(port, estate, mac=_mac(verdict.mac), how=f"{key.address} entered by {port}; no host has it")
    if not _hangs_on(host, port, estate):
        ties = ", ".join(str(one) for one in ports_of(host, estate)) or "no port"
        raise NotLocated(
            f"{key.address} belongs to {host.name} on {ties}, but the traffic entered by {port}: the sender is forged"
        )
    mac = _mac(verdict.mac)
    if mac and host.mac and mac != host.mac:
        how = f"{key.address} entered by {port}, but with MAC {mac} where {host.name} has {host.mac}"
        if _shared(port, estate):
            return _port_only(port, estate, mac=mac, how=f"{how}: on a shared port neither is believed")
        return _attachment(host, estate, how=f"{how}; {host.name} is alone on the port")
    return _attachment(host, estate, how=f"{key.address} entered by {port}, where {host.name} hangs")


def _of_entry(key: AttachmentKey, estate: Estate) -> Attachment:
    interface = estate.by_if_index.get((key.exporter, key.interface))
    if interface is None:
        raise NotLocated(f"the estate names no interface {key.interface} of exporter {key.exporter}")
    port = Port(interface.device, interface.name)
    if interface.role is not PortRole.EDGE:
        raise NotLocated(f"the traffic entered by {port}, which is {interface.role}: whoever sends it hangs elsewhere")
    mac = _mac(key.mac)
    owner = estate.by_mac.get(mac) if mac else None
    if owner is not None and _hangs_on(owner, port, estate):
        return _attachment(owner, estate, how=f"entered by {port} with MAC {mac}, which is {owner.name}'s there")
    alone = _behind(port, estate)
    if len(alone) == 1 and not _shared(port, estate):
        return _attachment(alone[0], estate, how=f"entered by {port}, where {alone[0].name} hangs alone")
    if not mac:
        how = f"entered by {port}; no MAC was seen, so the sender among those behind it is not known"
    elif owner is not None:
        how = f"entered by {port} with MAC {mac}, which is {owner.name}'s on another port: it is forged"
    else:
        how = f"entered by {port} with MAC {mac}, which no host has"
    return _port_only(port, estate, mac=mac, how=how)


def _attachment(host: Host, estate: Estate, *, how: str) -> Attachment:
    ports = ports_of(host, estate)
    beside = {other.name: other for port in ports for other in _behind(port, estate) if other.name != host.name}
    return Attachment(
        host=host.name,
        tenant=host.tenant,
        segment=host.segment or _segment(host, estate),
        ports=ports,
        addresses=tuple(str(prefix) for prefix in attachment_prefixes(host)),
        mac=host.mac,
        guest=host.guest,
        shared=any(_shared(port, estate) for port in ports),
        neighbours=tuple(beside),
        how=how,
    )


def _port_only(port: Port, estate: Estate, *, mac: Mac | None, how: str) -> Attachment:
    place = _aggregate(port, estate)
    behind = _behind(place, estate)
    segments = {host.segment or _segment(host, estate) for host in behind}
    return Attachment(
        host="",
        tenant="",
        segment=segments.pop() if len(segments) == 1 else "",
        ports=(place,),
        addresses=(),
        mac=mac,
        shared=_shared(place, estate),
        neighbours=tuple(host.name for host in behind),
        how=how,
    )


def _entry(verdict: Verdict, estate: Estate) -> Interface | None:
    """The edge interface by which the verdict's traffic entered; None when unknown or when it is no edge."""
    if not verdict.exporter or not verdict.interface:
        return None
    try:
        exporter: Address = address_of(verdict.exporter)
    except BadInput:
        return None
    interface = estate.by_if_index.get((exporter, verdict.interface))
    return interface if interface is not None and interface.role is PortRole.EDGE else None


def _aggregate(port: Port, estate: Estate) -> Port:
    interface = estate.interfaces.get(port)
    return Port(port.device, interface.lag) if interface is not None and interface.lag else port


def _hangs_on(host: Host, port: Port, estate: Estate) -> bool:
    here = {port, _aggregate(port, estate)}
    return bool(here & {*host.ports, *ports_of(host, estate), *((host.guest,) if host.guest else ())})


def interfaces_at(port: Port, estate: Estate) -> tuple[Interface, ...]:
    """The interface of a port; of a LAG, itself (where the estate lists it) and its members."""
    return tuple(
        one for one in estate.site.interfaces if one.device == port.device and port.interface in (one.name, one.lag)
    )


def _behind(port: Port, estate: Estate) -> tuple[Host, ...]:
    port = _aggregate(port, estate)
    places = (port, *(Port(one.device, one.name) for one in interfaces_at(port, estate)))
    found = {host.name: host for place in places for host in estate.by_port.get(place, ())}
    return tuple(found.values())


def _shared(port: Port, estate: Estate) -> bool:
    return any(one.shared for one in interfaces_at(_aggregate(port, estate), estate)) or len(_behind(port, estate)) > 1


def _segment(host: Host, estate: Estate) -> str:
    for address in host.addresses:
        if (segment := estate.segment_of(address)) is not None:
            return segment.name
    return ""


def _mac(text: str) -> Mac | None:
    try:
        return mac_of(text) if text else None
    except BadInput:
        return None
