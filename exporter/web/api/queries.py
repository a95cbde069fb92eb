"""What may be asked about one server, and by whom: common to `/probe` and the reports."""

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http import HTTPStatus

from starlette.requests import Request

from exporter.config import Config
from exporter.model import names
from exporter.model.names import ServerName
from exporter.model.sanitize import printable
from exporter.reports.board import Board
from exporter.reports.server_state import ServerState
from exporter.runtime.rate_limit import RateLimit
from exporter.scheduling.single_flight import DeadlineExceededError, ProbeRunner, ShuttingDownError

_UNWATCHED_PER_MINUTE, _UNWATCHED_BURST = 10, 10
MAX_PENDING = 48  # requests for probes at a time: fewer than there may be connections, so that scrapes get through
MAX_SECONDS = 60.0  # the site ends a connection that has no answer after 90
_MAX_SHOWN = 100  # characters of what was asked for, in an answer
_FLAGS = {"true": True, "false": False}


class RefusedError(Exception):
    """The answer is a status and a sentence on what to do."""

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
        sentence = f"Expected one parameter {parameter}, found {found}: ask for ?{parameter}=example.org."
        raise RefusedError(HTTPStatus.BAD_REQUEST, sentence)
    try:
        return names.parse(given[0])
    except names.InvalidServerNameError as error:
        why = printable(str(error), _MAX_SHOWN)
        sentence = f"{printable(given[0], _MAX_SHOWN)!r} is no server name: {why}."
        raise RefusedError(HTTPStatus.BAD_REQUEST, sentence) from error


def parse_flag(request: Request, parameter: str) -> bool:
    """False where it is missing. Raises RefusedError."""
    given = request.query_params.getlist(parameter)
    if not given:
        return False
    if len(given) > 1 or given[0] not in _FLAGS:
        found = ", ".join(printable(text, _MAX_SHOWN) for text in given[:2]) or "nothing"
        sentence = f"Expected {parameter}=true or {parameter}=false, found {found}."
        raise RefusedError(HTTPStatus.BAD_REQUEST, sentence)
    return _FLAGS[given[0]]


# ---------------------------------------------------------------- answers


@dataclass(slots=True)
class ReportQueries:
    """Standings of servers; all methods raise RefusedError. `config` is the one in use.

    `listed` tells of servers that another shard watches: whoever asks need not know which.
    """

    board: Board
    probes: ProbeRunner
    config: Callable[[], Config]
    listed: Callable[[ServerName], bool] = lambda _: False
    limit: RateLimit = field(default_factory=lambda: RateLimit(_UNWATCHED_PER_MINUTE, _UNWATCHED_BURST))
    waiting: int = 0
    """Requests that wait for a probe."""

    async def latest(self, name: ServerName) -> ServerState:
        """As it is; only a server that is not watched is probed."""
        state = self.board.state(name)
        if state is None:
            return await self.probe_now(name)
        if state.report is None:
            sentence = f"{name} has not been probed yet: ask again in a minute, or with fresh=true."
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, sentence, retry_after=60)
        return state

    async def probe_now(self, name: ServerName, seconds: float = math.inf) -> ServerState:
        """With a probe of at most so many seconds, and no more than one of the schedule may take."""
        if self.board.state(name) is None and not self.listed(name):
            self._admit(name)
        with self._a_place():
            return await self._probed(name, seconds)

    async def _probed(self, name: ServerName, seconds: float) -> ServerState:
        try:
            state = await self.probes.probe_now(name, min(seconds, self.config().probe.timeout, MAX_SECONDS))
        except DeadlineExceededError as error:
            sentence = f"{name} was not probed in time: too many probes run, or an earlier one takes longer. Ask again."
            raise RefusedError(HTTPStatus.GATEWAY_TIMEOUT, sentence) from error
        except ShuttingDownError as error:
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, "The exporter is stopping.") from error
        if state.exporter_offline:
            sentence = f"The exporter's own network is down, so {name} cannot be judged: ask again when it is back."
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, sentence)
        return state

    @contextmanager
    def _a_place(self) -> Iterator[None]:
        if self.waiting >= MAX_PENDING:
            sentence = f"{MAX_PENDING} requests wait for probes already: ask again."
            raise RefusedError(HTTPStatus.SERVICE_UNAVAILABLE, sentence, retry_after=1)
        self.waiting += 1
        try:
            yield
        finally:
            self.waiting -= 1

    def _admit(self, name: ServerName) -> None:
        if not self.config().web.probe_any:
            sentence = f"{name} is not watched: list it under `servers`, or set `web.probe_any: true`."
            raise RefusedError(HTTPStatus.NOT_FOUND, sentence)
        if wait := self.limit.take():
            sentence = (
                f"At most {_UNWATCHED_PER_MINUTE} servers that are not watched are probed in a minute: ask later."
            )
            raise RefusedError(HTTPStatus.TOO_MANY_REQUESTS, sentence, retry_after=wait)
