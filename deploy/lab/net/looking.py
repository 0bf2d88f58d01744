"""Looking at a lab that somebody else keeps up."""

import json
import re
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.domain.address import Port
from deploy.lab.net.device import Shell
from deploy.lab.net.lock import HOME, holder
from deploy.lab.net.namespaces import LabError, namespace
from deploy.lab.net.plan import Network, network

_PORT = re.compile(r'^name +: "?(?P<name>[^"\n]+)"?\ntag +: (?P<tag>\d+|\[\])$', re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Attached:
    """A lab that is up: its plan, the names of its namespaces, and a way into each device."""

    run: str
    folder: Path
    holder: int
    plan: Network

    def namespace(self, place: str) -> str:
        """The name of a place's namespace."""
        return namespace(self.run, place)

    def shell(self, device: str) -> Shell:
        """A way into a device."""
        return Shell(device, self.folder / "devices" / device)


def attached(home: Path = HOME) -> Attached:
    """The lab that is up. Raises LabError when none is."""
    for file in sorted(home.glob("*/lab.json")) if holder(home) else ():
        told = json.loads(file.read_text())
        return Attached(told["run"], file.parent, told["holder"], network(containers=told["containers"]))
    raise LabError("no lab is up; `cordon lab up`")


def look(lab: Attached) -> Mapping[str, Any]:
    """What stands where now, as JSON would have it."""
    vlans = {device.name: _vlans(lab.shell(device.name)) for device in lab.plan.switches}
    return {
        "run": lab.run,
        "folder": str(lab.folder),
        "holder": lab.holder,
        "devices": [
            {
                "name": device.name,
                "platform": device.platform,
                "address": str(device.address),
                "answers": _banner(str(device.address)),
            }
            for device in lab.plan.devices
        ],
        "machines": [
            {
                "name": one.name,
                "segment": one.segment,
                "ipv4": str(one.ipv4),
                "ipv6": str(one.ipv6),
                "mac": one.mac,
                "port": str(one.guest or one.port),
                "vlan": _vlan(vlans, one.guest or one.port),
                "namespace": lab.namespace(one.name),
            }
            for one in lab.plan.machines
        ],
    }


def _vlan(vlans: Mapping[str, Mapping[str, int]], port: Port) -> int:
    return vlans[port.device].get(port.interface, 0)


def _vlans(shell: Shell) -> Mapping[str, int]:
    listed = shell.ask("ovs-vsctl --columns=name,tag list Port")
    return {found["name"]: int(found["tag"]) for found in _PORT.finditer(listed) if found["tag"] != "[]"}


def _banner(address: str) -> str:
    try:
        with socket.create_connection((address, 22), timeout=1.0) as session:
            session.settimeout(1.0)
            return session.recv(80).decode(errors="replace").strip() or "hung up"
    except OSError as error:
        return f"no answer: {error}"
