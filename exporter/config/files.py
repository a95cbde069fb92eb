"""Reads files: their bytes, bounded in size, and the text or the token in them."""

import re
import stat
from pathlib import Path

from exporter.config.complaint import Complaint, ConfigError
from exporter.model.signing_keys import SigningSeed, parse_seed

MAX_BYTES = 64 * 1024 * 1024  # 20,000 servers take 2 MiB
_MAX_SECRET_FILE_BYTES = 2**20
_TOKEN = re.compile(rb"[!-~]{1,4096}")
_CREDENTIALS = re.compile(r"[^\x00-\x1f\x7f:]{1,255}:[^\x00-\x1f\x7f]{0,1024}")  # RFC 7617, section 2
_CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ufffe\uffff]")  # YAML does not allow them either


class UnreadableError(Exception):
    """The file cannot be used. The message says what was expected, what was found and what to do."""


def read_bytes(path: Path, max_bytes: int = MAX_BYTES) -> bytes:
    """Raises UnreadableError."""
    try:
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
    except OSError as error:
        raise UnreadableError(_why_unreadable(error)) from error
    if len(content) > max_bytes:
        raise UnreadableError(f"expected a file of at most {max_bytes // 2**20} MiB, found a larger one")
    return content


def _why_unreadable(error: OSError) -> str:
    match error:
        case FileNotFoundError():
            return "expected a file, found none with this name: check the path"
        case IsADirectoryError():
            return "expected a file, found a directory"
        case PermissionError():
            return "expected a file that the exporter can read, found one that it cannot: check its owner and mode"
    return f"expected a readable file, found an error: {error.strerror}"


def read_token(path: Path) -> str:
    """Return the token that a file consists of. Raises UnreadableError, whose message does not contain the token."""
    written = read_bytes(path).strip()
    if not _TOKEN.fullmatch(written):
        found = "something else" if written else "an empty file"
        raise UnreadableError(f"expected one line of printable ASCII characters without spaces, found {found}")
    return written.decode("ascii")


def read_credentials(path: Path) -> str:
    """Return the user and the password in a file, with a colon between them. Raises UnreadableError, whose message
    contains neither.
    """
    written = read_bytes(path, _MAX_SECRET_FILE_BYTES).decode(errors="replace").strip("\r\n")
    if not _CREDENTIALS.fullmatch(written) or "\ufffd" in written:
        found = "something else" if written else "an empty file"
        raise UnreadableError(f"expected one line with a user, a colon and a password in UTF-8, found {found}")
    return written


def read_signing_key(path: Path) -> SigningSeed:
    """Return the key in a file of Synapse's format. Raises UnreadableError, whose message contains nothing of the key.

    Only the owner of the file may have access to it: whoever can read the key can speak as its server. If that is root,
    the group may read it, as for PostgreSQL: that is how Kubernetes gives a secret to a process that is not root.
    """
    written = read_bytes(path, _MAX_SECRET_FILE_BYTES)
    status = path.stat()
    mode, forbidden = stat.S_IMODE(status.st_mode), stat.S_IRWXG | stat.S_IRWXO
    if status.st_uid == 0:
        forbidden &= ~stat.S_IRGRP
    if mode & forbidden:
        found = f"found mode {mode:04o}: run chmod 600 on it"
        raise UnreadableError(f"expected a private key that only its owner can read, {found}")
    try:
        return parse_seed(written.decode("ascii", "replace"))
    except ValueError as error:
        hint = "create one with `matrix-federation-exporter generate-signing-key FILE`"
        raise UnreadableError(f"{error}, found something else: {hint}") from None


def decode(file: str, content: bytes) -> str:
    """Raises ConfigError if the content is not text in UTF-8."""
    try:
        decoded = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        sentence = f"expected UTF-8, found the byte 0x{content[error.start]:02x}: save the file as UTF-8"
        raise ConfigError([Complaint(file, line, "", sentence)]) from error
    if control := _CONTROL.search(decoded):
        line = decoded.count("\n", 0, control.start()) + 1
        sentence = f"expected text, found the control character 0x{ord(control[0]):02x}: remove it"
        raise ConfigError([Complaint(file, line, "", sentence)])
    return decoded
