"""A segment at its own firewall: planned, proposed, approved by two, carried out, repaired, replaced and taken down."""

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from controller.answering import Answers
from controller.desk import Desk
from controller.domain.crossing import Crossing, Separation, Side, Transport
from controller.domain.decision import By, State
from controller.domain.errors import IllegalMove
from controller.domain.estate import Estate, Segment
from controller.domain.fence import Slot, SlotKind
from controller.domain.record import Decision, Request, RequestKind
from controller.domain.sight import Sight
from controller.separating import described
from tests.controller.fakes import FakeNetwork, Rehearsing
from tests.controller.house import House, World, world
from tests.controller.network_cases import NOON_NS, SITE, estate, rules

WEB = Crossing(Side.OUTSIDE, (ip_network("0.0.0.0/0"),), Transport.TCP, ("80", "443"), why="the web")
DNS = Crossing(Side.INSIDE, (ip_network("198.18.4.30/32"),), Transport.UDP, ("53",))
WALL = Slot("fw1", SlotKind.SEGMENT, "hosting")
RULES = Slot("fw1", SlotKind.FIREWALL, "cordon")


def place(*crossings: Crossing, **changes: Any) -> Estate:
    def one(segment: Segment) -> Segment:
        return replace(segment, crossings=crossings, **changes) if segment.name == "hosting" else segment

    return estate(segments=tuple(map(one, SITE.segments)))


class Town(House):
    """The house with somebody who asks and people who approve."""

    def __init__(self, world_: World, *crossings: Crossing, **changes: Any) -> None:
        changes.setdefault("estate_", place(*crossings))
        super().__init__(world_, **changes)
        self.desk = Desk(self.ledger, world_.clock)
        network = FakeNetwork({name: Rehearsing(one) for name, one in world_.devices.items()}, world_.holds)
        self.answers = Answers(
            clerk=self.clerk,
            decider=self.decider,
            surveyor=self.surveyor,
            segments=self.segments,
            lanes=self.lanes,
            network=network,
            estate=self.estate,
        )

    def asks(self, kind: RequestKind, about: str = "hosting") -> Request:
        ident = f"r{self.world.clock.ns}"
        self.world.clock.pause(0.001)
        self.ledger.ask(Request(ident, kind, "olga", "after the second outage", NOON_NS, about))
        self.answers.attend()
        assert self.lanes.idle(20.0)
        found: Request = self.ledger.request(ident)
        assert found.answered_ns, "not answered"
        return found

    def proposed(self, kind: RequestKind = RequestKind.SEGMENT_APPLY) -> Decision:
        answer = self.asks(kind)
        assert answer.decision_id, answer.answer
        decision: Decision = self.ledger.decision(answer.decision_id)
        assert decision.state is State.PROPOSED
        return decision

    def approved(self, decision: Decision, *actors: str) -> Decision:
        for actor in actors:
            self.desk.approve(decision.id, actor=actor, why="agreed")
        self.settle()
        assert not self.failures
        found: Decision = self.ledger.decision(decision.id)
        return found

    @property
    def wall(self) -> Separation | None:
        return self.world.devices["fw1"].state(WALL).separation


@pytest.fixture
def net(tmp_path: Path) -> Iterator[World]:
    with world(tmp_path) as made:
        yield made


def test_plan_shows_what_would_come_and_sends_nothing(net: World) -> None:
    answer = Town(net, WEB).asks(RequestKind.SEGMENT_PLAN).answer
    assert "+ separated: 198.18.3.0/24" in answer
    assert "+ may cross: 0.0.0.0/0 to 198.18.3.0/24 tcp port 443" in answer
    assert "segment hosting separation" in answer
    assert net.sent == []
    assert net.ledger.live() == ()


def test_a_separation_waits_for_two_different_people_and_is_then_held_and_read_back(net: World) -> None:
    town = Town(net, WEB, DNS)
    decision = town.proposed()
    assert "2 different people" in " ".join(one.text for one in decision.reasons)
    once = town.approved(decision, "ann")
    assert (once.state, net.sent) == (State.PROPOSED, [])
    with pytest.raises(IllegalMove, match="another person"):
        town.desk.approve(decision.id, actor="ann", why="once more")
    done = town.approved(decision, "bob")
    assert done.state is State.ENFORCED
    assert town.wall is not None
    assert any("198.18.4.30/32 udp port 53" in line for line in described(town.wall))
    moves = [(move.by, move.actor) for move in net.ledger.moves(decision.id)][:3]
    assert moves == [(By.PROPOSE, "olga"), (By.ENDORSE, "ann"), (By.APPROVE, "bob")]
    assert "holds what the site file declares" in town.asks(RequestKind.SEGMENT_PLAN).answer


def test_an_approval_that_only_one_person_gave_is_not_carried_out_even_if_it_stands_in_the_ledger(net: World) -> None:
    town = Town(net, WEB)
    decision = town.proposed()
    net.ledger.move(decision, By.APPROVE, at_ns=NOON_NS, actor="ann", why="past the desk")
    town.settle()
    assert town.ledger.decision(decision.id).state is State.FAILED
    assert net.sent == []


def test_asking_twice_is_asking_once(net: World) -> None:
    town = Town(net, WEB)
    decision = town.proposed()
    assert town.asks(RequestKind.SEGMENT_APPLY).decision_id == decision.id
    town.approved(decision, "ann", "bob")
    sent = list(net.sent)
    again = town.asks(RequestKind.SEGMENT_APPLY)
    assert (again.decision_id, net.sent) == (decision.id, sent)
    assert "already separates hosting so and is enforced" in again.answer


def test_a_changed_declaration_takes_the_place_of_the_old_one_without_a_gap(net: World) -> None:
    first = Town(net, WEB)
    old = first.approved(first.proposed(), "ann", "bob")
    later = Town(net, WEB, DNS)
    new = later.proposed()
    sent = len(net.sent)
    assert later.approved(new, "ann", "bob").state is State.ENFORCED
    assert net.ledger.decision(old.id).state is State.RELEASED
    assert len(net.sent) == sent + 1, "one change, and nothing opened in between"
    assert later.wall is not None
    assert {one.ports for one in later.wall.passages} == {"", "53", "80", "443"}
    later.released(new)
    assert later.wall is None


def test_a_proposal_that_the_site_file_has_overtaken_lapses(net: World) -> None:
    old = Town(net, WEB).proposed()
    Town(net, DNS).proposed()
    assert net.ledger.decision(old.id).state is State.LAPSED


def test_a_firewall_that_restarted_is_separated_again_and_nobodys_streams_are_told(net: World) -> None:
    town = Town(net, WEB)
    decision = town.approved(town.proposed(), "ann", "bob")
    held = town.wall
    net.devices["fw1"].restart()
    assert town.wall is None
    town.reconciler.sweep()
    assert town.lanes.idle(20.0)
    assert town.wall == held
    assert town.ledger.decision(decision.id).state is State.ENFORCED
    assert net.announcer.notes == []
    town.later(60.0)
    town.settle()
    assert net.pager.pages == [], "there is no traffic whose fall could be judged"


def test_a_firewall_that_accepts_and_does_nothing_ends_in_an_undo(net: World) -> None:
    net.devices["fw1"].lies = True
    town = Town(net, WEB)
    assert town.approved(town.proposed(), "ann", "bob").state is State.FAILED
    assert town.wall is None


def test_dry_run_needs_the_same_two_people_and_sends_nothing(net: World) -> None:
    town = Town(net, WEB, rules_=rules("dry-run"))
    decision = town.approved(town.proposed(), "ann", "bob")
    assert (decision.simulated, decision.state, "rehearsed" in decision.facts) == (True, State.APPROVED, True)
    assert decision.fences[0].legs[0].change is not None
    assert net.sent == []


def test_a_segment_is_isolated_by_hand_beside_its_separation(net: World) -> None:
    town = Town(net, WEB)
    town.approved(town.proposed(), "ann", "bob")
    isolation = town.approved(town.proposed(RequestKind.SEGMENT_ISOLATE), "ann", "cleo")
    assert isolation.state is State.ENFORCED
    held = net.devices["fw1"].state(RULES).entries
    assert {(str(one.source), one.segment) for one in held} == {("198.18.3.0/24", "hosting")}
    assert town.asks(RequestKind.SEGMENT_ISOLATE).decision_id == isolation.id
    town.released(isolation)
    assert net.devices["fw1"].state(RULES).entries == frozenset()
    assert town.wall is not None


def test_decisions_about_segments_leave_the_blast_radius_to_hosts(net: World) -> None:
    town = Town(net, WEB)
    town.approved(town.proposed(), "ann", "bob")
    town.approved(town.proposed(RequestKind.SEGMENT_ISOLATE), "ann", "bob")
    said = [one.text for one in town.decider.imagine("198.18.3.3").reasons if "segment hosting" in one.text]
    assert said
    assert all("would make 1 " in one for one in said)


@pytest.mark.parametrize(
    ("about", "crossings", "words"),
    [
        ("nowhere", (WEB,), "no segment is called 'nowhere'"),
        ("vps", (WEB,), "behind no firewall of its own"),
    ],
)
def test_what_cannot_be_separated_is_told_in_words(
    net: World, about: str, crossings: tuple[Crossing, ...], words: str
) -> None:
    town = Town(net, *crossings)
    for kind in (RequestKind.SEGMENT_PLAN, RequestKind.SEGMENT_APPLY, RequestKind.SEGMENT_CHECK):
        assert words in town.asks(kind, about).answer
    assert net.ledger.live() == ()


def test_a_segment_whose_crossings_nobody_declared_is_not_closed_by_mistake(net: World) -> None:
    town = Town(net, estate_=estate())
    assert "does not say what may cross" in town.asks(RequestKind.SEGMENT_APPLY).answer
    assert net.ledger.live() == ()


def test_a_platform_that_cannot_separate_is_told_before_anything_is_proposed(net: World) -> None:
    net.devices["fw1"].unsupported = "cannot hold separation in a segment"
    town = Town(net, WEB)
    assert "cannot hold separation" in town.asks(RequestKind.SEGMENT_APPLY).answer
    net.holds["fw1"] = frozenset({"block_address"})
    isolating = Town(net, WEB).asks(RequestKind.SEGMENT_ISOLATE).answer
    assert "fw1 cannot isolate a segment" in isolating
    assert net.ledger.live() == ()


def test_a_segment_that_cordon_lives_in_is_never_closed(net: World) -> None:
    hosts = tuple(replace(one, segment="hosting") if one.name == "forensics" else one for one in SITE.hosts)
    town = Town(net, estate_=replace_hosts(hosts))
    decision = town.proposed(RequestKind.SEGMENT_ISOLATE)
    assert any("lives on forensics" in one.text for one in decision.reasons)
    assert town.approved(decision, "ann", "bob").state is State.FAILED
    assert net.sent == []


def replace_hosts(hosts: Any) -> Estate:
    return Estate(replace(place(WEB).site, hosts=hosts))


def test_check_compares_asks_every_device_and_names_those_that_did_not_answer(net: World) -> None:
    net.devices["sw2"].sight = Sight("sw2", carries=frozenset({("ge3", 131), ("ge5", 131)}))
    net.devices["hv1"].sight = Sight("hv1")
    net.devices["sw1"].dead = True
    town = Town(net, estate_=place(WEB, prefixes=(ip_network("198.18.3.0/24"), ip_network("2001:db8:3::/48"))))
    answer = town.asks(RequestKind.SEGMENT_CHECK).answer.splitlines()
    assert answer[0] == "not well: fw1 does not hold what is declared for hosting; 1 ways around it"
    assert "VLAN leak: sw2/ge5 carries VLAN 131, where dns1 of core hangs" in answer
    assert "not asked: sw1: no answer" in answer
    town.approved(town.proposed(), "ann", "bob")
    net.devices["sw2"].sight = Sight("sw2", carries=frozenset({("ge3", 131)}))
    assert town.asks(RequestKind.SEGMENT_CHECK).answer.splitlines() == [
        "well: fw1 holds what is declared for hosting; no way around it was found",
        "not asked: sw1: no answer",
    ]
