"""The only place that slots an exception into a Problem.

The names of failures overlap: `TimeoutError`, `ConnectionRefusedError` and OpenSSL's errors on sockets are all OSError.
So each table is read from the most specific to the least.
"""

import errno
import os
import traceback
from enum import Enum, auto
from typing import Final

import h11
import structlog
from OpenSSL import SSL

from exporter.model.outcomes import Problem, ResourceShortage
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable
from exporter.probing.network import (
    BlockedAddressError,
    ClosedEarlyError,
    DnsFailureError,
    DnsTimeoutError,
    NotTlsError,
    TooLargeError,
)

_MAX_DETAIL_CHARACTERS = 300
log = structlog.get_logger()


class Step(Enum):
    """What was being done: the same exception means another thing in each."""

    DNS = auto()
    TCP = auto()
    TLS = auto()
    HTTP = auto()


TIMEOUTS: Final = {
    Step.DNS: Reason.DNS_TIMEOUT,
    Step.TCP: Reason.CONNECT_TIMEOUT,
    Step.TLS: Reason.TLS_TIMEOUT,
    Step.HTTP: Reason.HTTP_TIMEOUT,
}

_ABORTED: Final = {
    Step.DNS: Reason.DNS_FAILURE,
    Step.TCP: Reason.CONNECT_REFUSED,
    Step.TLS: Reason.TLS_HANDSHAKE,
    Step.HTTP: Reason.HTTP_PROTOCOL,
}

# What went wrong is on our side: no file descriptor, no memory. EADDRNOTAVAIL is none of them: a machine without IPv6,
# such as most containers, answers so to every connection over IPv6.
RESOURCE_ERRNOS: Final = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS}


def classify(error: BaseException, step: Step) -> Problem:
    """`internal_error` for what nobody foresaw: that is a fault of ours, and logged as such.

    A Shortage where it is one.
    """
    if _is_shortage(error):
        return ResourceShortage(Reason.INTERNAL_ERROR, describe(error, step))
    problem = Problem(reason(error, step), describe(error, step))
    if problem.reason is Reason.INTERNAL_ERROR:
        log.error("internal error", step=step.name, exc_info=error)
    return problem


def _is_shortage(error: BaseException) -> bool:
    return isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno in RESOURCE_ERRNOS)


def reason(error: BaseException, step: Step) -> Reason:
    match error:
        case BlockedAddressError():
            return Reason.BLOCKED_ADDRESS
        case TooLargeError():
            return Reason.TOO_LARGE
        case NotTlsError():
            return Reason.NOT_TLS
        case DnsTimeoutError():
            return Reason.DNS_TIMEOUT
        case DnsFailureError():
            return Reason.DNS_FAILURE
        case TimeoutError():
            return TIMEOUTS[step]
        case ClosedEarlyError() | ConnectionError() | SSL.Error():
            return _ABORTED[step]
        case h11.RemoteProtocolError():
            return Reason.TOO_LARGE if error.error_status_hint == 431 else Reason.HTTP_PROTOCOL
        case OSError():
            return Reason.UNREACHABLE
        case _:
            return Reason.INTERNAL_ERROR


def describe(error: BaseException, step: Step) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer in time ({step.name} step)"
    if isinstance(error, SSL.Error) and error.args and isinstance(error.args[0], list):
        text = "; ".join(str(entry[-1]) for entry in error.args[0])
    elif isinstance(error, OSError) and error.errno:
        text = os.strerror(error.errno)  # asyncio writes the address into `strerror`, and not what happened
    else:
        text = str(error)
    return printable(text or type(error).__name__, _MAX_DETAIL_CHARACTERS)


def release_frames(error: BaseException) -> None:
    """Of the frames that it came through, and of all that they know. Where they hold the exception in turn, only a look
    of the garbage collector at everything would free them, and that is hardly ever taken.
    """
    known: BaseException | None = error
    while known:
        traceback.clear_frames(known.__traceback__)
        known = known.with_traceback(None).__context__
