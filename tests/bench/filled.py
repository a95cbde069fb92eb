"""`python -m tests.bench.filled serve ...`: the exporter, which begins with a report of every server.

So it is as large from the beginning as after a whole interval, and makes no more deep looks than then. Its first round
takes as long as the interval of the servers: they are probed at the pace of the schedule.
"""

import asyncio
import math
import sys
from typing import Any, Self
from unittest.mock import patch

from exporter import cli
from exporter.app import App
from tests.bench.generated_reports import generate_reports

_BATCH = 200  # reports, until the event loop gets its turn


class FilledApp(App):
    """It is ready when it has all reports."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options, first_round=math.inf)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        self.ready = False
        for number, report in enumerate(generate_reports(list(self.board.scheduled()))):
            self.board.put(report)
            if number % _BATCH == 0:
                await asyncio.sleep(0)
        self.ready = True
        return self


if __name__ == "__main__":
    with patch("exporter.app.App", FilledApp):
        sys.exit(cli.main())
