"""What ovs-ofctl's meter commands do to an emulated bridge. Source: ovs-ofctl(8), ovs-ofctl 3.1."""

from deploy.lab.ovs_bridge import Bridge
from deploy.lab.ovs_flows import Meter, parse_meter
from deploy.lab.ovs_match import FlowError
from deploy.lab.ovs_ofctl import Asked, Fatal, Rejected
from deploy.lab.shell import Result


def _meter(asked: Asked) -> Meter:
    try:
        meter = parse_meter(asked.args[1])
    except FlowError as error:
        raise Fatal(f"ovs-ofctl: {error}\n") from error
    meter.created = asked.call.now
    return meter


def _meter_error(asked: Asked, name: str, verb: str, meter: Meter) -> Rejected:
    head = f"OFPT_ERROR{asked.of} (xid=0x2): {name}\nOFPT_METER_MOD{asked.of} (xid=0x2): {verb} "
    return Rejected(head + meter.text + "\n")


def add_meter(asked: Asked, bridge: Bridge) -> Result:
    """Add a meter that is not there yet."""
    meter = _meter(asked)
    if {"kbps", "pktps"} <= set(meter.flags):
        raise _meter_error(asked, "OFPMMFC_BAD_FLAGS", "ADD", meter)
    if meter.number in bridge.tables.meters:
        raise _meter_error(asked, "OFPMMFC_METER_EXISTS", "ADD", meter)
    bridge.tables.meters[meter.number] = meter
    return Result(configured=True)


def mod_meter(asked: Asked, bridge: Bridge) -> Result:
    """Change a meter that is there."""
    meter = _meter(asked)
    if meter.number not in bridge.tables.meters:
        raise _meter_error(asked, "OFPMMFC_UNKNOWN_METER", "MOD", meter)
    bridge.tables.meters[meter.number] = meter
    return Result(configured=True)


def _number(asked: Asked) -> int | None:
    text = asked.args[1] if asked.args[1:] else "meter=all"
    name, _, value = text.partition("=")
    if name != "meter":
        raise Fatal(f"ovs-ofctl: unknown keyword {name}\n")
    if value == "all":
        return None
    if not value.isdigit() or not int(value):
        raise Fatal("ovs-ofctl: invalid value for meter\n")
    return int(value)


def del_meter(asked: Asked, bridge: Bridge) -> Result:
    """Take out one meter or all, and the flows that name it."""
    number = _number(asked)
    for known in [number] if number is not None else list(bridge.tables.meters):
        bridge.tables.remove_meter(known)
    return Result(configured=True)


def _some_meters(asked: Asked, bridge: Bridge, question: str) -> list[Meter] | Result:
    number = _number(asked)
    if number is None:
        return [bridge.tables.meters[known] for known in sorted(bridge.tables.meters)]
    if number in bridge.tables.meters:
        return [bridge.tables.meters[number]]
    head = f"OFPT_ERROR{asked.of} (xid=0x2): OFPMMFC_UNKNOWN_METER\n"
    return Result(head + f"{question} request{asked.of} (xid=0x2): meter={number}\n")


def dump_meters(asked: Asked, bridge: Bridge) -> Result:
    """Print how meters are set; an unknown one is the switch's error, printed with status 0."""
    found = _some_meters(asked, bridge, "OFPST_METER_CONFIG")
    if isinstance(found, Result):
        return found
    body = "\n\n".join(meter.text for meter in found)
    return Result(f"OFPST_METER_CONFIG reply{asked.of} (xid=0x2):\n" + (body + "\n" if body else ""))


def meter_stats(asked: Asked, bridge: Bridge) -> Result:
    """Print what meters have counted."""
    found = _some_meters(asked, bridge, "OFPST_METER")
    if isinstance(found, Result):
        return found
    texts = []
    for meter in found:
        users = sum(f"meter:{meter.number}" in flow.actions for flow in bridge.tables.flows)
        texts.append(
            f"meter:{meter.number} flow_count:{users} packet_in_count:{meter.packets_in} "
            f"byte_in_count:{meter.octets_in} duration:{max(0.0, asked.call.now - meter.created):.3f}s bands:\n"
            f"0: packet_count:{meter.dropped_packets} byte_count:{meter.dropped_octets}\n"
        )
    return Result(f"OFPST_METER reply{asked.of} (xid=0x2):\n" + "\n".join(texts))


def meter_features(asked: Asked, _: Bridge) -> Result:
    """Print what meters can do."""
    return Result(
        f"OFPST_METER_FEATURES reply{asked.of} (xid=0x2):\nmax_meter:262144 max_bands:8 max_color:0\n"
        "band_types: drop\ncapabilities: kbps pktps burst stats\n"
    )
