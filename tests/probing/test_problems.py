"""How exceptions become problems."""

import errno
import gc
import os
import ssl
import weakref

import h11
import pytest
from OpenSSL import SSL
from structlog.testing import capture_logs

from exporter.model.enums import Resource
from exporter.model.outcomes import Problem, ResourceShortage
from exporter.model.reasons import RAN_OUT_OF_TIME, Reason
from exporter.probing import problems
from exporter.probing.network import (
    BlockedAddressError,
    ClosedEarlyError,
    DnsFailureError,
    DnsTimeoutError,
    NoFreePortError,
    NotTlsError,
    ProxyAuthenticationError,
    ProxyForbiddenError,
    ProxyProtocolError,
    ProxyUnreachableError,
    TooLargeError,
    TunnelFailedError,
    TunnelTimeoutError,
)
from exporter.probing.problems import Step


def from_kernel(number: int) -> OSError:
    """Return an error as the socket module raises it: its class depends on the number."""
    return OSError(number, os.strerror(number))


EVERYWHERE = (
    (BlockedAddressError("10.0.0.1"), Reason.BLOCKED_ADDRESS),
    (TooLargeError("more than 5 bytes"), Reason.TOO_LARGE),
    (NotTlsError("greets with b'HTTP'"), Reason.NOT_TLS),
    (DnsTimeoutError("no resolver answers"), Reason.DNS_TIMEOUT),
    (DnsFailureError("SERVFAIL"), Reason.DNS_FAILURE),
    (TunnelFailedError("answers 503"), Reason.TUNNEL_FAILED),
    (TunnelTimeoutError("answers 504"), Reason.TUNNEL_TIMEOUT),
    (ProxyUnreachableError("a:1", "is down"), Reason.PROXY_UNREACHABLE),
    (ProxyAuthenticationError("a:1", "answers 407"), Reason.PROXY_AUTHENTICATION),
    (ProxyForbiddenError("a:1", "answers 403"), Reason.PROXY_FORBIDDEN),
    (ProxyProtocolError("a:1", "hangs up"), Reason.PROXY_PROTOCOL),
    (h11.RemoteProtocolError("illegal status line"), Reason.HTTP_PROTOCOL),
    (h11.RemoteProtocolError("Receive buffer too long", error_status_hint=431), Reason.TOO_LARGE),
    (h11.LocalProtocolError("we sent nonsense"), Reason.INTERNAL_ERROR),
    (from_kernel(errno.ENETUNREACH), Reason.UNREACHABLE),
    (from_kernel(errno.EHOSTUNREACH), Reason.UNREACHABLE),
    (from_kernel(errno.EADDRNOTAVAIL), Reason.UNREACHABLE),
    (from_kernel(errno.EACCES), Reason.UNREACHABLE),
    (ValueError("a bug"), Reason.INTERNAL_ERROR),
    (AssertionError(), Reason.INTERNAL_ERROR),
)

BY_STEP = {
    Step.DNS: (Reason.DNS_TIMEOUT, Reason.DNS_FAILURE),
    Step.TCP: (Reason.CONNECT_TIMEOUT, Reason.CONNECT_REFUSED),
    Step.TUNNEL: (Reason.TUNNEL_TIMEOUT, Reason.TUNNEL_FAILED),
    Step.TLS: (Reason.TLS_TIMEOUT, Reason.TLS_HANDSHAKE),
    Step.HTTP: (Reason.HTTP_TIMEOUT, Reason.HTTP_PROTOCOL),
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize(("error", "reason"), EVERYWHERE)
def test_errors_that_mean_the_same_in_every_step(error: Exception, reason: Reason, step: Step) -> None:
    """The step does not matter for them."""
    assert problems.reason(error, step) is reason


@pytest.mark.parametrize("step", Step)
def test_an_alert_is_a_fault_of_tls_in_every_step(step: Step) -> None:
    """TLS 1.3 refuses a client without a certificate when that has sent its first request."""
    assert (
        problems.reason(SSL.Error([("SSL routines", "", "tlsv13 alert certificate required")]), step)
        is Reason.TLS_HANDSHAKE
    )


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("error", [TimeoutError(), from_kernel(errno.ETIMEDOUT)])
def test_the_reason_of_a_timeout_depends_on_the_step(error: OSError, step: Step) -> None:
    """Timeouts of asyncio and of the kernel are alike. Both are OSError too."""
    assert problems.reason(error, step) is BY_STEP[step][0]


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize(
    "error",
    [
        ClosedEarlyError(),
        from_kernel(errno.ECONNREFUSED),
        from_kernel(errno.ECONNRESET),
        from_kernel(errno.ECONNABORTED),
        from_kernel(errno.EPIPE),
        SSL.Error([("SSL routines", "", "wrong version number")]),
    ],
)
def test_the_reason_of_an_aborted_connection_depends_on_the_step(error: Exception, step: Step) -> None:
    """It was refused, reset or closed, or the TLS handshake failed."""
    assert problems.reason(error, step) is BY_STEP[step][1]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (h11.RemoteProtocolError("illegal status line: bytearray(b'SSH-2.0')"), "illegal status line: SSH-2.0"),
        (h11.RemoteProtocolError('bad Content-Length b"\\"5"'), 'bad Content-Length \\"5'),
        (TimeoutError(), "no answer in time (TLS step)"),
        (from_kernel(errno.ENETUNREACH), "Network is unreachable"),
        (OSError("no number"), "no number"),
        (SSL.Error([("SSL routines", "", "one"), ("SSL routines", "", "two")]), "one; two"),
        (SSL.SysCallError(104, "ECONNRESET"), "Connection reset by peer"),
        (SSL.SysCallError(-1, "Unexpected EOF"), "Unexpected EOF"),
        (SSL.Error(), "the TLS connection failed"),
        (ClosedEarlyError(), "ClosedEarlyError"),
        (NotTlsError("\x1b[31mred\n"), "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"),
        (NotTlsError("x" * 1000), "x" * 299 + "…"),
    ],
)
def test_details_are_one_printable_line(error: Exception, detail: str) -> None:
    """They are never empty, and cut if they are too long."""
    assert problems.describe(error, Step.TLS) == detail


def test_only_bugs_are_logged() -> None:
    """A problem of the server is not one."""
    with capture_logs() as logs:
        expected = Problem(Reason.CONNECT_REFUSED, "Connection refused")
        assert problems.classify(from_kernel(errno.ECONNREFUSED), Step.TCP) == expected
        assert logs == []
        error = ssl.SSLError("the standard library's TLS is never used")
        assert problems.classify(error, Step.TLS).reason is Reason.UNREACHABLE
        assert problems.classify(KeyError("x"), Step.HTTP) == Problem(Reason.INTERNAL_ERROR, "'x'")
    assert [(entry["log_level"], entry["step"]) for entry in logs] == [("error", "HTTP")]


@pytest.mark.parametrize(
    ("error", "resource", "detail"),
    [
        (from_kernel(errno.EMFILE), Resource.FILE_DESCRIPTORS, "the exporter has no file descriptors left"),
        (from_kernel(errno.ENFILE), Resource.FILE_DESCRIPTORS, "the exporter has no file descriptors left"),
        (from_kernel(errno.ENOMEM), Resource.MEMORY, "the exporter has no memory left"),
        (from_kernel(errno.ENOBUFS), Resource.MEMORY, "the exporter has no memory left"),
        (MemoryError(), Resource.MEMORY, "the exporter has no memory left"),
        (NoFreePortError(errno.EADDRNOTAVAIL, ""), Resource.LOCAL_PORTS, "the exporter has no local ports left"),
    ],
)
def test_a_shortage_of_resources_is_not_a_bug(error: Exception, resource: Resource, detail: str) -> None:
    """It says which resource is missing. No traceback is logged."""
    with capture_logs() as logs:
        assert problems.classify(error, Step.TCP) == ResourceShortage(Reason.INTERNAL_ERROR, detail, resource)
    assert logs == []


class Local:
    """The value of a local variable."""


def test_releasing_an_exception_frees_the_variables_of_its_frames() -> None:
    """Its context is released too, and the garbage collector is not needed, although the frames refer to the error."""
    references: list[weakref.ref[Local]] = []

    def fail(error: Exception) -> None:
        local, cycle = Local(), list[Exception]()
        references.append(weakref.ref(local))
        cycle.append(error)
        raise error

    def fail_twice() -> None:
        try:
            fail(ValueError("first"))
        except ValueError:
            fail(OSError("second"))

    gc.disable()
    try:
        with pytest.raises(OSError, match="second") as raised:
            fail_twice()
        assert [reference() is None for reference in references] == [False, False]
        problems.release_frames(raised.value)
        assert [reference() is None for reference in references] == [True, True]
    finally:
        gc.enable()


def test_every_step_can_time_out() -> None:
    """The whole probe can, too. No other reason is about time."""
    assert {*problems.TIMEOUTS.values(), Reason.TIMEOUT} == RAN_OUT_OF_TIME
    assert set(problems.TIMEOUTS) == set(Step)
