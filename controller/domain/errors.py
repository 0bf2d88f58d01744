"""One tree of errors. Each says what failed, on which device or decision, and what it means for the host.

CordonError
├── ConfigError (ValueError)          site, policy or dialect file is wrong: file, key, what is expected
├── BadInput (ValueError)             a record, line or message that cannot be read: it becomes a dead letter
├── IllegalMove (ValueError)          a decision cannot go from this state to that one
├── StaleDecision (RuntimeError)      somebody else moved the decision first; read again
├── UnknownSubject (LookupError)      nothing in the estate answers to this address, port or name
├── NotLocated (LookupError)          the subject is known but no enforcement point is tied to it
├── LedgerUnavailable (ConnectionError)  no ledger, no push
├── BrokerUnavailable (ConnectionError)  no broker: nothing is heard and nothing is said
└── DeviceError (RuntimeError)        names the device
    ├── Unreachable (ConnectionError)     nothing was sent, or it is not known whether it arrived
    ├── Unsupported                       the dialect cannot hold this fence there: nothing was sent
    ├── ForeignState                      somebody else's configuration stands in the slot: nothing was sent
    ├── Rehearsed                         this session can only ask: nothing was sent
    ├── CommandRefused                    the device refused a line; lines before it may be live
    └── Unreadable                        the answer could not be parsed: what the device holds is unknown
"""


class CordonError(Exception):
    """Any failure that Cordon names itself."""


class ConfigError(CordonError, ValueError):
    """A configuration file is wrong. `file` and `key` say where, `expected` says what would be right."""

    def __init__(self, *, file: str, key: str, expected: str, got: str = "") -> None:
        self.file, self.key, self.expected, self.got = file, key, expected, got
        tail = f", got {got}" if got else ""
        super().__init__(f"{file}: {key}: expected {expected}{tail}")


class BadInput(CordonError, ValueError):
    """Input that cannot be read. `reason` is short and countable; the input itself goes to the dead letters."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class IllegalMove(CordonError, ValueError):
    """A decision cannot make this move from the state in which it is."""


class StaleDecision(CordonError, RuntimeError):
    """The decision was moved by somebody else since it was read."""


class UnknownSubject(CordonError, LookupError):
    """Nothing in the estate answers to this subject."""


class NotLocated(CordonError, LookupError):
    """The subject is known, but no enforcement point is tied to it."""


class LedgerUnavailable(CordonError, ConnectionError):
    """The ledger cannot be read or written. Without it nothing may be sent to a device."""


class BrokerUnavailable(CordonError, ConnectionError):
    """The broker cannot be reached, or does not let us do what the process is for."""


class DeviceError(CordonError, RuntimeError):
    """Something went wrong on, or on the way to, one device."""

    def __init__(self, device: str, message: str) -> None:
        self.device = device
        super().__init__(f"{device}: {message}")


class Unreachable(DeviceError, ConnectionError):
    """No session to the device, or it broke: what was sent last may or may not have arrived."""


class Unsupported(DeviceError):
    """The device's dialect cannot hold this fence in this place. Nothing was sent."""


class ForeignState(DeviceError):
    """Somebody else's configuration stands where the fence would go. Nothing was sent."""


class Rehearsed(DeviceError):
    """The session is a rehearsal's: it asks, and no configuring line leaves it. Nothing was sent."""


class CommandRefused(DeviceError):
    """The device refused `line` with `answer`. Lines before it may be live: observe, then undo."""

    def __init__(self, device: str, *, line: str, answer: str) -> None:
        self.line, self.answer = line, answer
        super().__init__(device, f"refused {line!r}: {answer.strip()!r}")


class Unreadable(DeviceError):
    """The device answered something that the dialect cannot read: what it holds is unknown, never 'as wanted'."""
