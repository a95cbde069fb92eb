"""The grammar of server names."""

import re

from exporter.model import names
from exporter.model.names import InvalidServerNameError
from tests.fuzz.targets.judging import one_line

SPOKEN = re.compile(r"[0-9A-Za-z:.\[\]-]+")


def server_name(written: bytes) -> None:
    """Whatever is taken for a name stands for itself, and is made of what the grammar knows."""
    text = written.decode(errors="replace")
    try:
        name = names.parse(text)
    except InvalidServerNameError as error:
        one_line(str(error))
        return
    assert str(name) == text
    assert names.parse(str(name)) == name
    assert SPOKEN.fullmatch(text)
    assert name.port is None or 0 <= name.port <= names.MAX_PORT
    assert name.ip == names.ip_literal(name.host)
