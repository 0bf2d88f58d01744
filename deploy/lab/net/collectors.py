"""Collectors of others, as a hoster may already have them: sfacctd of pmacct or goflow2 for flows, rsyslog for lines.

They write to the broker themselves and run where Cordon runs, on the management network's first address.
"""

from pathlib import Path

from deploy.lab.net.plan import NOC
from deploy.supervisor import Part

SFACCTD, RSYSLOGD = "/usr/sbin/sfacctd", "/usr/sbin/rsyslogd"
GOFLOW2 = Path(__file__).parents[3] / "build" / "goflow2" / "goflow2"
"""Where `deploy/goflow2.sh` puts it."""

_PMACCT = """\
daemonize: false
sfacctd_ip: {host}
sfacctd_port: {port}
sfacctd_renormalize: false
plugins: kafka[flows]
aggregate[flows]: peer_src_ip, in_iface, out_iface, src_mac, dst_mac, etype, src_host, dst_host, src_port, dst_port, \
proto, tcpflags, sampling_rate, timestamp_arrival
timestamps_since_epoch: true
timestamps_secs: false
kafka_output: json
kafka_topic[flows]: {topic}
kafka_broker_host: {broker_host}
kafka_broker_port: {broker_port}
kafka_refresh_time[flows]: 1
kafka_multi_values[flows]: 100000
plugin_buffer_size: 10240
plugin_pipe_size: 10240000
logfile: {log}
"""

_RSYSLOG = """\
global(workDirectory="{folder}")
module(load="imudp")
module(load="omkafka")
template(name="whole" type="string" string="%jsonmesg%")
template(name="sender" type="string" string="%fromhost-ip%")
ruleset(name="devices") {{
  action(type="omkafka" broker=["{broker}"] topic="{topic}" template="whole" key="sender" dynakey="on"
    errorFile="{folder}/refused" confParam=["linger.ms=20", "api.version.request=true"])
}}
input(type="imudp" address="{host}" port="{port}" ruleset="devices")
"""


def sfacctd(folder: Path, *, broker: str, topic: str, port: int) -> Part:
    """The sFlow collector of pmacct, which hands on what it has every second."""
    host, _, broker_port = broker.rpartition(":")
    settings = folder / "sfacctd.conf"
    values = {"host": NOC, "port": port, "topic": topic, "broker_host": host, "broker_port": broker_port}
    settings.write_text(_PMACCT.format(**values, log=folder / "sfacctd.log"))
    return Part("sfacctd", (SFACCTD, "-f", str(settings)))


def goflow2(*, broker: str, topic: str, port: int) -> Part:
    """goflow2, a record a message, handed on after at most a tenth of a second."""
    kafka = ("-transport=kafka", f"-transport.kafka.brokers={broker}", f"-transport.kafka.topic={topic}")
    more = ("-transport.kafka.flushfreq=100ms", "-format=json", "-addr=127.0.0.1:0")
    return Part("goflow2", (str(GOFLOW2), f"-listen=sflow://{NOC}:{port}", *kafka, *more))


def rsyslog(folder: Path, *, broker: str, topic: str, port: int) -> Part:
    """A log collector, which hands each line on with the address that it came from."""
    home = folder / "rsyslog"
    home.mkdir()
    settings = home / "rsyslog.conf"
    settings.write_text(_RSYSLOG.format(folder=home, broker=broker, topic=topic, host=NOC, port=port))
    return Part("rsyslog", (RSYSLOGD, "-n", "-f", str(settings), "-i", str(home / "pid")))
