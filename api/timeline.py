"""One decision's story in order: first bad record, verdict, moves, verified legs, traffic seen to fall. Pure."""

from collections.abc import Iterator, Sequence

from api.schemas.decisions import Happening
from controller.domain.decision import By, Move
from controller.domain.record import Decision, FenceRecord

PEOPLE_SAY = {
    By.PROPOSE: "proposed",
    By.ENDORSE: "approved by the first of two",
    By.APPROVE: "approved",
    By.REJECT: "rejected",
    By.LAPSE: "lapsed: nobody approved it in time",
    By.APPLY: "being carried out",
    By.VERIFY: "enforced: the devices were asked and hold it",
    By.ROLL_BACK: "taken back: the devices hold what they held before",
    By.LOSE_SIGHT: "stuck: what the devices hold is not known",
    By.EXTEND: "extended",
    By.EXPIRE: "time is up",
    By.RELEASE: "to be released",
    By.FREE: "released: the devices hold what they held before",
    By.REFUSE: "refused before anything was sent",
    By.REPAIR: "looked at again and carried out again",
    By.WITHDRAW: "approval taken back",
    By.REHEARSE: "rehearsed: the lines are known and nothing was sent",
}

EFFECTS = {
    "fallen": "the traffic was seen to fall",
    "still_sending": "the traffic goes on",
    "unproven": "nobody could see whether the traffic fell",
}


def timeline(decision: Decision, moves: Sequence[Move]) -> list[Happening]:
    """What happened, first things first, each with the clock that stamped it.

    Event time runs behind the wall by the lateness that records are allowed. So the moves stand in the order in which
    they were made, no move stands before the proof that it rests on, and the rest stands between them by its stamp.
    """
    proofs = [one for record in decision.fences for one in _proofs(record)]
    proven_ns = max((one.at_ns for one in proofs), default=0)
    placed = [(one.at_ns, one) for one in proofs]
    floor = 0
    for one in _story(decision, moves):
        floor = max(floor, one.at_ns, proven_ns if one.what == f"move:{By.VERIFY}" else 0)
        placed.append((floor, one))
    return [one for _, one in sorted(placed, key=lambda pair: pair[0])]


def _story(decision: Decision, moves: Sequence[Move]) -> Iterator[Happening]:
    if decision.first_bad_ns:
        yield Happening(at_ns=decision.first_bad_ns, clock="event", what="first_bad", text="first bad record received")
    yield Happening(
        at_ns=decision.created_ns,
        clock="event",
        what="verdict",
        text=f"score {decision.score:.0f}: {'; '.join(one.text for one in decision.evidence) or 'no evidence kept'}",
    )
    for move in moves:
        said = PEOPLE_SAY.get(move.by, str(move.by))
        yield Happening(
            at_ns=move.at_ns, clock="event", what=f"move:{move.by}", text=f"{said} ({move.actor}: {move.why})"
        )
    if decision.effect:
        judged_ns = decision.facts.get(f"{decision.effect}_ns", "")
        yield Happening(
            at_ns=int(judged_ns) if judged_ns.isdigit() else decision.verified_wall_ns or decision.created_ns,
            clock="event",
            what=f"effect:{decision.effect}",
            text=EFFECTS.get(decision.effect, decision.effect),
        )


def _proofs(record: FenceRecord) -> Iterator[Happening]:
    for leg in record.legs:
        place = f"{record.fence.kind} on {leg.slot.device} {leg.slot.name}"
        if leg.recorded_ns:
            yield Happening(
                at_ns=leg.recorded_ns, clock="wall", what="recorded", text=f"{place}: lines and undo recorded"
            )
        if leg.verified_ns:
            yield Happening(at_ns=leg.verified_ns, clock="wall", what="verified", text=f"{place}: read back as wanted")
