"""The programs of a gateway's expert mode that belong to Check Point, and the old Linux ones that Gaia still has.

Source: Check Point R81 CLI reference guide (fw stat, fw ver, fw tab, fw sam, fw sam_policy, cphaprob), net-tools.
"""

from dataclasses import dataclass, replace

from deploy.lab.gaia_gateway import Gateway
from deploy.lab.shell import Call, Result, lines_of, refuse

VERSION = "R81.10"
_TABLES = {"connections": 8158, "sam_blocked_ips": 8141, "sam_requests": 8142}


@dataclass(slots=True)
class Programs:
    """Bound to one gateway; `install` puts them on its machine."""

    gateway: Gateway

    def install(self) -> None:
        """Add the programs to the machine's."""
        self.gateway.machine.programs |= {
            "fw": self.fw,
            "fw6": self.fw6,
            "cphaprob": self.cphaprob,
            "arp": self.arp,
            "ifconfig": self.ifconfig,
            "set": self.nothing,
        }

    def nothing(self, _: Call) -> Result:
        """A shell built-in that prints nothing."""
        return Result()

    def fw(self, call: Call) -> Result:
        """The firewall's own program."""
        args = call.args[1:] if call.args[:1] == ("-d",) else call.args
        if not args:
            return refuse("Usage: fw [-d] { ver | stat | tab | sam | sam_policy | samp | ctl } ...")
        inner = replace(call, args=args[1:])
        match args[0]:
            case "sam":
                result = self.gateway.sam.run(inner)
                self.gateway.close_sessions()
                return result
            case "samp" | "sam_policy":
                return self.gateway.policies[4].run(inner)
            case "ver":
                return Result(f"This is Check Point's software version {VERSION} - Build 335\n")
            case "stat":
                return self._stat()
            case "tab":
                return self._tab(args[1:])
            case "ctl" if args[1:] == ("pstat",):
                return Result(
                    f"\nSystem Capacity Summary:\n  Concurrent Connections: {len(self.gateway.connections)}\n"
                )
            case _:
                return refuse(f"fw: unknown command {args[0]}")

    def fw6(self, call: Call) -> Result:
        """The firewall's program for IPv6: only policy rules, there is no `fw6 sam`."""
        if call.args[:1] in (("samp",), ("sam_policy",)):
            return self.gateway.policies[6].run(replace(call, args=call.args[1:]))
        return refuse(f"fw6: unknown command {' '.join(call.args[:1])}")

    def _stat(self) -> Result:
        names = [port.name for port in self.gateway.plan.ports]
        ways = " ".join(f"[>{name}] [<{name}]" for name in names)
        return Result(f"HOST      POLICY     DATE\nlocalhost Standard   12May2024 10:11:12 : {ways}\n")

    def _tab(self, args: tuple[str, ...]) -> Result:
        name = args[args.index("-t") + 1] if "-t" in args[:-1] else ""
        if name not in _TABLES:
            return refuse(f"fw: failed to get table {name}" if name else "Usage: fw tab -t <table> [-s]")
        held = len(self.gateway.connections) if name == "connections" else len(self.gateway.sam.rules)
        peak = max(self.gateway.peak, held) if name == "connections" else held
        if "-s" in args:
            head = "HOST                  NAME                               ID #VALS #PEAK #SLINKS\n"
            return Result(f"{head}localhost             {name:<32} {_TABLES[name]:>4} {held:>5} {peak:>5} {0:>7}\n")
        rows = []
        if name == "connections":
            for one, two, protocol in self.gateway.connections:
                rows.append(f"<00000000, {one[0]}, {one[1]:08x}, {two[0]}, {two[1]:08x}, {protocol:08x}>")
        else:
            rows = [f"<{rule.criteria.text}>" for rule in self.gateway.sam.rules]
        head = f"dynamic, id {_TABLES[name]}, num ents {held}, attributes: keep, limit 50000, hashsize 512"
        return Result(lines_of(["localhost:", f"-------- {name} --------", head, *rows]))

    def cphaprob(self, call: Call) -> Result:
        """State of the cluster: `stat` and `state`."""
        if call.args not in (("stat",), ("state",)):
            return refuse("Usage: cphaprob { stat | state }")
        state = self.gateway.cluster_state()
        if not state:
            return Result("HA module not started.\n")
        members = [one.partition("=") for one in self.gateway.plan.options.get("cluster", "").split(",") if one]
        lines = ["", "Cluster Mode:   High Availability (Active Up) with IGMP Membership", ""]
        lines += ["ID         Unique Address  Assigned Load   State          Name", ""]
        for number, (name, _, address) in enumerate(members, 1):
            local = name == self.gateway.machine.hostname
            shown = state if local else "STANDBY" if state == "ACTIVE" else "ACTIVE"
            ident = f"{number} (local)" if local else str(number)
            load = "100%" if shown == "ACTIVE" else "0%"
            lines.append(f"{ident:<10} {address:<15} {load:<15} {shown:<14} {name}")
        return Result(lines_of([*lines, "", "Active PNOTEs: None", ""]))

    def arp(self, call: Call) -> Result:
        """The ARP table, `-a` and `-n` as net-tools prints them."""
        if set("".join(call.args).replace("-", "")) - set("an"):
            return refuse("Usage: arp [-an]")
        found = [one for one in self.gateway.neighbours() if ":" not in one.address]
        if any("a" in arg for arg in call.args):
            return Result(lines_of(f"? ({one.address}) at {one.mac} [ether] on {one.device}" for one in found))
        head = "Address                  HWtype  HWaddress           Flags Mask            Iface"
        rows = [f"{one.address:<24} ether   {one.mac:<19} C                     {one.device}" for one in found]
        return Result(lines_of([head, *rows]))

    def ifconfig(self, call: Call) -> Result:
        """Interfaces with their counters, all that are up or the one that is named."""
        links = self.gateway.links
        if call.args and call.args[0] not in links:
            return refuse(f"{call.args[0]}: error fetching interface information: Device not found")
        if len(call.args) > 1:
            return refuse("SIOCSIFFLAGS: Operation not permitted")
        lines: list[str] = []
        for link in [links[call.args[0]]] if call.args else [one for one in links.values() if one.up]:
            four = next((one for one in link.addresses if ":" not in one), "")
            lines.append(f"{link.name:<9} Link encap:Ethernet  HWaddr {link.mac.upper()}  ")
            lines += [f"          inet addr:{four.partition('/')[0]}  Mask:/{four.partition('/')[2]}"] if four else []
            lines += [
                f"          {'UP BROADCAST RUNNING' if link.up else 'BROADCAST'} MULTICAST  MTU:1500  Metric:1",
                f"          RX packets:{link.rx_packets} errors:0 dropped:0 overruns:0 frame:0",
                f"          TX packets:{link.tx_packets} errors:0 dropped:0 overruns:0 carrier:0",
                "          collisions:0 txqueuelen:1000 ",
                f"          RX bytes:{link.rx_bytes} TX bytes:{link.tx_bytes}",
                "",
            ]
        return Result(lines_of(lines))
