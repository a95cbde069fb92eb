import logging
from collections.abc import Iterator

import pytest
import structlog

from exporter.runtime import logs


@pytest.fixture
def restored_logging() -> Iterator[None]:
    """Let a test configure the log, and restore the logging of the tests afterwards."""
    names = ("", *logs.LIBRARIES, logs.ACCESS_LOG)
    levels = {name: logging.getLogger(name).level for name in names}
    handlers = logging.root.handlers[:]
    logging.root.handlers.clear()  # `configure` closes the handlers of the root logger
    yield
    logging.captureWarnings(capture=False)
    structlog.reset_defaults()
    logging.root.handlers[:] = handlers
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)
