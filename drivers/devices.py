"""All devices of the estate, each with one driver and one session that everybody shares."""

import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from controller.domain.errors import UnknownSubject
from controller.domain.estate import Device, Estate
from controller.domain.fence import ISOLATE_PORT
from drivers.conversation import Session, SshSession
from drivers.dialect import Dialect, Holds
from drivers.driver import NetworkDriver
from drivers.loading import dialect_of, options_of
from drivers.rehearsal import Rehearsal
from drivers.session import Login


class Devices:
    """Implements `controller.ports.Network`. Dialects and options are checked here, once; sessions open when used.

    `secrets` are the values behind the devices' password_env and enable_env, by those names. A device for which
    `rehearse` says yes gets a session that can only ask. Raises ConfigError.
    """

    def __init__(
        self,
        estate: Estate,
        *,
        known_hosts: Path,
        secrets: Mapping[str, str],
        rehearse: Callable[[Device], bool] = lambda _: False,
    ) -> None:
        self._known_hosts, self._secrets, self._rehearse = known_hosts, secrets, rehearse
        self._devices = dict(estate.devices)
        self._dialects = {name: dialect_of(name) for name in {device.platform for device in self._devices.values()}}
        self._options = {
            device.name: options_of(self._dialects[device.platform], device.options, device=device.name)
            for device in self._devices.values()
        }
        self._drivers: dict[str, NetworkDriver] = {}
        self._lock = threading.Lock()

    def device(self, name: str) -> NetworkDriver:
        """The device's driver, always the same one. Raises UnknownSubject."""
        device = self._known(name)
        with self._lock:
            if name not in self._drivers:
                dialect = self._dialects[device.platform]
                session = self._session(device, dialect)
                self._drivers[name] = NetworkDriver(name, dialect, session, self._options[name])
            return self._drivers[name]

    def holds(self, device: str) -> frozenset[str]:
        """Fence kinds that the device's dialect can hold; filter_class as filter_class:<traffic class>.

        isolate_port is among them where single ports can be kept apart from each other.
        """
        dialect = self._dialects[self._known(device).platform]
        apart = any(row.holds is Holds.ISOLATED for row in dialect.rows)
        return frozenset(dialect.cover) | ({ISOLATE_PORT} if apart else frozenset())

    def close(self) -> None:
        """End every session."""
        with self._lock:
            for driver in self._drivers.values():
                driver.close()

    def _known(self, name: str) -> Device:
        try:
            return self._devices[name]
        except KeyError:
            raise UnknownSubject(f"no device is called {name!r}") from None

    def _session(self, device: Device, dialect: Dialect) -> Session:
        login = Login(
            name=device.name,
            host=str(device.host),
            port=device.port,
            username=device.username,
            known_hosts=self._known_hosts,
            key_file=device.key_file,
            password=self._secrets.get(device.password_env, "") if device.password_env else "",
            second_secret=self._secrets.get(device.enable_env, "") if device.enable_env else "",
        )
        session = SshSession(login, dialect.talk, dialect.refusals)
        return Rehearsal(device.name, session, dialect.talk.asks) if self._rehearse(device) else session
