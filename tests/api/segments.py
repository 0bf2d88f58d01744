"""A proposal to separate a segment, as the controller leaves it in the ledger."""

from dataclasses import replace
from ipaddress import ip_network

from controller.domain.address import address_of
from controller.domain.crossing import Crossing, Side, Transport
from controller.domain.estate import Device, Estate, Segment, Site
from controller.domain.fence import Change, SlotState
from controller.domain.record import Decision, FenceRecord, LegRecord
from controller.domain.rulebook import Rulebook
from controller.separating import proposal, separating
from tests.controller.ledger_cases import NOON_NS

WEB = Crossing(Side.OUTSIDE, (ip_network("0.0.0.0/0"),), Transport.TCP, ("443",))
HOSTING = Segment("hosting", (ip_network("198.18.3.0/24"),), firewall="fw-1", crossings=(WEB,))
ESTATE = Estate(
    Site(1, "s", (), segments=(HOSTING,), devices=(Device("fw-1", "linux_nftables", address_of("192.0.2.12")),))
)


def separation_proposal() -> Decision:
    fence = separating(HOSTING)
    made = proposal(
        fence,
        HOSTING,
        estate=ESTATE,
        rules=Rulebook(version=1, mode="enforce"),
        ident="d-wall",
        policy_digest="p",
        now_ns=NOON_NS,
    )
    (leg,) = fence.legs
    want = SlotState(separation=leg.effect.separation)
    change = Change(leg.slot, SlotState(), want, ("nft '…'",), ("nft '…'",), "linux_nftables", "digest")
    return replace(made, fences=(FenceRecord(fence, (LegRecord(leg.slot, change=change),)),))
