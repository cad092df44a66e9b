"""Disks with a real Debian, made by the recipe of `fixtures/real`, looked into and booted."""
