"""The path of an image, as programs compare it with the paths of a repository."""


def plain(path: str) -> str:
    """`path` without empty segments and `.`, which change nothing; `..` stays, as links may lie before it."""
    segments = [segment for segment in path.split("/") if segment not in ("", ".")]
    return ("/" if path.startswith("/") else "") + "/".join(segments)
