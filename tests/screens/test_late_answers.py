"""An answer that comes while its screen is being taken down is let go."""

from __future__ import annotations

from concurrent.futures import Future

from driving import press, settle
from fake import FakeSession
from textual.widgets import ContentSwitcher

from tqconsole.console import Console
from tqconsole.core.views import Inspected
from tqconsole.screens.worker import WorkerScreen


class SlowSession(FakeSession):
    """Its workers answer when they are told to."""

    def __init__(self) -> None:
        super().__init__()
        self.answer_later: Future[Inspected] = Future()

    def inspect(self, worker: str, what: str) -> Future[Inspected]:
        return self.answer_later


async def test_an_answer_to_a_screen_that_is_going_ends_nothing() -> None:
    session = SlowSession()
    app = Console(session, screen="workers")
    async with app.run_test(size=(120, 36)) as pilot:
        await settle(pilot)
        await press(pilot, "enter")
        assert isinstance(app.screen, WorkerScreen)

        # Textual takes the widgets of a screen away before the screen itself.
        await app.screen.query(ContentSwitcher).remove()
        assert app.screen.is_mounted
        session.answer_later.set_result(Inspected("w1", "active", text="nothing"))
        app._frame()
        await press(pilot, "q")

        assert not isinstance(app.screen, WorkerScreen)
