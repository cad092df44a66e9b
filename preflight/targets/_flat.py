"""The flat form of a request, as on the wire: `Name.1.Key` for lists, counted from 1, and `Name.Key` for objects."""

from collections.abc import Iterator

from preflight.import_requests import ImportRequest
from preflight.targets import parameters


def flat(request: ImportRequest) -> Iterator[tuple[str, str]]:
    """The pairs of the RPC request, Action first."""
    yield "Action", "ImportImage"
    for key, value in parameters(request).items():
        if isinstance(value, list):
            for number, entry in enumerate(value, start=1):
                for name, item in entry.items():
                    yield f"{key}.{number}.{name}", _text(item)
        elif isinstance(value, dict):
            for name, item in value.items():
                yield f"{key}.{name}", _text(item)
        else:
            yield key, _text(value)


def _text(value: object) -> str:
    """A value as the API's reference writes it: booleans are true and false."""
    return str(value).lower() if isinstance(value, bool) else str(value)
