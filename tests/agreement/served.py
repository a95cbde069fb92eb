"""The modules of the kit, which import each other as scripts do."""

import sys
from pathlib import Path
from typing import Final

KIT: Final = Path(__file__).with_name("kit")
sys.path.insert(0, str(KIT))

import engine  # noqa: E402 - found once the path is there
import federations  # noqa: E402 - as above; it fills engine.FEDERATIONS
import pki  # noqa: E402 - as above
import run_agreement  # noqa: E402 - as above

__all__ = ["KIT", "engine", "federations", "pki", "run_agreement"]
