"""The flat form of a request, as it goes over the wire: lists become `Name.1.Key`, counted from 1."""

from collections.abc import Iterator

from preflight.targets import parameters
from preflight.verdicts import ImportRequest


def flat(request: ImportRequest) -> Iterator[tuple[str, str]]:
    """The pairs of the RPC request, Action first."""
    yield "Action", "ImportImage"
    for key, value in parameters(request).items():
        if isinstance(value, list):
            for number, entry in enumerate(value, start=1):
                for name, item in entry.items():
                    yield f"{key}.{number}.{name}", str(item)
        else:
            yield key, str(value)
