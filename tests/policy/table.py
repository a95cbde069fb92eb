"""The tables of addresses beside this module: those to refuse, those to permit, and texts that are not addresses."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from exporter.model.addresses import IPAddress

_FOLDER: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    text: str
    """The address as someone may write it."""
    why: str
    source: str

    @property
    def ip(self) -> IPAddress:
        return ip_address(self.text)

    @property
    def host(self) -> str:
        """The address as it is written in a server name or a URL."""
        return f"[{self.text}]" if ":" in self.text and "[" not in self.text else self.text


def _read(name: str) -> tuple[Case, ...]:
    lines = (_FOLDER / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(Case(*line.split(" | ")) for line in lines if not line.startswith("#"))


REFUSED: Final = _read("refused")
PERMITTED: Final = _read("permitted")
FORMS: Final = _read("forms")
