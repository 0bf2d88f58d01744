"""What each configuration submode of a Catalyst takes: patterns, and the verb that each stands for.

Sources: Cisco IOS and IOS XE command references for the Catalyst 2960-X/3750-X (15.2) and 9300 (16.x, 17.x). A verb
`set SLOT` replaces what stands in the slot, `no SLOT` empties it; the others are the editor's own.
"""

from deploy.lab.ios_grammar import Grammar

_LEAVE = [("exit", "exit"), ("end", "end")]

_GLOBAL = [
    ("hostname <name>", "set hostname"),
    ("interface <name:interface>", "interface"),
    ("interface range <names:line>", "range"),
    ("no interface <name:interface>", "no interface"),
    ("default interface <name:interface>", "default"),
    ("vlan <id:1-4094>", "vlan"),
    ("no vlan <id:1-4094>", "no vlan"),
    ("ip access-list (extended|standard) <name>", "list"),
    ("no ip access-list (extended|standard) <name>", "no list"),
    ("ip access-list resequence <name> <start:1-2147483647> <step:1-2147483647>", "resequence"),
    ("ipv6 access-list <name>", "list"),
    ("no ipv6 access-list <name>", "no list"),
    ("mac access-list extended <name>", "list"),
    ("no mac access-list extended <name>", "no list"),
    ("class-map [match-all|match-any] <name>", "class-map"),
    ("no class-map [match-all|match-any] <name>", "no class-map"),
    ("policy-map <name>", "policy-map"),
    ("no policy-map <name>", "no policy-map"),
    ("mac address-table static <mac:mac> vlan <id:1-4094> drop", "mac drop"),
    ("no mac address-table static <mac:mac> vlan <id:1-4094> [drop]", "no mac drop"),
    ("archive", "archive"),
    ("no archive", "no archive"),
    *_LEAVE,
]
_MLS = [("mls qos", "set mls qos"), ("no mls qos", "no mls qos")]
_PORT = [
    ("description <text:line>", "set description"),
    ("no description [<text:line>]", "no description"),
    ("shutdown", "shutdown"),
    ("no shutdown", "no shutdown"),
    ("switchport", "no no switchport"),
    ("no switchport", "set no switchport"),
    ("switchport mode (access|trunk|dynamic auto|dynamic desirable)", "set switchport mode"),
    ("no switchport mode [access|trunk|dynamic]", "no switchport mode"),
    ("switchport access vlan <vlan:1-4094>", "access vlan"),
    ("no switchport access vlan [<vlan:1-4094>]", "no access vlan"),
    ("switchport trunk native vlan <vlan:1-4094>", "set switchport trunk native vlan"),
    ("no switchport trunk native vlan [<vlan:1-4094>]", "no switchport trunk native vlan"),
    ("switchport trunk allowed vlan (<vlans:vlans>|all|none)", "set switchport trunk allowed vlan"),
    ("no switchport trunk allowed vlan", "no switchport trunk allowed vlan"),
    ("switchport nonegotiate", "set switchport nonegotiate"),
    ("no switchport nonegotiate", "no switchport nonegotiate"),
    ("switchport protected", "set switchport protected"),
    ("no switchport protected", "no switchport protected"),
    ("switchport block (unicast|multicast)", "set"),
    ("no switchport block (unicast|multicast)", "unset"),
    ("ip address <ip:ip> <mask:ip>", "ip address"),
    ("no ip address", "no ip address"),
    ("ip access-group <name> (in|out)", "bind ip access-group"),
    ("no ip access-group <name> (in|out)", "unbind ip access-group"),
    ("ipv6 traffic-filter <name> (in|out)", "bind ipv6 traffic-filter"),
    ("no ipv6 traffic-filter <name> (in|out)", "unbind ipv6 traffic-filter"),
    ("mac access-group <name> in", "bind mac access-group"),
    ("no mac access-group <name> in", "unbind mac access-group"),
    ("service-policy (input|output) <name>", "service-policy"),
    ("no service-policy (input|output) [<name>]", "no service-policy"),
    ("storm-control (broadcast|multicast|unicast) level <rise:level> [<fall:level>]", "storm"),
    ("storm-control (broadcast|multicast|unicast) level (bps|pps) <rise:level> [<fall:level>]", "storm"),
    ("no storm-control (broadcast|multicast|unicast) level", "unset"),
    ("storm-control action (shutdown|trap)", "set storm-control action"),
    ("no storm-control action (shutdown|trap)", "no storm-control action"),
    ("channel-group <group:1-255> mode (active|passive|on|auto|desirable)", "set channel-group"),
    ("no channel-group", "no channel-group"),
    ("load-interval <seconds:30-600>", "set load-interval"),
    ("no load-interval", "no load-interval"),
    ("spanning-tree portfast", "set spanning-tree portfast"),
    ("no spanning-tree portfast", "no spanning-tree portfast"),
    ("spanning-tree bpduguard (enable|disable)", "set spanning-tree bpduguard"),
    *_LEAVE,
]
_ENTRY = [
    ("(permit|deny) <entry:line>", "entry"),
    ("<seq:1-2147483647> (permit|deny) <entry:line>", "entry"),
    ("sequence <seq:1-2147483647> (permit|deny) <entry:line>", "entry"),
    ("remark <text:line>", "remark"),
    ("<seq:1-2147483647> remark <text:line>", "remark"),
    ("no sequence <seq:1-2147483647>", "no entry"),
    ("no <seq:1-2147483647>", "no entry"),
    ("no (permit|deny) <entry:line>", "no entry text"),
    *_LEAVE,
]
_CLASS_MAP = [
    ("match access-group name <name>", "set"),
    ("no match access-group name <name>", "unset"),
    ("match any", "set match any"),
    *_LEAVE,
]
_POLICE = "[conform-action transmit] [exceed-action (drop|transmit)]"
_POLICY_CLASS = [
    (f"police cir <rate:8000-10000000000> [bc <burst:1000-2000000000>] {_POLICE}", "police"),
    (f"police <rate:8000-10000000000> [<burst:1000-2000000000>] {_POLICE}", "police"),
    ("no police [<rest:line>]", "no police"),
    ("exit", "exit"),
    ("end", "end"),
]
_POLICER = [
    ("conform-action transmit", "set conform-action"),
    ("exceed-action (drop|transmit)", "set exceed-action"),
    *_LEAVE,
]
_VLAN = [
    ("name <name>", "set name"),
    ("no name", "no name"),
    ("shutdown", "set shutdown"),
    ("no shutdown", "no shutdown"),
    ("state (active|suspend)", "set state"),
    *_LEAVE,
]
_ARCHIVE = [
    ("path <url>", "set path"),
    ("no path", "no path"),
    ("maximum <count:1-14>", "set maximum"),
    ("write-memory", "set write-memory"),
    ("time-period <minutes:1-525600>", "set time-period"),
    *_LEAVE,
]

MODES: dict[str, Grammar] = {
    "config": Grammar(_GLOBAL),
    "config-classic": Grammar(_GLOBAL + _MLS),
    "config-if": Grammar(_PORT),
    "config-if-range": Grammar(_PORT),
    "config-ext-nacl": Grammar(_ENTRY),
    "config-std-nacl": Grammar(_ENTRY),
    "config-ipv6-acl": Grammar(_ENTRY),
    "config-ext-macl": Grammar(_ENTRY),
    "config-cmap": Grammar(_CLASS_MAP),
    "config-pmap": Grammar([("class <name>", "class"), ("no class <name>", "no class"), *_LEAVE]),
    "config-pmap-c": Grammar(_POLICY_CLASS),
    "config-pmap-c-police": Grammar(_POLICER),
    "config-vlan": Grammar(_VLAN),
    "config-archive": Grammar(_ARCHIVE),
}
LISTS = {
    "ip access-list extended": ("config-ext-nacl", "extended"),
    "ip access-list standard": ("config-std-nacl", "standard"),
    "ipv6 access-list": ("config-ipv6-acl", "ipv6"),
    "mac access-list extended": ("config-ext-macl", "mac"),
}
