"""Reports of one server, one after the other."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from exporter.model import names
from exporter.model.report import Report
from tests.sample_reports import ENDED_AT, delegated_by_well_known, expired_certificate

EXAMPLE = names.parse("example.org")


def minute(number: int) -> datetime:
    return ENDED_AT + timedelta(minutes=number)


def sequence(*reports: Report, start: int = 0) -> Iterator[Report]:
    """Yield the reports as those of one server, a minute apart."""
    for number, report in enumerate(reports, start):
        yield replace(report, server_name=EXAMPLE, ended_at=minute(number))


def good() -> Report:
    return delegated_by_well_known()


def failing() -> Report:
    return expired_certificate()
