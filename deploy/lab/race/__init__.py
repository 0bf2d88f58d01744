"""Cordon and a peer side by side on one sFlow stream and one switch."""
