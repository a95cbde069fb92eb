"""The exporter as a service of systemd: what it reports (sd_notify(3)), and the sockets that it inherits
(sd_listen_fds(3)).

A message is one datagram, so these few lines replace a library: `sdnotify` has not been released since 2017, and
`systemd-python` and `cysystemd` have to be compiled against libsystemd.
"""

import asyncio
import os
import socket
import time
from collections import deque
from collections.abc import Callable, MutableMapping
from contextlib import suppress

import structlog

_FIRST_INHERITED = 3  # SD_LISTEN_FDS_START: after standard input, output and error
_PINGS_PER_TIMEOUT = 2  # as sd_watchdog_enabled(3) recommends
_RETRY_SECONDS = 0.05  # until a state is sent again
_MAX_UNSENT = 10  # states, if systemd never reads them

log = structlog.get_logger()


class ServiceManager:
    """Reports the state of the exporter to systemd. Without systemd, it does nothing.

    It takes the variables of systemd out of the environment: they are not meant for the workers.
    """

    def __init__(self, environment: MutableMapping[str, str]) -> None:
        self._address = _socket_address(environment.pop("NOTIFY_SOCKET", ""))
        timeout = int(environment.pop("WATCHDOG_USEC", "0")) / 1e6
        self._ping_seconds = timeout / _PINGS_PER_TIMEOUT if _is_own(environment.pop("WATCHDOG_PID", None)) else 0.0
        descriptors = int(environment.pop("LISTEN_FDS", "0"))
        self._inherited = descriptors if _is_own(environment.pop("LISTEN_PID", "")) else 0
        environment.pop("LISTEN_FDNAMES", None)
        self._unsent: deque[str] = deque(maxlen=_MAX_UNSENT)
        """States, the oldest first, while the queue of its socket is full. They are sent again."""

    def __repr__(self) -> str:
        address = self._address.replace("\0", "@") or "no systemd"
        return f"<ServiceManager {address}: a ping every {self._ping_seconds:g} s, {self._inherited} sockets>"

    def inherited_sockets(self) -> list[socket.socket]:
        """Return the sockets that systemd has opened. They belong to the caller, so call this once."""
        descriptors = range(_FIRST_INHERITED, _FIRST_INHERITED + self._inherited)
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)  # noqa: FBT003 - the name of the function says what is false
        return [socket.socket(fileno=descriptor) for descriptor in descriptors]

    def ready(self) -> None:
        """Say that the exporter has started, or that a reload has ended."""
        self._report("READY=1")

    def reloading(self) -> None:
        self._report(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self) -> None:
        self._report("STOPPING=1")

    async def keep_alive(self, complaint: Callable[[], str | None]) -> None:
        """Ping the watchdog for ever, but not while there is a complaint. The event loop has to run for every ping."""
        if not self._ping_seconds:
            await asyncio.Event().wait()
        while True:
            if problem := complaint():
                log.error("the watchdog of systemd gets no ping", problem=problem)
            else:
                with suppress(BlockingIOError):  # there are enough pings that systemd has not read yet
                    self._send("WATCHDOG=1")
            await asyncio.sleep(self._ping_seconds)

    def _report(self, state: str) -> None:
        """Send a state, and again if there is no room: systemd stops a service whose reload seems never to end."""
        self._unsent.append(state)
        if len(self._unsent) == 1:
            self._send_states()

    def _send_states(self) -> None:
        while self._unsent:
            try:
                self._send(self._unsent[0])
            except BlockingIOError:
                asyncio.get_running_loop().call_later(_RETRY_SECONDS, self._send_states)
                return
            self._unsent.popleft()

    def _send(self, message: str) -> None:
        """Never wait: systemd may not listen. Raises BlockingIOError if the queue of its socket is full."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sock:
            try:
                sock.sendto(message.encode(), self._address)
            except BlockingIOError:
                raise
            except OSError as error:
                log.warning("cannot notify systemd", message=message, error=str(error))


def _socket_address(written: str) -> str:
    """Return the address of a socket: `@` stands for the abstract namespace. Empty if there is no such socket."""
    if written.startswith("@"):
        return f"\0{written[1:]}"
    return written if written.startswith("/") else ""


def _is_own(pid: str | None) -> bool:
    """Whether variables with this process ID are for this process. None means that they are for any."""
    return pid is None or pid == str(os.getpid())
