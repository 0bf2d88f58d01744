"""From what log lines claim to what counts: who may accuse whom, and which device a symptom belongs to.

A device of the estate, and a sender that the source names, may accuse any address of ours. A tenant's own log may
accuse that tenant's addresses alone. Who is not ours is never accused: an outside attacker cannot lead to a fence.
"""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from controller.domain.address import Address, packed
from controller.domain.estate import Device, Estate, Host, Source
from controller.domain.verdict import Witness
from streams.decode import Reject, claims
from streams.decode.logs import LogReader, ranges
from streams.decode.phrasebook import named
from streams.keys import scope_digest
from streams.places import Places
from streams.rows import Claim, Symptom

_REMEMBERED = 16_384


@dataclass(slots=True)
class Said:
    """One frame of log lines. received = sum of heard + reject counts + skipped."""

    received: int = 0
    skipped: int = 0
    rejects: tuple[Reject, ...] = ()
    heard: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, np.int64))  # receipt of each, ns
    claims: list[Claim] = field(default_factory=list)
    symptoms: list[Symptom] = field(default_factory=list)
    senders: dict[str, tuple[int, int]] = field(default_factory=dict)  # sender → lines, latest receipt


class Accuser:
    """Judges claims by the estate."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        places = Places(estate)
        self._owner = lru_cache(_REMEMBERED)(lambda address, scope: places.owner(packed(address), scope_digest(scope)))
        self._reader = LogReader(ours=ranges(places.prefixes))
        self._devices: dict[Address, Device] = {}
        for device in estate.devices.values():
            self._devices[device.host] = device
            if device.exporter is not None:
                self._devices[device.exporter] = device
        self._hosts = {address: host for host in estate.hosts.values() for address in host.log_addresses}
        self._hosts |= dict(estate.by_address)

    def frame(self, value: bytes, *, source: Source, kafka_ns: int) -> Said:
        """Read one Kafka message of log lines."""
        unnamed = str(source.exporters[0]) if len(source.exporters) == 1 else source.topic
        logs = self._reader.frame(
            value,
            kafka_ns=kafka_ns,
            unnamed=unnamed,
            knows=lambda sender: sender == unnamed or self._knows(sender, source),
        )
        said = Said(logs.received, logs.skipped, logs.rejects, logs.heard, senders=dict(logs.senders))
        for claim in logs.claims:
            if claim.kind is claims.ClaimKind.SYMPTOM:
                sender = named(claim.sender)
                device = self._devices.get(sender) if sender is not None else None
                if device is not None:
                    said.symptoms.append(Symptom(device.name, claim.phrase, claim.text, claim.at_ns))
            elif (made := self._accusation(claim, source)) is not None:
                said.claims.append(made)
        return said

    def _knows(self, sender: str, source: Source) -> bool:
        address = named(sender)
        if address is None:
            return False
        return address in source.exporters or (
            not source.exporters and (address in self._devices or address in self._hosts)
        )

    def _accusation(self, claim: claims.Claim, source: Source) -> Claim | None:
        if claim.accused is None:
            return None
        sender = named(claim.sender)
        owner = self._owner(claim.accused, source.scope)
        teller = self._hosts.get(sender) if sender is not None else None
        if not owner.key or not self._may(teller, sender, owner.host):
            return None
        witness = claim.witness
        if teller is not None and sender not in self._devices and witness is not Witness.ACCESS_LOG:
            witness = Witness.HOST_LOG
        return Claim(
            key=owner.key,
            detector=claim.kind.value,
            witness=witness.value,
            source=claim.sender,
            at_ns=claim.at_ns,
            count=claim.count,
            text=claim.text,
            traffic=claim.traffic.value,
            compromise=claim.compromise,
            peer=str(claim.peer or ""),
            facts={name: str(fact) for name, fact in claim.facts.items()},
            first_ns=claim.first_ns,
        )

    def _may(self, teller: Host | None, sender: Address | None, accused: Host | None) -> bool:
        if teller is None or (sender is not None and sender in self._devices):
            return True
        return accused is not None and accused.tenant == teller.tenant
