import errno
import gc
import os
import ssl
import weakref

import h11
import pytest
from OpenSSL import SSL
from structlog.testing import capture_logs

from exporter.judging.warnings import WarningName
from exporter.model.enums import Stage
from exporter.model.outcomes import Problem, ResourceShortage
from exporter.model.reasons import RAN_OUT_OF_TIME, STAGE_REMEDIES, Reason, remedy
from exporter.probing import problems
from exporter.probing.network import (
    BlockedAddressError,
    ClosedEarlyError,
    DnsFailureError,
    DnsTimeoutError,
    NotTlsError,
    TooLargeError,
)
from exporter.probing.problems import Step


def from_kernel(number: int) -> OSError:
    """As the socket module raises it: of the class that belongs to the number."""
    return OSError(number, os.strerror(number))


EVERYWHERE = (
    (BlockedAddressError("10.0.0.1"), Reason.BLOCKED_ADDRESS),
    (TooLargeError("more than 5 bytes"), Reason.TOO_LARGE),
    (NotTlsError("greets with b'HTTP'"), Reason.NOT_TLS),
    (DnsTimeoutError("no resolver answers"), Reason.DNS_TIMEOUT),
    (DnsFailureError("SERVFAIL"), Reason.DNS_FAILURE),
    (h11.RemoteProtocolError("illegal status line"), Reason.HTTP_PROTOCOL),
    (h11.RemoteProtocolError("Receive buffer too long", error_status_hint=431), Reason.TOO_LARGE),
    (h11.LocalProtocolError("we said nonsense"), Reason.INTERNAL_ERROR),
    (from_kernel(errno.ENETUNREACH), Reason.UNREACHABLE),
    (from_kernel(errno.EHOSTUNREACH), Reason.UNREACHABLE),
    (from_kernel(errno.EADDRNOTAVAIL), Reason.UNREACHABLE),
    (from_kernel(errno.EACCES), Reason.UNREACHABLE),
    (ValueError("ours"), Reason.INTERNAL_ERROR),
    (AssertionError(), Reason.INTERNAL_ERROR),
)

BY_STEP = {
    Step.DNS: (Reason.DNS_TIMEOUT, Reason.DNS_FAILURE),
    Step.TCP: (Reason.CONNECT_TIMEOUT, Reason.CONNECT_REFUSED),
    Step.TLS: (Reason.TLS_TIMEOUT, Reason.TLS_HANDSHAKE),
    Step.HTTP: (Reason.HTTP_TIMEOUT, Reason.HTTP_PROTOCOL),
}


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize(("error", "reason"), EVERYWHERE)
def test_names_what_means_the_same_in_every_step(error: Exception, reason: Reason, step: Step) -> None:
    assert problems.reason(error, step) is reason


@pytest.mark.parametrize("step", Step)
@pytest.mark.parametrize("error", [TimeoutError(), from_kernel(errno.ETIMEDOUT)])
def test_names_a_timeout_by_its_step(error: OSError, step: Step) -> None:
    """Ours as well as the kernel's, both of which are OSError too."""
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
        SSL.Error([("SSL routines", "", "tlsv1 alert internal error")]),
    ],
)
def test_names_a_connection_that_was_broken_off_by_its_step(error: Exception, step: Step) -> None:
    assert problems.reason(error, step) is BY_STEP[step][1]


@pytest.mark.parametrize(
    ("error", "detail"),
    [
        (TimeoutError(), "no answer in time (TLS step)"),
        (from_kernel(errno.ENETUNREACH), "Network is unreachable"),
        (OSError("no number"), "no number"),
        (SSL.Error([("SSL routines", "", "one"), ("SSL routines", "", "two")]), "one; two"),
        (SSL.SysCallError(104, "ECONNRESET"), "(104, 'ECONNRESET')"),
        (SSL.Error(), "Error"),
        (ClosedEarlyError(), "ClosedEarlyError"),
        (NotTlsError("\x1b[31mred\n"), "\N{REPLACEMENT CHARACTER}[31mred\N{REPLACEMENT CHARACTER}"),
        (NotTlsError("x" * 1000), "x" * 299 + "…"),
    ],
)
def test_details_are_one_printable_line(error: Exception, detail: str) -> None:
    assert problems.describe(error, Step.TLS) == detail


def test_only_faults_of_ours_are_logged() -> None:
    with capture_logs() as logs:
        expected = Problem(Reason.CONNECT_REFUSED, "Connection refused")
        assert problems.classify(from_kernel(errno.ECONNREFUSED), Step.TCP) == expected
        assert logs == []
        error = ssl.SSLError("the standard library's TLS is never used")
        assert problems.classify(error, Step.TLS).reason is Reason.UNREACHABLE
        assert problems.classify(KeyError("x"), Step.HTTP) == Problem(Reason.INTERNAL_ERROR, "'x'")
    assert [(entry["log_level"], entry["step"]) for entry in logs] == [("error", "HTTP")]


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.ENOBUFS])
def test_what_we_run_out_of_is_a_shortage_and_no_fault(number: int) -> None:
    """No traceback is logged."""
    with capture_logs() as logs:
        short = ResourceShortage(Reason.INTERNAL_ERROR, os.strerror(number))
        assert problems.classify(from_kernel(number), Step.TCP) == short
        assert problems.classify(MemoryError(), Step.HTTP) == ResourceShortage(Reason.INTERNAL_ERROR, "MemoryError")
    assert logs == []


# ---------------------------------------------------------------- remedies


def test_every_reason_has_a_remedy() -> None:
    assert all(reason.remedy for reason in Reason)


# What a remedy is about: it must name the thing that has to be changed or looked at.
SUBJECTS = {
    Reason.NXDOMAIN: "DNS",
    Reason.NO_ADDRESSES: "AAAA record",
    Reason.DNS_FAILURE: "DNS servers",
    Reason.DNS_TIMEOUT: "DNS servers",
    Reason.SRV_TARGET_ALIAS: "SRV record",
    Reason.SRV_SERVICE_UNAVAILABLE: "SRV record",
    Reason.BLOCKED_ADDRESS: "network.allow_networks",
    Reason.CONNECT_REFUSED: "port",
    Reason.CONNECT_TIMEOUT: "firewall",
    Reason.UNREACHABLE: "IPv6",
    Reason.TLS_HANDSHAKE: "reverse proxy",
    Reason.TLS_TIMEOUT: "path MTU",
    Reason.NOT_TLS: "listen 8448 ssl",
    Reason.CERTIFICATE_EXPIRED: "Renew",
    Reason.CERTIFICATE_NOT_YET_VALID: "clocks",
    Reason.CERTIFICATE_NAME_MISMATCH: "subjectAltName",
    Reason.CERTIFICATE_UNTRUSTED: "network.ca_file",
    Reason.CERTIFICATE_INCOMPLETE_CHAIN: "fullchain.pem",
    Reason.CERTIFICATE_INVALID: "issued again",
    Reason.HTTP_STATUS: "/_matrix/key",
    Reason.HTTP_TIMEOUT: "upstream",
    Reason.HTTP_PROTOCOL: "reverse proxy",
    Reason.REDIRECT: "https",
    Reason.TOO_LARGE: "path",
    Reason.NOT_JSON: "reverse proxy",
    Reason.INVALID_CONTENT: "which program",
    Reason.INVALID_DELEGATION: '{"m.server": "matrix.example.org:443"}',
    Reason.SERVER_NAME_MISMATCH: "server_name in the homeserver's configuration",
    Reason.NO_SIGNING_KEY: "signing key file",
    Reason.SIGNATURE_INVALID: "proxy",
    Reason.KEY_EXPIRED: "clock",
    Reason.PATH_DECODED: "proxy_pass",
    Reason.BODY_LIMIT: "client_max_body_size",
    Reason.CATCH_ALL: "/_matrix",
    Reason.TIMEOUT: "probe.timeout",
    Reason.INTERNAL_ERROR: "exporter's log",
}


@pytest.mark.parametrize("reason", Reason)
def test_a_remedy_names_what_to_change(reason: Reason) -> None:
    assert SUBJECTS[reason] in reason.remedy
    assert reason.remedy.endswith(".")


# Where an administrator can act; the exporter itself is a place, too.
PLACES = ("DNS", "web server", "reverse proxy", "homeserver", "exporter")
EVERY_REMEDY = {
    **{str(reason): reason.remedy for reason in Reason},
    **{f"{stage} {reason}": text for (stage, reason), text in STAGE_REMEDIES.items()},
    **{str(warning): warning.remedy for warning in WarningName},
}


@pytest.mark.parametrize("text", EVERY_REMEDY.values(), ids=EVERY_REMEDY)
def test_a_remedy_names_where_to_act(text: str) -> None:
    """In one readable piece: no other program's table or terminal is spoiled by it."""
    assert any(where in text for where in PLACES)
    assert text.isprintable()
    assert "|" not in text


def test_a_delegation_that_is_lost_is_mended_where_it_was() -> None:
    """Not at the port to which peers fall back: that is where the error is seen, and not where it is."""
    text = WarningName.DELEGATION_LOST.remedy
    assert text.startswith("On the web server of the server name itself (https, port 443): ")
    assert "8448" not in text


def test_a_remedy_fits_its_stage() -> None:
    """The same reason may need another hand in another stage; elsewhere the common remedy holds."""
    at_well_known = remedy(Stage.WELL_KNOWN, Reason.NOT_JSON)
    assert at_well_known.startswith("On the web server of the server name itself (https, port 443): ")
    assert remedy(Stage.KEYS, Reason.NOT_JSON) == Reason.NOT_JSON.remedy
    assert all(remedy.endswith(".") and remedy != reason.remedy for (_, reason), remedy in STAGE_REMEDIES.items())


class Large:
    """What a frame may know."""


def test_an_exception_that_was_let_go_holds_nothing() -> None:
    """Nor does the one that it came of, though its frame holds it in turn; no garbage collector is needed."""
    known: list[weakref.ref[Large]] = []

    def fail(error: Exception) -> None:
        large, held = Large(), list[Exception]()
        known.append(weakref.ref(large))
        held.append(error)
        raise error

    def fail_of_another() -> None:
        try:
            fail(ValueError("first"))
        except ValueError:
            fail(OSError("then"))

    gc.disable()
    try:
        with pytest.raises(OSError, match="then") as raised:
            fail_of_another()
        assert [reference() is None for reference in known] == [False, False]
        problems.release_frames(raised.value)
        assert [reference() is None for reference in known] == [True, True]
    finally:
        gc.enable()


def test_every_step_can_run_out_of_time() -> None:
    """And so can the whole probe; no other reason is about time."""
    assert {*problems.TIMEOUTS.values(), Reason.TIMEOUT} == RAN_OUT_OF_TIME
    assert set(problems.TIMEOUTS) == set(Step)
