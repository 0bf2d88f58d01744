"""Decisions to put into ledgers."""

from typing import Any

from controller.domain.address import Port, mac_of, prefix_of
from controller.domain.decision import State
from controller.domain.fence import Action, Effect, Entry, Fence, FenceKind, Leg, Slot, SlotKind
from controller.domain.record import Attachment, Decision, FenceRecord, LegRecord, Reason
from controller.domain.verdict import Evidence, Finding, Level, Rates, Witness

NOON_NS = 1_800_000_000_000_000_000


def flood(at_ns: int = NOON_NS, source: str = "192.0.2.1") -> Evidence:
    return Evidence(
        detector="flood_ratio",
        witness=Witness.FLOW,
        source=source,
        strength=1.0,
        weight=0.95,
        half_life_s=10.0,
        at_ns=at_ns,
        text="sends 90.0 Mbit/s, 2,000 times its own 45.0 kbit/s",
        facts={"ratio": 2000.0, "peers": ("203.0.113.9",), "new": True, "packets": 9},
    )


def decision(name: str = "d-1", *, host: str = "", device: str = "sw-1", **changes: Any) -> Decision:
    """A proposed decision against a host of its own, unless `host` says whose."""
    number = sum(name.encode()) % 250
    slot = Slot(device, SlotKind.PORT, f"eth{number}")
    entry = Entry(Action.DROP, prefix_of(f"198.18.0.{number}/32"))
    fence = Fence(FenceKind.BLOCK_ADDRESS, (Leg(slot, Effect(entries=frozenset({entry}))),), why="nearest the source")
    values: dict[str, Any] = {
        "id": name,
        "subject": f"host:198.18.0.{number}",
        "state": State.PROPOSED,
        "attachment": Attachment(
            host=host or f"vps-{name}",
            tenant="tenant-a",
            segment="vps",
            ports=(Port(device, f"eth{number}"),),
            addresses=(f"198.18.0.{number}/32", "2001:db8:0:1::/64"),
            mac=mac_of("02:00:00:00:00:01"),
            guest=Port("hv-1", "vnet1"),
            shared=True,
            neighbours=("vps-x", "vps-y"),
            how="its address is tied to the port",
        ),
        "fences": (FenceRecord(fence, (LegRecord(slot),)),),
        "evidence": (flood(),),
        "reasons": (Reason("blast_radius", allows=True, text="1 of at most 4 on sw-1"),),
        "score": 95.0,
        "level": Level.ISOLATE,
        "finding": Finding.OFFENDER,
        "rates": Rates(bits=9e7, packets=8_000.0),
        "mode": "enforce",
        "simulated": False,
        "created_ns": NOON_NS,
        "until_ns": NOON_NS + 3_600_000_000_000,
        "first_bad_ns": NOON_NS - 900_000_000,
        "verdict_id": f"verdict-of-{name}",
    }
    return Decision(**(values | changes))
