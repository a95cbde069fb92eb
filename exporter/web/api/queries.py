"""Queries about one server, which `/probe` and the reports have in common: their parameters, and which are allowed."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus

from starlette.requests import Request

from exporter.config import Config
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.runtime.rate_limit import RateLimit, RateLimits
from exporter.scheduling.single_flight import DeadlineExceededError, ProbeRunner, ShuttingDownError

_UNWATCHED_PER_MINUTE, _UNWATCHED_BURST = 10, 10
_FRESH_PER_MINUTE, _FRESH_BURST = 20, 10  # of one server: five Prometheus servers with an interval of 15 s
_ALL_FRESH_PER_MINUTE, _ALL_FRESH_BURST = 6000, 200  # half of what one process can probe is left to the schedule
MAX_PENDING = 48  # requests that wait for probes: fewer than the maximum of connections, so that scrapes get through
MAX_PROBE_SECONDS = 60.0  # below the 90 s after which a connection without a response is closed
_MAX_SHOWN = 100  # characters of a parameter, in a response
_FLAGS = {"true": True, "false": False}


class RefusedError(Exception):
    """The request is refused. The response has this status, and a sentence that says why and what to do."""

    def __init__(self, status: HTTPStatus, sentence: str, retry_after: float | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = {} if retry_after is None else {"Retry-After": str(math.ceil(retry_after))}


# ---------------------------------------------------------------- parameters


def parse_server_name(request: Request, parameter: str) -> ServerName:
    """Raises RefusedError."""
    given = request.query_params.getlist(parameter)
    if len(given) != 1:
        found = "none" if not given else str(len(given))
        sentence = f"Expected one parameter {parameter}, found {found}: use ?{parameter}=example.org."
        raise RefusedError(HTTPStatus.BAD_REQUEST, sentence)
    return read_server_name(given[0])


def read_server_name(text: str) -> ServerName:
    """Raises RefusedError."""
    try:
        return names.parse(text)
    except names.InvalidServerNameError as error:
        why = printable(str(error), _MAX_SHOWN)
        sentence = f"{printable(text, _MAX_SHOWN)!r} is not a server name: {why}."
        raise RefusedError(HTTPStatus.BAD_REQUEST, sentence) from error


def read_watched(board: Board, text: str) -> ServerState:
    """Return the state of a watched server. Raises RefusedError."""
    name = read_server_name(text)
    state = board.state(name)
    if state is None:
        raise RefusedError(HTTPStatus.NOT_FOUND, f"{name} is not watched.")
    return state


def parse_flag(request: Request, parameter: str) -> bool:
    """Return False if the parameter is missing. Raises RefusedError."""
    given = request.query_params.getlist(parameter)
    if not given:
        return False
    if len(given) > 1 or given[0] not in _FLAGS:
        found = ", ".join(printable(text, _MAX_SHOWN) for text in given[:2]) or "nothing"
        sentence = f"Expected {parameter}=true or {parameter}=false, found {found}."
        raise RefusedError(HTTPStatus.BAD_REQUEST, sentence)
    return _FLAGS[given[0]]


# ---------------------------------------------------------------- queries


@dataclass(slots=True)
class ReportQueries:
    """Returns the states of servers. All methods raise RefusedError."""

    board: Board = field(repr=False)
    runner: ProbeRunner = field(repr=False)
    config: Callable[[], Config] = field(repr=False)
    """Returns the configuration in effect."""
    timeout_of: Callable[[ServerName], float] = field(default=lambda _: MAX_PROBE_SECONDS, repr=False)
    """Returns how long a whole probe of a server may take, in seconds."""
    is_configured: Callable[[ServerName], bool] = field(default=lambda _: False, repr=False)
    """Whether a server is watched by any shard: clients do not have to know which shard watches it."""
    limit: RateLimit = field(default_factory=lambda: RateLimit(_UNWATCHED_PER_MINUTE, _UNWATCHED_BURST))
    fresh_limit: RateLimits = field(
        default_factory=lambda: RateLimits(
            partial(RateLimit, _FRESH_PER_MINUTE, _FRESH_BURST), RateLimit(_ALL_FRESH_PER_MINUTE, _ALL_FRESH_BURST)
        )
    )
    """For fresh probes of servers that are watched."""
    pending: int = 0
    """The number of requests that wait for a probe."""

    async def latest(self, name: ServerName) -> ServerState:
        """Return the state of a server. There are three cases:

        - The server is watched and has been probed: this is its latest state, without a probe.
        - The server is watched and has not been probed yet: the request is refused.
        - The server is not watched: it is probed now, if that is allowed.
        """
        state = self.board.state(name)
        if state is None:
            return await self.probe_now(name)
        if state.report is None:
            sentence = f"{name} has not been probed yet: try again in a minute, or use fresh=true."
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, sentence, retry_after=60)
        return state

    async def probe_now(self, name: ServerName, seconds: float = math.inf) -> ServerState:
        """Return the state of a server after a fresh probe, or its latest state if fresh probes are beyond a limit.

        The probe takes at most `seconds`, and not longer than the timeout of the server and MAX_PROBE_SECONDS.
        """
        state = self._instead_of_probe(name)
        if state is None:
            with self._running(name):
                state = await self.runner.probe_now(name, self._bounded(name, seconds))
        if state.exporter_offline:
            sentence = (
                f"The exporter's own network is down, so it cannot probe {name}: try again when the network is up. Nor "
                "can it probe servers of an IP family that its machine lacks, or through a proxy that fails."
            )
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, sentence)
        return state

    def _instead_of_probe(self, name: ServerName) -> ServerState | None:
        """Return what serves a request instead of a fresh probe. There are four cases:

        - The server is not watched by any shard: None if a probe is allowed, otherwise the request is refused.
        - Fresh probes are within all limits: None.
        - They are not, but the latest result is as recent as those on /metrics: the latest state.
        - They are not, and there is no recent result: the request is refused.
        """
        if not self.is_configured(name):
            self._admit_unwatched(name)
            return None
        state = self.board.state(name)
        wait = self.fresh_limit.take(name)
        if (wait or self.pending >= MAX_PENDING) and state and _is_recent(state):
            return state
        if wait:
            sentence = f"{name}, or all servers together, are probed too often on request: try again later."
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, sentence, retry_after=wait)
        return None

    async def add_keys_behind_bad_certificates(self, report: Report) -> Report:
        """Return the report with the keys behind certificates that do not verify. A deep look fetches what is missing.

        The public federation tester fetches them with every test. Beyond the limits of fresh probes, the report is
        returned as it is.
        """
        if not any(endpoint.lacks_keys_behind_bad_certificate for endpoint in report.endpoints):
            return report
        if self.fresh_limit.take(report.server_name):
            return report
        with self._running(report.server_name):
            return await self.runner.look_deeper(report, self._bounded(report.server_name, math.inf))

    def _bounded(self, name: ServerName, seconds: float) -> float:
        return min(seconds, self.timeout_of(name), MAX_PROBE_SECONDS)

    @contextmanager
    def _running(self, name: ServerName) -> Iterator[None]:
        """Refuse the request if there is no report in time."""
        try:
            with self._count_pending():
                yield
        except DeadlineExceededError as error:
            sentence = (
                f"{name} was not probed in time: there was no free probe slot, a probe that was already running took "
                "too long, or the probe was lost, and the exporter's log says why. Try again."
            )
            raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, sentence) from error
        except ShuttingDownError as error:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "The exporter is stopping.") from error

    @contextmanager
    def _count_pending(self) -> Iterator[None]:
        if self.pending >= MAX_PENDING:
            sentence = f"{MAX_PENDING} requests are already waiting for probes: try again."
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, sentence, retry_after=1)
        self.pending += 1
        try:
            yield
        finally:
            self.pending -= 1

    def _admit_unwatched(self, name: ServerName) -> None:
        if not self.config().web.probe_any:
            sentence = f"{name} is not watched: add it to `servers`, or set `web.probe_any: true`."
            raise RefusedError(HTTPStatus.NOT_FOUND, sentence)
        if wait := self.limit.take():
            sentence = (
                f"Only {_UNWATCHED_PER_MINUTE} servers that are not watched are probed in a minute: try again later."
            )
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, sentence, retry_after=wait)


def _is_recent(state: ServerState) -> bool:
    """Whether the latest result is no older than the interval in force."""
    age = timedelta(seconds=state.usual_interval)
    return state.report is not None and datetime.now(UTC) - state.report.ended_at <= age
