"""One target under atheris, which looks for inputs that reach code that none has reached before:
`python -m tests.fuzz.guided TARGET`, and what libFuzzer takes after it.
"""

import logging
import sys

import atheris

READERS = ("exporter", "h11", "dns", "service_identity", "httpx", "idna", "starlette", "uvicorn")
"""Whose branches count."""

with atheris.instrument_imports(include=list(READERS)):
    from tests.fuzz.table import TARGETS

if __name__ == "__main__":
    logging.disable()
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run)
    atheris.Fuzz()
