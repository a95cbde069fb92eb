"""The tables beside this module: what must be refused, what must pass, and what is no address at all."""

from dataclasses import dataclass
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from exporter.model.addresses import IPAddress

HERE: Final = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    text: str
    """As somebody may write it."""
    why: str
    source: str

    @property
    def ip(self) -> IPAddress:
        return ip_address(self.text)

    @property
    def host(self) -> str:
        """As it stands in a server name or a URL."""
        return f"[{self.text}]" if ":" in self.text and "[" not in self.text else self.text


def read(name: str) -> tuple[Case, ...]:
    lines = (HERE / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    return tuple(Case(*line.split(" | ")) for line in lines if not line.startswith("#"))


REFUSED: Final = read("refused")
PERMITTED: Final = read("permitted")
FORMS: Final = read("forms")
