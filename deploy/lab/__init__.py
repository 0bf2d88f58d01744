"""The laboratory: emulated devices, the emulated provider and its traffic. Imports nothing from drivers."""
