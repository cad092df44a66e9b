"""The entry point, and `python -m preflight`: an interrupt is no traceback, not even while the command is imported."""

import os
from typing import NoReturn


def _leave(*_: object) -> NoReturn:
    """End at once: nothing has been begun yet that would need an end."""
    os.write(2, b"preflight: interrupted\n")
    os._exit(130)


try:
    import signal

    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:  # as a shell does to what runs in its background
        signal.signal(signal.SIGINT, _leave)
except KeyboardInterrupt:
    _leave()
except ValueError:  # not the main thread: somebody imports this
    pass

from preflight.cli import main  # noqa: E402  # it takes 50 ms, in which people change their minds

if __name__ == "__main__":
    main()
