"""Runs the console on the simulated cluster: `python -m tests.screens.simulated [screen]`."""

from __future__ import annotations

import sys

from tqconsole.console import Console
from tqconsole.core.simulate import SimulatedSession


class SimulatedConsole(Console):
    """The console with a cluster that works on, second by second."""

    async def on_mount(self) -> None:
        session = self.session
        assert isinstance(session, SimulatedSession)
        self.set_interval(1.0, lambda: session.advance(1))


def main() -> int:
    screen = sys.argv[1] if len(sys.argv) > 1 else None
    app = SimulatedConsole(SimulatedSession(), screen=screen)
    code = app.run()
    return app.return_code or 0 if code is None else code


if __name__ == "__main__":
    raise SystemExit(main())
