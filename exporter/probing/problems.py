"""The only place that turns an exception into a Problem.

Exception classes overlap: `TimeoutError`, `ConnectionRefusedError` and OpenSSL's errors on sockets are all OSError. So
the cases are checked from the most specific to the least.
"""

import errno
import os
import traceback
from enum import Enum, auto
from typing import Final

import h11
import structlog
from OpenSSL import SSL

from exporter.model.enums import Resource
from exporter.model.outcomes import Problem, ProxyFailure, ResourceShortage
from exporter.model.reasons import Reason
from exporter.model.sanitize import printable, without_bytes_literal
from exporter.probing.network import (
    AddressBusyError,
    BlockedAddressError,
    CertificateRefusedError,
    ClosedEarlyError,
    DnsFailureError,
    DnsTimeoutError,
    FirewallRejectError,
    NoFreePortError,
    NotTlsError,
    OtherCertificateError,
    ProxyAuthenticationError,
    ProxyError,
    ProxyForbiddenError,
    ProxyProtocolError,
    ProxyUnreachableError,
    TooLargeError,
    TunnelFailedError,
    TunnelTimeoutError,
)
from exporter.runtime.cpu_budget import CpuBudgetExceededError

_MAX_DETAIL_CHARACTERS = 300
log = structlog.get_logger()


class Step(Enum):
    """What was being done. The same exception means something different in each step."""

    DNS = auto()
    TCP = auto()
    TUNNEL = auto()
    TLS = auto()
    HTTP = auto()


TIMEOUTS: Final = {
    Step.DNS: Reason.DNS_TIMEOUT,
    Step.TCP: Reason.CONNECT_TIMEOUT,
    Step.TUNNEL: Reason.TUNNEL_TIMEOUT,
    Step.TLS: Reason.TLS_TIMEOUT,
    Step.HTTP: Reason.HTTP_TIMEOUT,
}

_ABORTED: Final = {
    Step.DNS: Reason.DNS_FAILURE,
    Step.TCP: Reason.CONNECT_REFUSED,
    Step.TUNNEL: Reason.TUNNEL_FAILED,
    Step.TLS: Reason.TLS_HANDSHAKE,
    Step.HTTP: Reason.HTTP_PROTOCOL,
}

_SPECIFIC: Final = {
    BlockedAddressError: Reason.BLOCKED_ADDRESS,
    FirewallRejectError: Reason.CONNECT_PROHIBITED,
    TooLargeError: Reason.TOO_LARGE,
    CpuBudgetExceededError: Reason.TOO_LARGE,
    NotTlsError: Reason.NOT_TLS,
    CertificateRefusedError: Reason.CERTIFICATE_INVALID,
    TunnelFailedError: Reason.TUNNEL_FAILED,
    TunnelTimeoutError: Reason.TUNNEL_TIMEOUT,
    ProxyUnreachableError: Reason.PROXY_UNREACHABLE,
    ProxyAuthenticationError: Reason.PROXY_AUTHENTICATION,
    ProxyForbiddenError: Reason.PROXY_FORBIDDEN,
    ProxyProtocolError: Reason.PROXY_PROTOCOL,
    DnsTimeoutError: Reason.DNS_TIMEOUT,
    DnsFailureError: Reason.DNS_FAILURE,
}

# EADDRNOTAVAIL is not one of them: on a machine without IPv6, such as most containers, every connection over IPv6 fails
# with it. NoFreePortError tells the two apart.
_RESOURCES: Final = {
    errno.EMFILE: Resource.FILE_DESCRIPTORS,
    errno.ENFILE: Resource.FILE_DESCRIPTORS,
    errno.ENOMEM: Resource.MEMORY,
    errno.ENOBUFS: Resource.MEMORY,
}


def classify(error: BaseException, step: Step) -> Problem:
    """Return the problem that an exception means in a step. There are five cases:

    - another certificate was presented, and is bad: the problem with it;
    - the exporter ran out of a resource: a ResourceShortage;
    - the exporter's own proxy is at fault: a ProxyFailure;
    - an unforeseen exception: `internal_error`. This is a bug in the exporter, so the traceback is logged;
    - any other exception: the problem of the server that it stands for.
    """
    if isinstance(error, OtherCertificateError):
        return error.problem
    if resource := missing_resource(error):
        detail = f"the exporter has no {resource.replace('_', ' ')} left"
        return ResourceShortage(Reason.INTERNAL_ERROR, detail, resource)
    if isinstance(error, ProxyError):
        return ProxyFailure(reason(error, step), describe(error, step), error.proxy)
    problem = Problem(reason(error, step), describe(error, step))
    if problem.reason is Reason.INTERNAL_ERROR:
        log.error("internal error", step=step.name, exc_info=error)
    return problem


def missing_resource(error: BaseException) -> Resource | None:
    """Return the resource of which the exporter has nothing left, if that caused the error."""
    match error:
        case MemoryError():
            return Resource.MEMORY
        case NoFreePortError():
            return Resource.LOCAL_PORTS
        case AddressBusyError():
            return Resource.CONNECTIONS
        case ProxyUnreachableError(__cause__=Exception() as cause):
            return missing_resource(cause)
        case OSError(errno=int(number)):
            return _RESOURCES.get(number)
        case _:
            return None


def reason(error: BaseException, step: Step) -> Reason:
    """Return the reason that an exception means in a step."""
    if of_network := next((_SPECIFIC[kind] for kind in _SPECIFIC if isinstance(error, kind)), None):
        return of_network
    match error:
        case TimeoutError():
            return TIMEOUTS[step]
        case ClosedEarlyError() | ConnectionError() | SSL.Error():
            return Reason.TLS_HANDSHAKE if _is_alert(error) else _ABORTED[step]
        case h11.RemoteProtocolError():
            return Reason.TOO_LARGE if error.error_status_hint == 431 else Reason.HTTP_PROTOCOL
        case OSError():
            return Reason.UNREACHABLE
        case _:
            return Reason.INTERNAL_ERROR


def _is_alert(error: Exception) -> bool:
    """Whether the server sent a TLS alert, which may come after the handshake too."""
    return isinstance(error, SSL.Error) and any("alert" in text for text in _queued_errors(error))


def _queued_errors(error: SSL.Error) -> list[str]:
    """Return the errors in OpenSSL's queue, such as `tlsv13 alert certificate required`."""
    return [str(entry[-1]) for entry in error.args[0]] if error.args and isinstance(error.args[0], list) else []


def describe(error: BaseException, step: Step) -> str:
    """Return what happened, as one printable line."""
    if isinstance(error, TimeoutError):
        return f"no answer in time ({step.name} step)"
    if isinstance(error, SSL.SysCallError) and len(error.args) == 2:
        number, text = error.args
        text = os.strerror(number) if number > 0 else text
    elif isinstance(error, SSL.Error):
        text = "; ".join(_queued_errors(error)) or "the TLS connection failed"
    elif isinstance(error, h11.RemoteProtocolError):
        text = without_bytes_literal(str(error))
    elif isinstance(error, OSError) and error.errno:
        text = os.strerror(error.errno)  # asyncio puts the address into `strerror` instead of what happened
    else:
        text = str(error)
    return printable(text or type(error).__name__, _MAX_DETAIL_CHARACTERS)


def release_frames(error: BaseException) -> None:
    """Release the frames in the traceback of an exception and of its contexts, with all their local variables.

    Frames often refer to the exception in turn. Only a full run of the garbage collector would free such a cycle, and
    that hardly ever happens.
    """
    current: BaseException | None = error
    while current:
        traceback.clear_frames(current.__traceback__)
        current = current.with_traceback(None).__context__
