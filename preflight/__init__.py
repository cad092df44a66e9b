"""Tells whether a disk image will import into a cloud and boot there, before a byte of it is uploaded."""

__version__ = "0.1.0"
