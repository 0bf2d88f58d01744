"""The subjects of one activity partition: who they are by the estate, and what is kept of each for good."""

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import Address, AttachmentKey, HostKey, Port, SubjectKey
from controller.domain.estate import GATEWAYS, Estate, Host, HostRole
from streams.baseline import Baselines, Ints
from streams.habits import Habits
from streams.keys import ATTACHMENT, bucket_of, scope_digest, subject_of_key
from streams.sensors import Sensors

_HOMES = 4


class Subjects:
    """Columnar, by slot. A slot is found by key; a forgotten subject's slot is used again."""

    def __init__(self, estate: Estate, sensors: Sensors, *, buckets: int, habit_half_life: float) -> None:
        self._estate, self._sensors, self._buckets = estate, sensors, buckets
        self._scopes = {scope_digest(source.scope): source.scope for source in estate.site.sources if source.scope}
        self._free: list[int] = []
        self.index: dict[bytes, int] = {}
        self.key: list[bytes] = []
        self.host: list[Host | None] = []
        self.baselines = Baselines()
        self.habits = Habits(habit_half_life)
        self.bucket = np.zeros(0, np.int64)
        self.attachment = np.zeros(0, np.bool_)
        self.mail_server = np.zeros(0, np.bool_)
        self.last_tick = np.zeros(0, np.int64)
        self.tainted = np.zeros(0, np.int64)  # end of the last window of baselines with volumetric evidence in it
        self.role = np.zeros(0, np.int16)  # index into ROLES, -1 unknown
        self.homes = np.zeros((0, _HOMES), np.int64)  # sensors at the subject's own ports, -1 none

    _COLUMNS = ("bucket", "attachment", "mail_server", "last_tick", "tainted", "role", "homes")

    def __len__(self) -> int:
        return len(self.index)

    def slots(self, keys: NDArray[np.bytes_]) -> Ints:
        """The slots of these keys; made where there are none."""
        unique, back = np.unique(keys, return_inverse=True)
        found = np.array([self.slot(bytes(key)) for key in unique], np.int64)
        return found[back]

    def slot(self, key: bytes) -> int:
        """The slot of a key; made if there is none."""
        slot = self.index.get(key)
        return self._made(key) if slot is None else slot

    def subject(self, slot: int) -> SubjectKey:
        """The subject in a slot."""
        return subject_of_key(self.key[slot], self._scopes)

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

    def forget(self, slot: int) -> None:
        """Free a slot."""
        del self.index[self.key[slot]]
        self.key[slot], self.host[slot] = b"", None
        self.baselines.clear(slot)
        self.habits.clear(slot)
        self._free.append(slot)

    def _made(self, key: bytes) -> int:
        if self._free:
            slot = self._free.pop()
        else:
            slot = len(self.key)
            self.key.append(b"")
            self.host.append(None)
            if slot >= len(self.bucket):
                self._grow(max(256, 2 * slot))
        host = self._host(subject_of_key(key, self._scopes))
        self.index[key], self.key[slot], self.host[slot] = slot, key, host
        self.bucket[slot] = bucket_of(key, self._buckets)
        self.attachment[slot] = key[-1:] == ATTACHMENT
        self.mail_server[slot] = host is not None and host.role is HostRole.MAIL
        self.last_tick[slot] = self.tainted[slot] = 0
        self.role[slot] = ROLES.index(host.role) if host is not None else -1
        homes = sorted(self._homes(host))[:_HOMES] if host is not None else []
        self.homes[slot] = [*(self._sensors.number(name) for name in homes), *[-1] * (_HOMES - len(homes))]
        return slot

    def _grow(self, room: int) -> None:
        for name in self._COLUMNS:
            old = getattr(self, name)
            new = np.zeros((room, *old.shape[1:]), old.dtype)
            new[: len(old)] = old
            setattr(self, name, new)
        self.baselines.grow(room)
        self.habits.grow(room)

    def _host(self, subject: SubjectKey) -> Host | None:
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
