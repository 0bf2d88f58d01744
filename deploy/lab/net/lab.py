"""The network put up and taken down: everything that is made here goes when the `with` ends, whatever ended it."""

import json
import os
import secrets
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

from deploy.lab.net import routing, switching
from deploy.lab.net.device import Equipment, LabDevice, quietly
from deploy.lab.net.lock import HOME, LEG, QUEUES, Lock, sweep
from deploy.lab.net.namespaces import (
    LabError,
    cable,
    checksum_by_the_sender,
    deep_queues,
    existing,
    inside,
    interfaces,
    ip,
    namespace,
    remove,
    tune,
)
from deploy.lab.net.plan import MANAGEMENT, NOC, QUARANTINE_KBPS, Device, Network, network
from deploy.lab.net.routing import NOC_PORT, OOB
from deploy.lab.net.sites import Collectors, Description, known_hosts, policy_text, site

TOOLS = ("ip", "tc", "unshare", "nsenter", "ovs-vswitchd", "ovsdb-server", "ovsdb-tool", "ovs-ofctl", "nft")
SERVERS = ("/usr/sbin/sshd", "/usr/sbin/rsyslogd")
SBIN = "/usr/sbin:/sbin"


@dataclass(frozen=True, slots=True)
class Wishes:
    """How a lab is to be. Collectors listen on the management network's first address, where Cordon is too."""

    containers: int = 6
    sampling: int = 64
    sflow_ports: tuple[int, ...] = (6343,)
    syslog_port: int = 5514
    mode: str = "enforce"
    collectors: Collectors = Collectors.OWN
    learned_s: float = 0.0  # how old a host's normal has to be to count; 0: as old as the policy says elsewhere


def missing() -> tuple[str, ...]:
    """What this machine lacks for a lab: tools by name, root. Empty: it can be put up."""
    path = f"{os.environ.get('PATH', '')}:{SBIN}"
    tools = [tool for tool in TOOLS if shutil.which(tool, path=path) is None]
    servers = [server for server in SERVERS if not Path(server).exists()]
    return (*tools, *servers, *(("root",) if os.geteuid() else ()))


class Lab:
    """One lab. `run` is the id that all its names bear, `folder` where its files are."""

    def __init__(self, wishes: Wishes | None = None, *, home: Path = HOME) -> None:
        self.wishes = wishes or Wishes()
        self.plan: Network = network(containers=self.wishes.containers)
        self.run = secrets.token_hex(3)
        self.folder = home / self.run
        self._lock, self._stack = Lock(home), ExitStack()
        self._home = home
        self.devices: dict[str, LabDevice] = {}

    def __enter__(self) -> Self:
        """Put it up. Raises LabError when something is missing, another lab runs, or the machine refuses."""
        if lacking := missing():
            raise LabError(f"the lab needs {', '.join(lacking)}")
        os.environ["PATH"] = f"{os.environ.get('PATH', '')}:{SBIN}"
        with self._stack as stack:
            self._lock.take()
            stack.callback(self._lock.leave)
            sweep(self._home)
            self.folder.mkdir(mode=0o700)
            stack.callback(shutil.rmtree, self.folder, ignore_errors=True)
            stack.callback(self._unlay)
            self._lay()
            self._switch_on(stack)
            self._describe()
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def namespace(self, place: str) -> str:
        """The name of a place's namespace."""
        return namespace(self.run, place)

    @property
    def key(self) -> Path:
        """The private key that every device lets in."""
        return self.folder / "id_ed25519"

    @property
    def site(self) -> Path:
        """site.toml, as its owner would write it."""
        return self.folder / "site.toml"

    @property
    def policy(self) -> Path:
        """policy.toml."""
        return self.folder / "policy.toml"

    @property
    def known_hosts(self) -> Path:
        """Host keys of the devices."""
        return self.folder / "known_hosts"

    @cached_property
    def leg(self) -> str:
        """The machine's own link into the management network."""
        return f"{LEG}{self.run}"

    def _lay(self) -> None:
        """Namespaces, cables, addresses."""
        places = (*self.plan.places, OOB)
        ip(*(f"netns add {self.namespace(place)}" for place in places))
        ip(*(cable(self.run, near, far) for near, far in self.plan.cables()), *self._management())
        ip(f"addr add {NOC}/{MANAGEMENT.prefixlen} dev {self.leg}", f"link set {self.leg} up")
        for place in places:
            space = self.namespace(place)
            links = tuple(link for link in interfaces(space) if link != "lo")
            with inside(space):
                tune(routing.settings(self.plan, place))
                for link in links:
                    checksum_by_the_sender(link)
            ip(*(f"link set {link} up" for link in ("lo", *links)), *routing.lines(self.plan, place), inside=space)
        for device in self.plan.switches:
            if any(port.name == "quarantine" for port in self.plan.ports_of(device.name)):
                self._thin(device)

    def _unlay(self) -> None:
        if self.leg in (name for _, name in socket.if_nameindex()):  # the kernel would take its time
            ip(f"link del {self.leg}")
        remove(existing(namespace(self.run, "")))

    def _management(self) -> Iterator[str]:
        """Lines that lay the management network's cables: one to each device, one to this machine."""
        bridge = self.namespace(OOB)
        yield f"link add {self.leg} type veth peer name {NOC_PORT} netns {bridge}"
        for device in self.plan.devices:
            yield (
                f"link add name oob netns {self.namespace(device.name)}"
                f" type veth peer name {device.name} netns {bridge}"
            )

    def _thin(self, switch: Device) -> None:
        """The cable of the quarantine VLAN carries little, so that a flood in it drowns nobody."""
        shape = f"tbf rate {QUARANTINE_KBPS}kbit burst 32kbit latency 50ms"
        quietly("tc", "-n", self.namespace(switch.name), *f"qdisc add dev quarantine root {shape}".split())

    def _switch_on(self, stack: ExitStack) -> None:
        quietly("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "cordon lab", "-f", str(self.key))
        public = self.key.with_suffix(".pub").read_text()
        for device in self.plan.devices:
            made = LabDevice(
                Equipment(
                    kind=device.kind,
                    name=device.name,
                    namespace=self.namespace(device.name),
                    folder=self.folder / "devices" / device.name,
                    address=str(device.address),
                    authorized_key=public,
                    log_host=str(NOC),
                    log_port=self.wishes.syslog_port,
                    setup=self._setup(device),
                )
            )
            stack.callback(made.stop)
            self.devices[device.name] = made
        self.power_on(*self.devices)

    def power_on(self, *names: str) -> None:
        """Switch devices on, and wait until they answer."""
        with deep_queues(self._home / QUEUES):
            for name in names:
                self.devices[name].start()
            for name in names:
                self.devices[name].await_ready()

    def _setup(self, device: Device) -> tuple[str, ...]:
        if device.kind == "firewall":
            return routing.RULES
        targets = tuple(f"{NOC}:{port}" for port in self.wishes.sflow_ports)
        return tuple(
            switching.setup(self.plan.ports_of(device.name), switching.Sampling(self.wishes.sampling, targets))
        )

    def _describe(self) -> None:
        description = Description(self.key, self.wishes.collectors, self.wishes.sflow_ports[0], self.wishes.syslog_port)
        self.site.write_text(site(self.plan, description))
        self.policy.write_text(
            policy_text(mode=self.wishes.mode, kill_file=self.folder / "stop", learned_s=self.wishes.learned_s)
        )
        self.known_hosts.write_text(known_hosts(made.host_key for made in self.devices.values()))
        told = {"run": self.run, "holder": os.getpid(), "containers": self.wishes.containers}
        (self.folder / "lab.json").write_text(json.dumps(told))
