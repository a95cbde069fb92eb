"""`python -m tests.fuzz.guided TARGET [OPTION...]`: runs a target under atheris, with options of libFuzzer.

atheris looks for inputs that reach code which no input has reached before.
"""

import logging
import sys

import atheris

INSTRUMENTED_PACKAGES = ("exporter", "h11", "dns", "service_identity", "httpx", "idna", "starlette", "uvicorn")
"""The packages whose branches count as coverage."""

with atheris.instrument_imports(include=list(INSTRUMENTED_PACKAGES)):
    from tests.fuzz.table import TARGETS

if __name__ == "__main__":
    logging.disable()
    target = TARGETS[sys.argv[1]]
    atheris.Setup([sys.argv[0], *sys.argv[2:]], target.run)
    atheris.Fuzz()
