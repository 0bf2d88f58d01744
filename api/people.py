"""Who a name, an address or a subject is in the estate. Pure."""

from dataclasses import dataclass

from controller.domain.address import AttachmentKey, HostKey, Port, SubjectKey, subject_of
from controller.domain.errors import BadInput, UnknownSubject
from controller.domain.estate import Estate, Host


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody that was asked about: a host of the estate, or a subject that the estate does not know."""

    asked: str
    host: Host | None
    subject: SubjectKey | None

    @property
    def name(self) -> str:
        """The host's name, else what was asked."""
        return self.host.name if self.host else self.asked


def owner(estate: Estate, subject: SubjectKey) -> Host | None:
    """The host that a subject is: by address, or as the only one (by MAC, where several are) behind a port."""
    if isinstance(subject, HostKey):
        return estate.host_at(subject.address) if not subject.scope else None
    interface = estate.by_if_index.get((subject.exporter, subject.interface))
    if interface is None:
        return None
    behind = estate.by_port.get(Port(interface.device, interface.name), ())
    if subject.mac:
        return next((host for host in behind if host.mac == subject.mac), None)
    return behind[0] if len(behind) == 1 else None


def person(estate: Estate, asked: str) -> Person:
    """Whom `asked` means: a host's name, an address, or a subject as verdicts write it. Raises UnknownSubject."""
    if asked in estate.hosts:
        return Person(asked, estate.hosts[asked], None)
    try:
        subject = subject_of(asked)
    except BadInput:
        raise UnknownSubject(f"no host is called {asked[:80]!r}, and it is no address") from None
    return Person(asked, owner(estate, subject), subject)


def is_about(estate: Estate, who: Person, subject: SubjectKey) -> bool:
    """True when a verdict on `subject` is about this person."""
    if who.host is None:
        return subject == who.subject
    found = owner(estate, subject)
    return found is not None and found.name == who.host.name


def ports_of(subject: SubjectKey) -> str:
    """Where an attachment's traffic enters, in words; empty for a host."""
    if isinstance(subject, AttachmentKey):
        return f"interface {subject.interface} of {subject.exporter}"
    return ""
