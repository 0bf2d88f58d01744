"""What stands on a switch before anybody floods: bridge, ports, VLANs and sFlow, as lines for its shell."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from deploy.lab.net.plan import SwitchPort

BRIDGE = "br0"


@dataclass(frozen=True, slots=True)
class Sampling:
    """sFlow as a switch exports it: 1 packet in `rate`, to each of `targets` (HOST:PORT)."""

    rate: int
    targets: tuple[str, ...]
    header: int = 128
    polling_s: int = 5


def setup(ports: Sequence[SwitchPort], sampling: Sampling) -> Iterator[str]:
    """Lines that make a new switch out of an empty database."""
    yield f"ovs-vsctl --may-exist add-br {BRIDGE} -- set Bridge {BRIDGE} datapath_type=netdev fail_mode=standalone"
    for port in ports:
        tag = f"tag={port.vlan}" if port.vlan else f"trunks={','.join(map(str, port.trunks))}"
        apart = " protected=true" if port.isolated else ""
        yield f"ovs-vsctl add-port {BRIDGE} {port.name} -- set Port {port.name} {tag}{apart}"
    yield exporting(sampling)


def exporting(sampling: Sampling) -> str:
    """The line that begins the export of samples, or changes it."""
    targets = ",".join(f'"{target}"' for target in sampling.targets)
    return (
        f"ovs-vsctl --id=@s create sFlow agent=oob targets='[{targets}]' header={sampling.header}"
        f" sampling={sampling.rate} polling={sampling.polling_s} -- set Bridge {BRIDGE} sflow=@s"
    )


STATE = (
    "ovs-vsctl --columns=name,tag,trunks,protected list Port | sort; "
    f"ovs-ofctl -O OpenFlow13 --names --no-stats dump-flows {BRIDGE}; "
    f"ovs-ofctl -O OpenFlow13 dump-meters {BRIDGE} | tail -n +2; "
    f"ovs-ofctl -O OpenFlow13 dump-ports-desc {BRIDGE} | grep -E 'addr|config'"
)
"""Asks for everything that Cordon could have changed. Two answers are equal, octet for octet, when nothing was."""
