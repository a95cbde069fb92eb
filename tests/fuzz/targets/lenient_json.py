"""JSON as the most tolerant of the homeservers read it."""

from exporter.model.outcomes import Problem
from exporter.probing.parsing import lenient_json as parser
from exporter.probing.parsing.json_response import parse_object
from tests.fuzz.targets.checks import check_sentence, parse_response

MAX_BYTES = 10_000


def lenient_json(data: bytes) -> None:
    """An object, or one printable sentence. What the strict parser accepts is read alike, without any oddity."""
    response = parse_response(data)
    lenient, strict = parser.parse(response, MAX_BYTES), parse_object(response)
    if isinstance(lenient, str):
        check_sentence(lenient)
    if isinstance(strict, Problem):
        check_sentence(strict.detail)
    elif response.header("content-encoding") is None:
        assert isinstance(lenient, parser.LenientObject)
        assert repr(lenient.content) == repr(strict)
        assert lenient.oddities == frozenset()
