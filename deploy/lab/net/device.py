"""A switch or firewall as Cordon meets it: a machine of its own with sshd on the management network.

A device has the network namespace of its place, and mount, process and host name spaces of its own: inside, Open
vSwitch has its sockets where its tools look for them, and the prompt bears the device's name. Its first process is a
script; when that ends, the kernel ends everything in the device. What lies in `folder` outlives that, as a
configuration on flash does: Open vSwitch's database, the host key.
"""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.lab.net.namespaces import LabError
from deploy.supervisor import die_with_parent

BOOT_S = 20.0
SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"

_MACHINE = """\
read -r pid _ < /proc/self/stat
mount --bind "$1" /mnt
echo "$pid" > /mnt/pid
hostname "$2"
mount -t proc proc /proc
mount -t tmpfs tmpfs /dev
for node in 'null 1 3' 'zero 1 5' 'full 1 7' 'random 1 8' 'urandom 1 9' 'tty 5 0'; do
  set -- $node; mknod -m 666 "/dev/$1" c "$2" "$3"
done
mkdir /dev/pts /dev/shm /dev/net
mknod -m 666 /dev/net/tun c 10 200
mount -t devpts -o newinstance,ptmxmode=0666,mode=620 devpts /dev/pts
ln -s pts/ptmx /dev/ptmx
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /root
mkdir -p /run/sshd /run/openvswitch
mount --bind /mnt/passwd /etc/passwd
mount --bind /mnt/shadow /etc/shadow
/usr/sbin/rsyslogd -n -f /mnt/rsyslog.conf -i /run/rsyslogd.pid &
"""

# Its sockets are deep, so that it needs no priority: woken late it takes many packets at once, at a third of the cost.
_SWITCH = f"""\
new=
[ -e /mnt/conf.db ] || new=yes
[ -z "$new" ] || ovsdb-tool create /mnt/conf.db {SCHEMA}
mkdir -p /etc/openvswitch /var/log/openvswitch
ovsdb-server /mnt/conf.db --remote=punix:/run/openvswitch/db.sock --pidfile --no-chdir -vsyslog:warn -vconsole:off &
while ! [ -S /run/openvswitch/db.sock ]; do sleep 0.01; done
[ -z "$new" ] || ovs-vsctl --no-wait init -- set Open_vSwitch . other_config:n-handler-threads=1 \\
  other_config:n-revalidator-threads=1
ovs-vswitchd --pidfile --no-chdir -vsyslog:warn -vconsole:off &
[ -z "$new" ] || . /mnt/setup
ovs-vsctl --timeout=15 wait-until Bridge br0 datapath_id!=[]
"""

_FIREWALL = """\
nft flush ruleset
nft -f /mnt/setup
"""

_SERVE = """\
/usr/sbin/sshd -D -f /mnt/sshd_config &
until grep -q ':0016 00000000:0000 0A' /proc/net/tcp; do sleep 0.01; done
touch /mnt/up
wait
"""

SERVICES = {"switch": _SWITCH, "firewall": _FIREWALL}

_SSHD = """\
ListenAddress {address}
HostKey /mnt/host_key
AuthorizedKeysFile /mnt/authorized_keys
StrictModes no
AllowUsers root
PermitRootLogin prohibit-password
PasswordAuthentication no
UsePAM no
UseDNS no
PidFile none
PrintMotd no
PrintLastLog no
MaxStartups 30
"""

_RSYSLOG = """\
module(load="imuxsock" SysSock.Name="/dev/log" SysSock.RateLimit.Interval="0")
*.* action(type="omfwd" target="{host}" port="{port}" protocol="udp" template="RSYSLOG_SyslogProtocol23Format")
"""


@dataclass(frozen=True, slots=True)
class Equipment:
    """What a device is given: kind, name, namespace, folder, address, whom to let in, where to log, its own lines."""

    kind: str
    name: str
    namespace: str
    folder: Path
    address: str
    authorized_key: str
    log_host: str
    log_port: int
    setup: Sequence[str]


@dataclass(frozen=True, slots=True)
class Shell:
    """A way into a device that runs, past SSH; whoever is root on this machine has it."""

    name: str
    folder: Path

    @property
    def pid(self) -> int:
        """The device's first process. Raises LabError where there is none yet."""
        try:
            return int((self.folder / "pid").read_text())
        except (OSError, ValueError):
            raise LabError(f"{self.name} is off") from None

    def run(self, text: str) -> tuple[int, str]:
        """Run a line in its shell, past SSH: exit status, and all that was printed."""
        enter = ("nsenter", "--target", str(self.pid), "--mount", "--uts", "--ipc", "--net", "--pid")
        done = subprocess.run((*enter, "bash", "-c", text), capture_output=True, text=True, timeout=30, check=False)
        return done.returncode, done.stdout + done.stderr

    def ask(self, text: str) -> str:
        """The same for a line that has to succeed. Raises LabError."""
        status, printed = self.run(text)
        if status:
            raise LabError(f"{self.name}: {text}: {printed.strip()}")
        return printed


class LabDevice:
    """One device, which can be switched on, off and on again."""

    def __init__(self, equipment: Equipment) -> None:
        self.name, self._equipment = equipment.name, equipment
        self.shell = Shell(equipment.name, equipment.folder)
        self._process: subprocess.Popen[bytes] | None = None
        folder = equipment.folder
        folder.mkdir(parents=True)
        files = {
            "boot": f"set -eu\n{_MACHINE}{SERVICES[equipment.kind]}{_SERVE}",
            "setup": "".join(f"{line}\n" for line in equipment.setup),
            "sshd_config": _SSHD.format(address=equipment.address),
            "rsyslog.conf": _RSYSLOG.format(host=equipment.log_host, port=equipment.log_port),
            "authorized_keys": equipment.authorized_key,
            "passwd": "root:x:0:0:root:/root:/bin/bash\nsshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n",
            "shadow": "root:*:1:0:99999:7:::\n",
        }
        for name, text in files.items():
            (folder / name).write_text(text)
        quietly("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", equipment.name, "-f", str(folder / "host_key"))

    @property
    def host_key(self) -> str:
        """Its line for known_hosts."""
        kind, key, _ = (self._equipment.folder / "host_key.pub").read_text().split()
        return f"{self._equipment.address} {kind} {key}"

    def start(self) -> None:
        """Switch it on; `await_ready` waits until SSH answers."""
        folder = self._equipment.folder
        (folder / "up").unlink(missing_ok=True)
        (folder / "pid").unlink(missing_ok=True)
        spaces = ("unshare", "--mount", "--uts", "--ipc", "--pid", "--fork", "--kill-child=KILL")
        command = ("ip", "netns", "exec", self._equipment.namespace, *spaces, "--propagation", "private")
        with (folder / "console").open("ab") as console:
            self._process = subprocess.Popen(
                (*command, "bash", str(folder / "boot"), str(folder), self.name),
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                preexec_fn=die_with_parent(signal.SIGKILL),  # unshare blocks SIGTERM
            )

    def await_ready(self) -> None:
        """Wait until SSH answers. Raises LabError with what stands on its console."""
        deadline = time.monotonic() + BOOT_S
        while not (self._equipment.folder / "up").exists():
            if self._process is None or self._process.poll() is not None or time.monotonic() > deadline:
                raise LabError(f"{self.name} did not come up: {self.console[-600:].strip() or 'its console is empty'}")
            time.sleep(0.01)

    def stop(self) -> None:
        """Pull the plug: every process in it is gone when this returns. Harmless when it is off."""
        if self._process is not None:
            with contextlib.suppress(LabError, ProcessLookupError):
                os.kill(self.shell.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
            self._process = None

    @property
    def running(self) -> bool:
        """False when it was switched off, or broke."""
        return self._process is not None and self._process.poll() is None

    @property
    def console(self) -> str:
        """What its processes have printed."""
        console = self._equipment.folder / "console"
        return console.read_text(errors="replace") if console.exists() else ""


def quietly(*command: str) -> None:
    """Run a program that has nothing to say. Raises LabError with what it says."""
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20, check=False)
    if done.returncode:
        raise LabError(f"{command[0]}: {done.stderr.strip() or done.stdout.strip()}")
