"""How much a CPU-second does: Cordon's streams and their peers on the same traffic, over loopback."""
