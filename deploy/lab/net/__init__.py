"""A hosting network that carries real packets: namespaces, Open vSwitch, nftables, sshd. Root only."""
