"""The grammar of server names."""

import re

from exporter.model import names
from exporter.model.names import InvalidServerNameError
from tests.fuzz.targets.checks import check_sentence

ALLOWED_CHARACTERS = re.compile(r"[0-9A-Za-z:.\[\]-]+")


def server_name(data: bytes) -> None:
    """A valid server name is unchanged by parsing, and has only characters of the grammar."""
    text = data.decode(errors="replace")
    try:
        name = names.parse(text)
    except InvalidServerNameError as error:
        check_sentence(str(error))
        return
    assert str(name) == text
    assert names.parse(str(name)) == name
    assert ALLOWED_CHARACTERS.fullmatch(text)
    assert name.port is None or 0 <= name.port <= names.MAX_PORT
    assert name.ip == names.ip_literal(name.host)
