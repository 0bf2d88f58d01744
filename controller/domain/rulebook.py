"""policy.toml, field for field: every number that somebody may want to change.

Streams read `scoring` and `detectors`; the controller reads the rest. The digest of the file is stored with every
decision, so that it can be told later which rules were in force.
"""

from dataclasses import dataclass, field

from controller.domain.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Scoring:
    """How activity becomes a score. Thresholds are on the scale 0 to 100."""

    tick_ms: int = 250
    lateness_ms: int = 300  # how long a tick waits for records that are on their way
    watch: float = 40.0
    contain: float = 60.0
    isolate: float = 80.0
    buckets: int = 4096
    burst_factor: float = 1.25  # how much louder than a second's worth a single tick has to be, to count by itself
    baseline_window_s: float = 10.0  # a baseline learns one value per window in which the host was heard
    baseline_memory: int = 400  # windows until an old value has faded to 1/e
    baseline_min_age_s: float = 14_400.0  # event time over which a host must have been heard before its ratio counts
    checkpoint_s: float = 5.0
    habit_half_life_s: float = 120.0  # how fast what a host did over minutes fades: logins, knocks, replies
    silent_after_s: float = 15.0  # an exporter heard before is silent after so long
    stamp_trust_s: float = 172_800.0  # a receipt stamp so much older than the broker's own is void
    max_hosts: int = 1_000_000  # the longest idle are forgotten first
    expected_weight: float = 0.0  # factor on volumetric evidence inside an expected bulk window

    def __post_init__(self) -> None:
        if not 0 < self.watch < self.contain < self.isolate <= 100:
            raise ValueError("0 < watch < contain < isolate <= 100")
        if self.tick_ms <= 0 or (1000 % self.tick_ms and self.tick_ms % 1000):
            raise ValueError("tick_ms that divides a second or is whole seconds")
        if self.burst_factor < 1:
            raise ValueError("burst_factor of at least 1")
        if self.buckets < 4096:
            raise ValueError("buckets of at least 4096")


@dataclass(frozen=True, slots=True)
class Weighing:
    """How much one detector's finding counts, and how fast it fades."""

    weight: float = 0.9
    half_life_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 <= self.weight <= 1 or self.half_life_s <= 0:
            raise ValueError("weight from 0 to 1 and half_life_s above 0")


@dataclass(frozen=True, slots=True)
class Flood:
    """Outbound flood by absolute rate. Strength rises from 0 at `from` to 1 at the full figure."""

    weight: float = 0.95
    half_life_s: float = 10.0
    bits_per_s: float = 1e9
    packets_per_s: float = 100_000.0


@dataclass(frozen=True, slots=True)
class FloodRatio:
    """Outbound flood against the host's own baseline; below the floors nothing is loud enough to matter."""

    weight: float = 0.95
    half_life_s: float = 10.0
    ratio: float = 100.0
    floor_bits_per_s: float = 20e6
    floor_packets_per_s: float = 5_000.0


@dataclass(frozen=True, slots=True)
class PacketClass:
    """A class of packets that a healthy host hardly sends: fragments, malformed, odd protocols."""

    weight: float = 0.9
    half_life_s: float = 10.0
    packets_per_s: float = 2_000.0
    share: float = 0.3  # of the host's packets that must be of the class


@dataclass(frozen=True, slots=True)
class Scan:
    """Fan-out: new peers or ports touched per second with little to say to each."""

    weight: float = 0.85
    half_life_s: float = 20.0
    peers_per_s: float = 60.0
    ports_per_s: float = 100.0
    packets_per_flow: float = 4.0  # above this mean the contacts are conversations


@dataclass(frozen=True, slots=True)
class MailBurst:
    """Outbound mail sessions; a host with the role mail is measured by its ratio alone."""

    weight: float = 0.7
    half_life_s: float = 120.0
    flows_per_s: float = 5.0
    ratio: float = 20.0


@dataclass(frozen=True, slots=True)
class OneSided:
    """Replies that nobody asked for and knocks that nobody answers, over minutes.

    Where only one direction is exported every busy server looks like this: by itself it is no reason to act.
    """

    weight: float = 0.35
    half_life_s: float = 60.0
    replies: float = 1_000_000.0  # of late (scoring.habit_half_life_s)
    knocks: float = 1_000_000.0
    share: float = 0.5  # of all that the host sent


@dataclass(frozen=True, slots=True)
class LoginBurst:
    """Sessions begun where people log in, over minutes: guessing passwords, at one place or at many."""

    weight: float = 0.7
    half_life_s: float = 60.0
    sessions: float = 1_000.0  # of late (scoring.habit_half_life_s)


@dataclass(frozen=True, slots=True)
class LogRule:
    """Evidence from logs: weight of one line, and how many of the same kind make it whole."""

    weight: float = 0.5
    half_life_s: float = 300.0
    full_at: float = 5.0


@dataclass(frozen=True, slots=True)
class Attribution:
    """A device shows symptoms: hosts on it are ranked by their excess over their own baseline.

    That a link which many share is full, or loses packets, is a symptom; agents of sFlow tell it.
    """

    weight: float = 0.6
    half_life_s: float = 60.0
    window_s: float = 120.0
    ratio: float = 10.0
    floor_packets_per_s: float = 500.0
    link_use: float = 0.9  # share of a link's speed
    link_discards_per_s: float = 100.0
    link_errors_per_s: float = 10.0

    def __post_init__(self) -> None:
        if not 0 < self.link_use <= 1:
            raise ValueError("link_use above 0 and at most 1")
        if not (self.link_discards_per_s > 0 and self.link_errors_per_s > 0):
            raise ValueError("link_discards_per_s and link_errors_per_s above 0")


@dataclass(frozen=True, slots=True)
class Spoofed:
    """Traffic with sources that are not bound where it enters, charged to the attachment."""

    weight: float = 0.9
    half_life_s: float = 10.0
    packets_per_s: float = 1_000.0
    sources_per_s: float = 50.0


@dataclass(frozen=True, slots=True)
class Detectors:
    """All detectors. One table each, [detectors.<name>]."""

    flood: Flood = Flood()
    flood_ratio: FloodRatio = FloodRatio()
    fragments: PacketClass = PacketClass()
    malformed: PacketClass = PacketClass(packets_per_s=500.0, share=0.05)
    odd_protocol: PacketClass = PacketClass(packets_per_s=1_000.0)
    scan: Scan = Scan()
    one_sided: OneSided = OneSided()
    login_burst: LoginBurst = LoginBurst()
    mail_burst: MailBurst = MailBurst()
    spoofed_source: Spoofed = Spoofed()
    firewall_report: LogRule = LogRule(weight=0.5, full_at=20.0)
    ids_alert: LogRule = LogRule(weight=0.6, full_at=3.0)
    web_exploit: LogRule = LogRule(weight=0.45, half_life_s=86_400.0, full_at=1.0)
    attribution: Attribution = Attribution()


@dataclass(frozen=True, slots=True)
class BlastRadius:
    """How much may be fenced automatically at a time. Shares are of subjects and of tenants alike, rounded up."""

    per_segment_share: float = 0.10
    per_device: int = 4
    global_subjects: int = 20
    per_window: int = 20  # new fences within `window_s`, whole network
    window_s: float = 600.0
    tenants_per_fence: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.per_segment_share <= 1:
            raise ValueError("per_segment_share above 0 and at most 1")


@dataclass(frozen=True, slots=True)
class Corroboration:
    """Who has to agree before a fence is automatic."""

    witnesses: int = 1  # independent sources, if one is a trusted exporter on the management network
    kinds_without_trusted_flow: int = 2  # kinds of witnesses where no trusted exporter is among them
    counters: bool = True  # ask the port's own counters
    counter_factor: float = 4.0  # the port's rate and the verdict's may differ by so much
    counter_gap_s: float = 0.075
    counter_wait_s: float = 3.0  # devices that refresh their counters slowly are asked again for so long


@dataclass(frozen=True, slots=True)
class Quiet:
    """Hours (UTC minutes of the day) in which nothing is automatic."""

    from_minute: int = 0
    until_minute: int = 0


@dataclass(frozen=True, slots=True)
class Limits:
    """What keeps Cordon from becoming the outage."""

    allow: tuple[str, ...] = ()  # addresses, prefixes, host or tenant names that are never fenced
    blast: BlastRadius = BlastRadius()
    corroboration: Corroboration = Corroboration()
    retry_after_s: float = 900.0  # after a fence failed or was rejected, its subject waits for a person so long
    sensor_max_age_s: float = 10.0  # a verdict whose sensors are older is not acted on
    verdict_max_age_s: float = 30.0
    quiet: tuple[Quiet, ...] = ()
    kill_file: str = ""  # while this file exists nothing new is fenced


@dataclass(frozen=True, slots=True)
class Fences:
    """Which fences, and for how long."""

    preferred: tuple[str, ...] = (
        "filter_class",
        "cut_guest",
        "block_address",
        "quarantine",
        "shut",
        "throttle",
    )
    ttl_s: float = 3_600.0
    max_ttl_s: float = 86_400.0
    device_margin_s: float = 300.0  # added to the timer on a device that ends entries by itself
    confirm_s: int = 60  # a device with a revert timer takes an unverified change back after so long
    throttle_bps: int = 10_000_000
    probation_s: float = 86_400.0  # re-offending within it doubles the time
    proposal_lapse_s: float = 3_600.0
    hold_s: float = 0.0  # in approve mode: the narrowest fence holds for so long and ends unless extended; 0: never
    class_share: float = 0.8  # of the subject's packets that a class filter has to stop to be enough
    automatic_shut: bool = False  # of an unshared port


@dataclass(frozen=True, slots=True)
class Effect:
    """How it is judged that traffic fell behind a fence."""

    wait_s: float = 5.0
    fallen_to: float = 0.2  # of the rate in the verdict


@dataclass(frozen=True, slots=True)
class Logins:
    """How often it is proved that devices let Cordon in."""

    every_s: float = 86_400.0
    retry_s: float = 3_600.0  # after an attempt that failed

    def __post_init__(self) -> None:
        if min(self.every_s, self.retry_s) < 60:
            raise ValueError("every_s and retry_s of a minute at least: a login costs the device something")


@dataclass(frozen=True, slots=True)
class Rulebook:
    """The whole file."""

    version: int
    mode: str = "approve"  # enforce, approve or dry-run; a segment or device may be stricter, never looser
    scoring: Scoring = Scoring()
    detectors: Detectors = Detectors()
    limits: Limits = Limits()
    fences: Fences = Fences()
    effect: Effect = Effect()
    logins: Logins = Logins()
    pager_command: tuple[str, ...] = field(default=())  # run with the page as JSON on standard input

    def __post_init__(self) -> None:
        if self.version != 1:
            raise ConfigError(file="policy", key="version", expected="1", got=str(self.version))
        if self.mode not in MODES:
            raise ValueError(f"mode {' or '.join(MODES)}")


MODES = ("dry-run", "approve", "enforce")
"""From the strictest to the loosest."""


def strictest(*modes: str) -> str:
    """The mode that holds where several apply; empty ones do not speak."""
    return min((mode for mode in modes if mode), key=MODES.index, default="dry-run")
