"""The subjects of one activity partition: who they are by the estate, and what is kept of each for good."""

from collections.abc import Iterable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import Address, AttachmentKey, HostKey, Port, SubjectKey, packed
from controller.domain.estate import GATEWAYS, Estate, Host, HostRole
from streams.baseline import Baselines, Ints
from streams.habits import Habits
from streams.keys import ATTACHMENT, HOST, WIDTH, buckets_of, key_array, scope_digest, subject_of_key
from streams.sensors import Sensors
from streams.table import KeyTable

_HOMES = 4
_REMEMBERED = 1 << 12


class Subjects:
    """Columnar, by slot. A slot is found by key; a forgotten subject's slot is used again."""

    def __init__(self, estate: Estate, sensors: Sensors, *, buckets: int, habit_half_life: float) -> None:
        self._estate, self._sensors, self._buckets = estate, sensors, buckets
        self._scopes = {scope_digest(source.scope): source.scope for source in estate.site.sources if source.scope}
        self._by_address = {packed(address): host for address, host in estate.by_address.items()}
        self._routed = any(host.prefixes for host in estate.site.hosts)
        self._subject = lru_cache(_REMEMBERED)(lambda key: subject_of_key(key, self._scopes))
        self._table = KeyTable()
        self.host: list[Host | None] = []
        self.baselines = Baselines()
        self.habits = Habits(habit_half_life)
        self.bucket = np.zeros(0, np.int32)
        self.attachment = np.zeros(0, np.bool_)
        self.mail_server = np.zeros(0, np.bool_)
        self.last_tick = np.zeros(0, np.int64)
        self.tainted = np.zeros(0, np.int64)  # end of the last window of baselines with volumetric evidence in it
        self.role = np.zeros(0, np.int16)  # index into ROLES, -1 unknown
        self.homes = np.zeros((0, _HOMES), np.int32)  # sensors at the subject's own ports, -1 none

    _COLUMNS = ("bucket", "attachment", "mail_server", "last_tick", "tainted", "role", "homes")

    def __len__(self) -> int:
        return len(self._table)

    @property
    def size(self) -> int:
        """All slots lie below."""
        return self._table.size

    def slots(self, keys: NDArray[np.bytes_]) -> Ints:
        """The slots of these keys; made where there are none."""
        found = self._table.find(keys)
        new = np.flatnonzero(found < 0)
        if len(new):
            self._make(np.unique(keys[new]))
            found[new] = self._table.find(keys[new])
        return found

    def slot(self, key: bytes) -> int:
        """The slot of a key; made if there is none."""
        return int(self.slots(key_array([key]))[0])

    def known(self, keys: Iterable[bytes]) -> Ints:
        """The slots of those keys that have one."""
        found = self._table.find(key_array(keys))
        return found[found >= 0]

    def held(self) -> Ints:
        """All slots in use, ascending."""
        return self._table.held()

    def keys(self, slots: Ints) -> NDArray[np.bytes_]:
        """The keys of slots."""
        return self._table.keys(slots)

    def key(self, slot: int) -> bytes:
        """The key of a slot."""
        return self._table.key(slot)

    def subject(self, slot: int) -> SubjectKey:
        """The subject in a slot."""
        return self._subject(self.key(slot))

    def is_gateway(self, slot: int) -> bool:
        """True when the estate says that the host speaks for others."""
        host = self.host[slot]
        return host is not None and (host.role in GATEWAYS or host.role is HostRole.ANYCAST)

    def is_ours(self, address: Address) -> bool:
        """True when the address lies in one of the site's prefixes."""
        return self._estate.is_ours(address)

    def device_address(self, device: str) -> Address:
        """The address of a device of the estate."""
        return self._estate.devices[device].host

    def forget(self, slots: Ints) -> None:
        """Free these slots."""
        self._table.drop(slots)
        for slot in slots.tolist():
            self.host[slot] = None
        self.baselines.clear(slots)
        self.habits.clear(slots)

    def _make(self, keys: NDArray[np.bytes_]) -> None:
        """Give slots to distinct keys that have none. Raises BadInput for a key that is none."""
        hosts = [self._host(key.ljust(WIDTH, b"\0")) for key in keys.tolist()]
        slots = self._table.add(keys)
        self.host += [None] * (self._table.size - len(self.host))
        if self._table.size > len(self.bucket):
            self._grow(max(256, 2 * self._table.size))
        self.bucket[slots] = buckets_of(keys, self._buckets)
        self.last_tick[slots] = self.tainted[slots] = 0
        self.attachment[slots] = [key[-1:] == ATTACHMENT for key in keys.tolist()]
        self.mail_server[slots] = False
        self.role[slots] = self.homes[slots] = -1
        for slot, host in zip(slots.tolist(), hosts, strict=True):
            if host is not None:
                self._settle(slot, host)

    def _settle(self, slot: int, host: Host) -> None:
        """Write down what the estate says of a slot's host."""
        self.host[slot] = host
        self.mail_server[slot] = host.role is HostRole.MAIL
        self.role[slot] = ROLES.index(host.role)
        homes = sorted(self._homes(host))[:_HOMES]
        self.homes[slot, : len(homes)] = [self._sensors.number(name) for name in homes]

    def _grow(self, room: int) -> None:
        for name in self._COLUMNS:
            old = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self.baselines.grow(room)
        self.habits.grow(room)

    def _host(self, key: bytes) -> Host | None:
        if key[-1:] == HOST and not self._routed:
            return self._by_address.get(key[:16])
        subject = subject_of_key(key, self._scopes)
        if isinstance(subject, HostKey):
            return self._estate.host_at(subject.address)
        return self._tenant(subject)

    def _tenant(self, subject: AttachmentKey) -> Host | None:
        """Whose attachment it is: the guest with the MAC, or the one host on the port."""
        interface = self._estate.by_if_index.get((subject.exporter, subject.interface))
        if interface is None:
            return None
        hosts = self._estate.by_port.get(Port(interface.device, interface.name), ())
        if subject.mac:
            return next((host for host in hosts if host.mac == subject.mac), None)
        return hosts[0] if len(hosts) == 1 else None

    def _homes(self, host: Host) -> set[str]:
        ports = (*host.ports, *((host.guest,) if host.guest else ()))
        exporters = (self._estate.devices[port.device].exporter for port in ports)
        return {str(exporter) for exporter in exporters if exporter is not None}


ROLES = tuple(HostRole)
