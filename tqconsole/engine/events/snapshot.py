"""Pictures of the cluster's state taken from time to time: `Polaroid`, Celery's camera.

A camera is a subclass with `on_shutter(state)`: it stores what it wants of `app.events.State`.
`tqconsole events --camera module:Class` runs one.
"""

from __future__ import annotations

import logging
from typing import Any

from tqconsole.engine.clock import SYSTEM_CLOCK, Clock
from tqconsole.engine.events.receiver import Receiver
from tqconsole.engine.events.state import State
from tqconsole.engine.exceptions import ImproperlyConfigured, OperationalError

logger = logging.getLogger(__name__)

#: Letter of a rate -> its seconds.
_UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0}
#: Between two attempts to hear a broker that went away, seconds.
_RETRY_S = 1.0


class Polaroid:
    """Takes a picture every `freq` seconds.

    Args:
        state: What is photographed.
        freq: Seconds between two pictures.
        maxrate: At most so many, as "10/m"; None: as many as `freq` gives.
        cleanup_freq: Seconds between two calls of `on_cleanup`.
    """

    #: Forget the tasks that have ended after each picture.
    clear_after = False

    def __init__(
        self,
        state: State,
        freq: float = 1.0,
        maxrate: str | float | None = None,
        cleanup_freq: float = 3600.0,
        timer: Any = None,
        app: Any = None,
    ) -> None:
        del timer  # Celery's: the loop below keeps time
        if freq <= 0:
            raise ImproperlyConfigured(
                f"a camera's freq is a number of seconds above 0, not {freq}"
            )
        self.state = state
        self.app = app
        self.freq = max(freq, interval_of(maxrate))
        self.cleanup_freq = cleanup_freq

    def on_shutter(self, state: State) -> None:
        """Store the picture. For overriding."""

    def on_cleanup(self) -> None:
        """Throw away what is old. For overriding."""

    def shutter(self) -> None:
        """Take one picture of a state that holds still, and clear it if the class says so."""
        self.state.freeze_while(lambda: self.on_shutter(self.state), clear_after=self.clear_after)

    capture = shutter

    def cleanup(self) -> None:
        """Clean up."""
        self.on_cleanup()


def interval_of(maxrate: str | float | None) -> float:
    """Return the least seconds between two of what may come `maxrate` often: 2, "2/s", "10/m".

    Raises: ImproperlyConfigured.
    """
    if not maxrate:
        return 0.0
    count, _, unit = str(maxrate).partition("/")
    try:
        return _UNITS_S[unit or "s"] / float(count)
    except (KeyError, ValueError, ZeroDivisionError) as error:
        raise ImproperlyConfigured(
            f"{maxrate!r} is no rate: write it as 10/s, 10/m or 10/h"
        ) from error


def run_camera(camera: Polaroid, receiver: Receiver, clock: Clock = SYSTEM_CLOCK) -> None:
    """Feed the camera's state with events and take its pictures, until `receiver.should_stop`.

    A picture that fails is logged; a broker that goes away is listened to again.
    """
    receiver.handlers["*"] = camera.state.event
    shot_mono = clock.mono() + camera.freq
    cleanup_mono = clock.mono() + camera.cleanup_freq
    while not receiver.should_stop:
        try:
            receiver.listen(until_mono=min(shot_mono, cleanup_mono))
        except OperationalError as error:
            logger.warning("The camera hears nothing: %s", error)
            clock.sleep(_RETRY_S)
        if clock.mono() >= shot_mono:
            _guarded(camera.shutter)
            shot_mono = clock.mono() + camera.freq
        if clock.mono() >= cleanup_mono:
            _guarded(camera.cleanup)
            cleanup_mono = clock.mono() + camera.cleanup_freq


def _guarded(take: Any) -> None:
    try:
        take()
    except Exception:  # the user's storage failed; the next picture may be kept
        logger.exception("The camera failed")
