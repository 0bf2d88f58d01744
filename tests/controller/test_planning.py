from dataclasses import replace
from typing import Any

import pytest

from controller.domain.address import Port
from controller.domain.fence import Fence, FenceKind, SlotKind
from controller.domain.verdict import Rates, TrafficClass, Verdict
from controller.locating import locate
from controller.planning import Need, candidates, need_of
from tests.controller.fakes import EVERYTHING, FakeNetwork
from tests.controller.network_cases import (
    FW1,
    HV1,
    NOON_NS,
    SITE,
    SW1,
    entered,
    estate,
    evidence,
    fragments,
    mac,
    rules,
    verdict,
)


def need(said: Verdict) -> Need:
    return need_of(said.evidence, said.rates, said.explains, estate(), rules(), now_ns=said.tick_end_ns)


def fences(said: Verdict, holds: dict[str, frozenset[str]] | None = None, **changes: Any) -> list[Fence]:
    network = FakeNetwork({}, holds)
    place = estate(**changes)
    return list(candidates(locate(said, place), need(said), place, rules(), network.holds))


def kinds(found: list[Fence]) -> list[str]:
    return [fence.kind.value for fence in found]


def where(fence: Fence) -> list[str]:
    return [str(leg.slot) for leg in fence.legs]


def test_a_container_without_a_reachable_hypervisor_is_blocked_by_address_at_its_port() -> None:
    first = fences(verdict("198.18.1.7"))[0]
    assert first.kind is FenceKind.BLOCK_ADDRESS
    assert where(first) == ["sw1:port:ge1"]
    assert {str(entry.source) for entry in first.legs[0].effect.entries} == {"198.18.1.7/32", "2001:db8:1:7::/64"}
    assert first.collateral == ()


def test_a_guest_is_cut_at_its_hypervisor() -> None:
    first = fences(verdict("198.18.2.101"))[0]
    assert (first.kind, where(first)) == (FenceKind.CUT_GUEST, ["hv1:guest:vnet1"])


def test_the_port_of_neighbours_is_throttled_only_where_nothing_narrower_can_be_held() -> None:
    wide = {"sw1": frozenset({"throttle", "shut", "quarantine"})}
    found = fences(verdict("198.18.1.7"), wide)
    assert kinds(found) == ["throttle", "quarantine", "shut"]
    assert len(found[0].collateral) == 19
    assert kinds(fences(verdict("198.18.1.7")))[:1] == ["block_address"]


def test_fragments_are_filtered_on_the_access_switch_and_never_on_the_firewall_that_suffers() -> None:
    found = fences(fragments())
    assert (found[0].kind, where(found[0])) == (FenceKind.FILTER_CLASS, ["sw2:port:ge3"])
    assert {entry.traffic for entry in found[0].legs[0].effect.entries} == {TrafficClass.FRAGMENTS}
    assert not [fence for fence in found if "fw1" in fence.devices]
    assert "fragments are 99 %" in found[0].why.replace("99%", "99 %")


def test_a_switch_that_cannot_filter_fragments_still_stops_them_upstream_of_the_firewall() -> None:
    found = fences(fragments(), {"sw2": EVERYTHING - {"filter_class:fragments"}})
    assert found[0].kind is FenceKind.BLOCK_ADDRESS
    assert where(found[0]) == ["sw2:port:ge3"]


def test_a_segments_firewall_is_used_when_the_switch_holds_nothing_and_the_firewall_is_well() -> None:
    plain = verdict("198.18.3.3", rates=Rates(bits=9e7, packets=9e3))
    found = fences(plain, {"sw2": frozenset()})
    # 2001:db8:3::/64 holds host4 too, whom the firewall could not tell apart
    assert found == []
    alone = replace(SITE, hosts=tuple(host for host in SITE.hosts if host.name != "host4"))
    assert where(fences(plain, {"sw2": frozenset()}, hosts=alone.hosts)[0]) == ["fw1:firewall:cordon"]


def test_a_shared_slash64_is_blocked_where_the_port_tells_its_owners_apart() -> None:
    assert where(fences(verdict("198.18.3.3"))[0]) == ["sw2:port:ge3"]


def test_neighbours_in_one_slash64_on_one_port_are_not_blocked_together() -> None:
    hosts = [host for host in SITE.hosts if host.name not in {"vps7", "vps8"}]
    both = [
        replace(next(h for h in SITE.hosts if h.name == name), addresses=(host_v4, host_v6))
        for name, host_v4, host_v6 in (
            ("vps7", verdict("198.18.1.7").subject.address, verdict("2001:db8:77::7").subject.address),  # type: ignore[union-attr]
            ("vps8", verdict("198.18.1.8").subject.address, verdict("2001:db8:77::8").subject.address),  # type: ignore[union-attr]
        )
    ]
    found = fences(verdict("198.18.1.7"), hosts=(*hosts, *both))
    assert "block_address" not in kinds(found)


def test_a_dual_homed_host_is_fenced_on_all_its_ports_or_not_at_all() -> None:
    found = fences(verdict("198.18.2.20"))
    assert all(len(fence.legs) == 2 for fence in found)
    one_legged = fences(verdict("198.18.2.20"), {"sw2": frozenset({"shut"})})
    assert kinds(one_legged) == ["shut"]


def test_a_lag_is_fenced_as_the_lag() -> None:
    assert where(fences(verdict("198.18.2.21"))[0]) == ["sw1:port:ae1"]


def test_forged_sources_are_not_blocked_by_address() -> None:
    assert kinds(fences(entered(SW1, 3)))[0] == "quarantine"
    assert kinds(fences(entered(HV1, 101)))[0] == "cut_guest"
    assert "block_address" not in kinds(fences(entered(SW1, 1, mac(9))))


def test_forged_fragments_are_filtered_whoever_sends_them_where_the_sender_is_alone() -> None:
    said = replace(
        entered(SW1, 3, rates=Rates(bits=1e6, packets=1e4, fragments=1e4)),
        evidence=(evidence("spoofed_source"), evidence("fragments", traffic=TrafficClass.FRAGMENTS)),
    )
    first = fences(said)[0]
    assert first.kind is FenceKind.FILTER_CLASS
    assert {entry.source for entry in first.legs[0].effect.entries} == {None}


def test_a_class_filter_is_not_enough_for_a_host_that_sends_much_else() -> None:
    assert "filter_class" not in kinds(fences(fragments(rates=Rates(bits=9e7, packets=12_000, fragments=6_000))))


def test_a_broken_in_host_is_cut_off_whole() -> None:
    said = fragments()
    broken = replace(said, evidence=(*said.evidence, evidence("web_exploit", compromise=True)))
    assert kinds(fences(said))[0] == "filter_class"
    assert "filter_class" not in kinds(fences(broken))


def test_fragments_and_malformed_packets_are_filtered_together() -> None:
    said = fragments(rates=Rates(bits=9e6, packets=12_000, fragments=6_000, malformed=5_900))
    both = replace(said, evidence=(*said.evidence, evidence("malformed", traffic=TrafficClass.MALFORMED)))
    entries = fences(both)[0].legs[0].effect.entries
    assert {entry.traffic for entry in entries} == {TrafficClass.FRAGMENTS, TrafficClass.MALFORMED}


def test_a_port_that_carries_storage_is_never_throttled() -> None:
    found = fences(verdict("198.18.2.32"))
    assert "throttle" not in kinds(found)
    quarantine = next(fence for fence in found if fence.kind is FenceKind.QUARANTINE)
    assert "service:storage" in quarantine.collateral
    assert quarantine.legs[0].effect.rate_bps is None


def test_quarantine_comes_with_its_limit_and_only_where_the_device_has_its_vlan() -> None:
    quarantine = next(fence for fence in fences(verdict("198.18.2.3")) if fence.kind is FenceKind.QUARANTINE)
    assert (quarantine.legs[0].effect.vlan, quarantine.legs[0].effect.rate_bps) == (999, 10_000_000)
    bare = tuple(replace(device, quarantine_vlan=None) for device in SITE.devices)
    assert "quarantine" not in kinds(fences(verdict("198.18.2.3"), devices=bare))


def test_a_device_that_shows_symptoms_is_never_relied_on() -> None:
    said = verdict("198.18.2.3", explains=("sw1: interface ge3 flaps",))
    assert need(said).symptoms == {"sw1"}
    assert fences(said) == []


@pytest.mark.parametrize(
    ("said", "suffers"),
    [
        (verdict(explains=(f"{FW1}: cpu 99 %",)), {"fw1"}),
        (verdict(explains=("cluster fw1, failover",)), {"fw1"}),
        (verdict(evidence_=(evidence(facts={"device": "fw1"}),)), {"fw1"}),
        (verdict(explains=("fw10: cpu",)), set()),
        (verdict(explains=("fw1: link to sw1 lost",)), {"fw1"}),
    ],
    ids=["by address", "by name in words", "by fact", "not by a longer name", "not by what it says of others"],
)
def test_who_suffers_is_read_from_names_addresses_and_facts(said: Verdict, suffers: set[str]) -> None:
    assert need(said).symptoms == suffers


def test_what_the_policy_does_not_prefer_is_not_planned() -> None:
    only = replace(rules(), fences=replace(rules().fences, preferred=("shut",)))
    place = estate()
    found = candidates(locate(verdict("198.18.2.3"), place), Need(), place, only, FakeNetwork({}).holds)
    assert [fence.kind for fence in found] == [FenceKind.SHUT]


def test_nearest_the_source_wins_among_equals() -> None:
    said = fragments("198.18.2.101", rates=Rates(packets=10_000, fragments=10_000), explains=())
    found = [fence for fence in fences(said) if fence.kind is FenceKind.FILTER_CLASS]
    assert [fence.legs[0].slot.kind for fence in found] == [SlotKind.GUEST, SlotKind.PORT]
    assert found[0].legs[0].slot.name == Port("hv1", "vnet1").interface


def test_old_evidence_has_no_force_left() -> None:
    said = fragments(at_ns=NOON_NS)
    later = need_of(said.evidence, said.rates, (), estate(), rules(), now_ns=NOON_NS + 3_600_000_000_000)
    assert need(said).classes == (TrafficClass.FRAGMENTS,)
    assert later.classes == ()
