"""How fast `preflight` starts and reads, how much it reads, and how much memory it takes; run by `make bench`."""

INITRAMFS = 40 << 20
"""Bytes of the one that is searched, as compressed."""
