"""The operating system inside: a module per subject, from a guest's files to facts.

They see a `contents.tree.Tree` and facts, nothing else; `preflight.guest_inspection` calls them.
"""
