"""The network of a measurement as Cordon is told of it: every host of the crowd with its port."""

from ipaddress import IPv4Address, ip_address

from controller.domain.address import Mac, Port
from controller.domain.estate import Device, Host, HostRole, Interface, PortRole, Site, Source, SourceFormat
from controller.domain.listening import Listener
from controller.domain.rulebook import Rulebook
from deploy.lab.rates.crowd import EXPORTERS, NETWORK, SHARE, UPLINK
from deploy.tomlwriting import toml_text

FRAME_MS = 50


def site_text(source: Source, *, port: int = 0, frame_ms: int = FRAME_MS) -> str:
    """site.toml with one source, and a listener for it where a port is given."""
    devices = tuple(
        Device(f"sw{number}", "cisco_ios", ip_address(address), exporter=ip_address(address))
        for number, address in enumerate(EXPORTERS)
    )
    interfaces = [Interface(one.name, "uplink", UPLINK, PortRole.UPLINK) for one in devices]
    hosts = []
    for number, address in enumerate(int(NETWORK.network_address) + at for at in range(NETWORK.num_addresses)):
        device, place = devices[number // SHARE], number % SHARE + 1
        interfaces.append(Interface(device.name, f"p{place}", place))
        hosts.append(
            Host(
                f"h{number}",
                (IPv4Address(address),),
                f"tenant{number}",
                HostRole.VPS,
                mac=Mac(f"02:00:00:00:{place >> 8:02x}:{place & 255:02x}"),
                ports=(Port(device.name, f"p{place}"),),
            )
        )
    return toml_text(
        Site(
            version=1,
            name="rates",
            prefixes=(NETWORK,),
            devices=devices,
            interfaces=tuple(interfaces),
            hosts=tuple(hosts),
            sources=(source,),
            listeners=(Listener(source.topic, (port,), address=IPv4Address("127.0.0.1"), frame_ms=frame_ms),)
            if port
            else (),
        )
    )


def policy_text() -> str:
    """policy.toml: what Cordon ships with."""
    return toml_text(Rulebook(version=1))


SOURCES = {
    "netflow5": SourceFormat.DATAGRAMS,
    "netflow9": SourceFormat.DATAGRAMS,
    "ipfix": SourceFormat.DATAGRAMS,
    "sflow": SourceFormat.DATAGRAMS,
    "goflow2_json": SourceFormat.GOFLOW2_JSON,
    "pmacct_json": SourceFormat.PMACCT_JSON,
    "syslog": SourceFormat.SYSLOG,
}
