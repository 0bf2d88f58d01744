"""`ovs-ofctl` of an emulated Open vSwitch: reading its command line. Source: ovs-ofctl(8) and ovs-ofctl 3.1 itself."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType

from deploy.lab.ovs_bridge import Bridge
from deploy.lab.ovs_flows import Flow, Spec, parse
from deploy.lab.ovs_match import FlowError
from deploy.lab.shell import Call, Result

OPENFLOW: Mapping[str, int] = MappingProxyType({f"OpenFlow1{minor}": minor + 1 for minor in range(6)})
FLAGS = frozenset({"--strict", "--names", "--no-names", "--no-stats", "--stats", "--bundle", "--readd", "--color"})
COMMANDS: Mapping[str, tuple[int, int]] = MappingProxyType(
    {
        "show": (1, 1),
        "dump-flows": (1, 2),
        "dump-aggregate": (1, 2),
        "dump-ports": (1, 2),
        "dump-ports-desc": (1, 2),
        "add-flow": (2, 2),
        "add-flows": (2, 2),
        "mod-flows": (2, 2),
        "del-flows": (1, 2),
        "mod-port": (3, 3),
        "add-meter": (2, 2),
        "mod-meter": (2, 2),
        "del-meter": (1, 2),
        "del-meters": (1, 2),
        "dump-meter": (1, 2),
        "dump-meters": (1, 2),
        "meter-stats": (1, 2),
        "meter-features": (1, 1),
    }
)
NO_METERS = (
    "none of the usable flow formats (OXM-OpenFlow13,OXM-OpenFlow14,OXM-OpenFlow15) is among the allowed flow formats "
    "(OpenFlow10,NXM)"
)


class Rejected(Exception):
    """The switch answered with an OpenFlow error; the text is how ovs-ofctl prints it."""


class Fatal(Exception):
    """ovs-ofctl gives up; the text goes to standard error after what was printed so far."""


@dataclass(slots=True)
class Asked:
    """A command line that was understood so far."""

    command: str
    args: list[str]
    versions: list[int]
    options: dict[str, str]
    call: Call
    version: int = 0  # as negotiated
    warnings: list[str] = field(default_factory=list)

    @property
    def names(self) -> bool:
        """Ports are shown by name: on request, and by default on a terminal."""
        return "--names" in self.options or (self.call.terminal and "--no-names" not in self.options)

    @property
    def of(self) -> str:
        """Version as headings show it: nothing for OpenFlow 1.0."""
        return f" (OF1.{self.version - 1})" if self.version > 1 else ""


def read(call: Call) -> Asked:
    """Read options and command; Fatal in ovs-ofctl's words."""
    rest = list(call.args)
    options: dict[str, str] = {}
    versions = [1]
    words: list[str] = []
    for name, value in _options(rest, words):
        if name == "-O":
            versions = []
            for protocol in filter(None, value.replace("+", ",").split(",")):
                if protocol not in OPENFLOW:
                    raise Fatal(f'ovs-ofctl: Unknown OpenFlow version: "{protocol}"\n')
                versions.append(OPENFLOW[protocol])
        else:
            options[name] = value
    if not words:
        raise Fatal("ovs-ofctl: missing command name; use --help for help\n")
    command, *args = words
    if command not in COMMANDS:
        raise Fatal(f"ovs-ofctl: unknown command '{command}'; use --help for help\n")
    least, most = COMMANDS[command]
    if len(args) < least:
        raise Fatal(f"ovs-ofctl: '{command}' command requires at least {least} arguments\n")
    if len(args) > most:
        raise Fatal(f"ovs-ofctl: '{command}' command takes at most {most} arguments\n")
    return Asked(command, args, versions, options, call)


def _options(rest: list[str], words: list[str]) -> Iterator[tuple[str, str]]:
    """Take the options out of `rest`, wherever they stand; what is none goes to `words`."""
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        name, _, value = word.partition("=")
        if name in ("-O", "--protocols") or word.startswith("-O"):
            yield "-O", value or ("" if name.startswith("--") else word[2:]) or _next(rest, name)
        elif name in ("-F", "-t", "--flow-format", "--timeout"):
            yield name, value or _next(rest, name)
        elif name in ("--sort", "--rsort"):
            yield name, value or "priority"
        elif name in FLAGS:
            yield name, value
        elif name not in ("-m", "--more", "--no-syslog") and not name.startswith("-v"):
            raise Fatal(f"ovs-ofctl: unrecognized option '{name}'\n")


def _next(rest: list[str], name: str) -> str:
    if not rest:
        raise Fatal(f"ovs-ofctl: option '{name}' requires an argument\n")
    return rest.pop(0)


def negotiate(asked: Asked, offered: list[int], bridge: str) -> int:
    """Agree on an OpenFlow version: the highest of both sides; Fatal as ovs-ofctl says it."""
    common = set(asked.versions) & set(offered)
    if common:
        return max(common)
    stamp = _stamp(asked.call)
    ours, theirs = _versions(asked.versions), _versions(offered)
    raise Fatal(
        f"{stamp}|00001|vconn|WARN|unix:/var/run/openvswitch/{bridge}.mgmt: version negotiation failed "
        f"(we support {ours}, peer supports {theirs})\n"
        f"ovs-ofctl: {bridge}: failed to connect to socket (Broken pipe)\n"
    )


def _versions(numbers: list[int]) -> str:
    return f"version{'s' if len(numbers) > 1 else ''} " + ", ".join(f"0x{number:02x}" for number in sorted(numbers))


def _stamp(call: Call) -> str:
    return datetime.fromtimestamp(call.now, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def spec(asked: Asked, bridge: Bridge, text: str, *, selecting: bool) -> Spec:
    """Read one flow, and warn as ovs-ofctl does when normalisation takes something away."""
    try:
        read_flow = parse(text, bridge.numbers, selecting=selecting, strict="--strict" in asked.options)
    except FlowError as error:
        raise Fatal(f"ovs-ofctl: {error}\n") from error
    if read_flow.typed.fields != read_flow.flow.match.fields:
        stamp = _stamp(asked.call)
        before, after = read_flow.typed.text({}), read_flow.flow.match.text({})
        for line in ("normalization changed ofp_match, details:", f" pre: {before}", f"post: {after}"):
            asked.warnings.append(f"{stamp}|{len(asked.warnings) + 1:05d}|ofp_match|INFO|{line}\n")
    return read_flow


def flow_text(flow: Flow, asked: Asked, bridge: Bridge, *, stats: bool) -> str:
    """Give a flow as `dump-flows` prints it, after its leading blank."""
    names = {number: name for name, number in bridge.numbers.items()} if asked.names else {}
    now = asked.call.now
    parts = []
    if stats:
        parts += [
            f"cookie=0x{flow.cookie:x}",
            f"duration={max(0.0, now - flow.created):.3f}s",
            f"table={flow.table}",
            f"n_packets={flow.packets}",
            f"n_bytes={flow.octets}",
        ]
    else:
        parts += [f"cookie=0x{flow.cookie:x}"] if flow.cookie else []
        parts += [f"table={flow.table}"] if flow.table else []
    parts += [f"idle_timeout={flow.idle_timeout}"] if flow.idle_timeout else []
    parts += [f"hard_timeout={flow.hard_timeout}"] if flow.hard_timeout else []
    if stats and asked.version == 1:
        parts.append(f"idle_age={min(65535, int(max(0.0, now - max(flow.used, flow.created))))}")
    head = "".join(f"{part}, " for part in parts) + "".join(
        f"{flag} " for flag in flow.flags if flag != "reset_counts" or asked.version > 1
    )
    return head + rule_text(flow, names, asked.version)


def rule_text(flow: Flow, names: Mapping[int, str], version: int) -> str:
    """Give priority, match and actions of a flow."""
    match = flow.match.text(names)
    if flow.priority != 32_768:
        match = f"priority={flow.priority}" + (f",{match}" if match else "")
    actions = [_action(action, names) for action in flow.actions if version > 1 or not action.startswith("meter:")]
    return f"{match}{' ' if match else ''}actions={','.join(actions) or 'drop'}"


def _action(action: str, names: Mapping[int, str]) -> str:
    name, _, value = action.partition(":")
    if name != "output":
        return action
    number = int(value)
    return "LOCAL" if number == 65_534 else f"output:{names.get(number, number)}"


Handler = Callable[[Asked, Bridge], Result]
