"""Whom to contact about a server, as it says itself. Pure."""

from dataclasses import replace

from exporter.model.findings import Contact, Support
from exporter.model.report import Report
from exporter.model.sanitize import printable
from exporter.reports.phrases import role_of

_MAX_CHARACTERS = 255


def support_view(report: Report) -> Support | None:
    """Return the contacts with their roles as words, and the page if a page may link to it."""
    seen = report.deep.support if report.deep else None
    if seen is None:
        return None
    page = seen.page if seen.page and seen.page.startswith(("https://", "http://")) else None
    return Support(tuple(map(_contact_view, seen.contacts)), page)


def _contact_view(contact: Contact) -> Contact:
    address = contact.email_address and printable(contact.email_address, _MAX_CHARACTERS)
    return replace(contact, role=role_of(contact), email_address=address)
