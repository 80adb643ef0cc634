"""The process that prefork children are copies of, and their reaper.

It is forked from the worker after the app was imported and before the worker has threads or
sockets, stays single-threaded, and forks a child whenever the worker orders one. So no child ever
inherits a lock that somebody held, nor a sibling's descriptors. It ends when the worker does: by
the end of its socket, and on Linux by the kernel (a SIGKILL of the worker included).
"""

from __future__ import annotations

import contextlib
import gc
import logging
import multiprocessing
import os
import select
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from tqconsole.engine.pools import frame
from tqconsole.engine.pools.base import CHILD_VARIABLE, NewProgram
from tqconsole.engine.pools.child import Child, ChildPlan
from tqconsole.engine.pools.process import die_with, set_process_title

logger = logging.getLogger(__name__)

_CLOSE_ON_EXEC = getattr(socket, "MSG_CMSG_CLOEXEC", 0)

#: These reach a whole process group (a terminal, `kill -- -pgid`): the worker answers them.
_TEMPLATE_IGNORES = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
#: What `terminate` may send has its plain effect in a child.
_CHILD_RESETS = (signal.SIGTERM, signal.SIGQUIT, signal.SIGUSR2, signal.SIGCHLD)


def fork_template(plan: ChildPlan, *, is_late: bool = False) -> tuple[int, socket.socket]:
    """Fork the template; return its pid and the socket to it. Returns only in the worker.

    `is_late`: the worker has connections already (an earlier template died).
    """
    # What stands in these buffers would be written once more by each copy.
    _flush_streams()
    ours, theirs = socket.socketpair()
    parent_pid = os.getpid()
    pid = os.fork()
    if not pid:
        ours.close()
        if is_late:
            _silence_sockets(kept=(theirs.fileno(),))
        finish_as(Template(plan, theirs, parent_pid).serve)
    theirs.close()
    return pid, ours


class Template:
    """Forks on order, reaps, tells."""

    def __init__(self, plan: ChildPlan, control: socket.socket, parent_pid: int) -> None:
        self._plan = plan
        self._control = control
        self._parent_pid = parent_pid
        self._pid = os.getpid()
        self._wake_reader, self._wake_writer = socket.socketpair()

    def serve(self) -> int:
        """Work until the worker closes its end."""
        die_with(self._parent_pid)
        set_process_title("[celeryd: tqconsole pool]", "tq-template")
        self._take_signals()
        _close_stdin()
        # Children then share these objects' pages for good: no collection writes into them.
        gc.freeze()
        poller = select.poll()
        poller.register(self._control, select.POLLIN)
        poller.register(self._wake_reader, select.POLLIN)
        is_open = True
        while is_open:
            for descriptor, _ in poller.poll():
                if descriptor == self._control.fileno():
                    is_open = self._obey()
                else:
                    self._reap()
        return 0

    def _take_signals(self) -> None:
        for number in _TEMPLATE_IGNORES:
            signal.signal(number, signal.SIG_IGN)
        for end in (self._wake_reader, self._wake_writer):
            end.settimeout(0)
        signal.set_wakeup_fd(self._wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda signum, frame: None)

    def _obey(self) -> bool:
        """Carry out one order; False when the worker is gone."""
        try:
            # One order is sent as one message of this very size, so none is ever cut or joined.
            order, descriptors, _, _ = socket.recv_fds(
                self._control, frame.ORDER.size, len(frame.Ends._fields), _CLOSE_ON_EXEC
            )
        except ConnectionResetError:
            return False
        if not order:
            return False
        (number,) = frame.ORDER.unpack(order)
        self._fork_child(number, descriptors)
        for descriptor in descriptors:
            os.close(descriptor)
        return True

    def _fork_child(self, number: int, descriptors: Sequence[int]) -> None:
        before_fork = self._plan.options.before_fork
        try:
            if before_fork is not None:
                before_fork()
        except Exception:
            # User code at the edge; without this process there is no pool.
            logger.exception("What is to run before a child is forked failed")
        try:
            pid = os.fork()
        except OSError as error:
            self._tell(frame.FORK_FAILED, number, 0, error.errno or 0)
            return
        if pid:
            self._tell(frame.FORKED, number, pid, 0)
        else:
            finish_as(lambda: self._become_child(number, frame.Ends(*descriptors)))

    def _become_child(self, number: int, ends: frame.Ends) -> int:
        die_with(self._pid)
        signal.set_wakeup_fd(-1)
        for number_ in _CHILD_RESETS:
            signal.signal(number_, signal.SIG_DFL)
        for end in (self._control, self._wake_reader, self._wake_writer):
            end.close()
        if self._plan.options.new_program is not None:
            _become(self._plan.options.new_program, number, ends)
        name = f"ForkPoolWorker-{number}"
        multiprocessing.current_process().name = name
        set_process_title(f"[celeryd: {name}]", f"tq-child-{number}")
        return Child(self._plan, ends).live()

    def _reap(self) -> None:
        with contextlib.suppress(BlockingIOError):
            self._wake_reader.recv(4096)
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if not pid:
                    return
                self._tell(frame.EXITED, 0, pid, status)

    def _tell(self, what: int, number: int, pid: int, value: int) -> None:
        # Without a reader the loop ends at its next turn.
        with contextlib.suppress(BrokenPipeError):
            self._control.sendall(frame.NOTICE.pack(what, number, pid, value))


def _become(program: NewProgram, number: int, descriptors: Sequence[int]) -> NoReturn:
    """Go on as another program, which the kernel still ends when the template ends."""
    for descriptor in descriptors:
        os.set_inheritable(descriptor, True)  # noqa: FBT003 - the library's signature
    told = ",".join(map(str, (number, *descriptors)))
    environ = {**os.environ, **program.environ, CHILD_VARIABLE: told}
    os.execve(program.command[0], program.command, environ)  # noqa: S606 - our own interpreter


def finish_as(live: Callable[[], int]) -> NoReturn:
    """Run `live` as the rest of this process: never return into the code that forked."""
    exit_code = 1
    try:
        exit_code = live()
    except BaseException:  # nobody is above us who could answer; the pool sees a death
        logger.critical("A process of the pool failed", exc_info=True)
    finally:
        _flush_streams()
        os._exit(exit_code)


def _flush_streams() -> None:
    for stream in (sys.stdout, sys.stderr):
        # A stream may be None, closed, or replaced by whatever a test or a daemon put there.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            stream.flush()


def _close_stdin() -> None:
    """A task that reads stdin gets its end, and takes no key from a terminal."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def _silence_sockets(kept: Iterable[int]) -> None:
    """Point every inherited socket but `kept` to /dev/null.

    A copy of the worker's connections would keep them open after the worker closed its own. They
    are not closed, because an object that still holds the number would close it again when the
    number means something else.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (int(name) for name in os.listdir("/dev/fd")):  # noqa: PTH208 - numbers
        with contextlib.suppress(OSError):
            if descriptor not in kept and stat.S_ISSOCK(os.fstat(descriptor).st_mode):
                os.dup2(null, descriptor, inheritable=descriptor <= 2)
    os.close(null)
