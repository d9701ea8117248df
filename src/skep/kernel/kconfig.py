"""How the running kernel was configured: its CONFIG_* options.

Sources, the first that exists: /proc/config.gz (CONFIG_IKCONFIG_PROC), /boot/config-RELEASE
(Debian, Fedora, Ubuntu), /lib/modules/RELEASE/config and /usr/lib/modules/RELEASE/config
(Arch, newer Fedora), each plain or gzip. Nothing is read before the first option is asked for.
"""

from __future__ import annotations

from skep.errors import FormatError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

PROC = "/proc/config.gz"
_GZIP = b"\x1f\x8b"
MAX_TEXT = 1 << 24
"""Bytes of a configuration: a distribution's has 300 000."""


def places(release: str) -> tuple[str, ...]:
    """Return the files looked at for a kernel of this *release*, in order."""
    return (
        PROC,
        f"/boot/config-{release}",
        f"/lib/modules/{release}/config",
        f"/usr/lib/modules/{release}/config",
        f"/lib/modules/{release}/build/.config",
    )


class Kconfig:
    """A kernel configuration's text: `raw(name)` and `value(name)` look options up in it.

    `path` is the file it came from, `tried` the (path, reason) pairs of those before it. Never
    changes: safe to share.
    """

    __slots__ = ("_text", "path", "tried")

    def __init__(self, text: bytes, path: str, tried: Sequence[tuple[str, str]] = ()) -> None:
        # So that every option's line starts and ends with a newline.
        self._text = b"\n" + text + b"\n"
        self.path = path
        self.tried = tuple(tried)

    def __repr__(self) -> str:
        return f"<Kconfig {self.path}>"

    def raw(self, name: str) -> str | None:
        """Return what stands after ``CONFIG_X=``, or None when the option is not set.

        "y", "m", a number ("250", "0x1000000") or a quoted string, as it stands there.
        """
        needle = b"\n" + name.encode() + b"="
        # The last one counts, as for the kernel's own tools.
        at = self._text.rfind(needle)
        if at < 0:
            return None
        start = at + len(needle)
        return self._text[start : self._text.index(b"\n", start)].decode("utf-8", "replace").strip()

    def is_off(self, name: str) -> bool:
        """Whether the configuration says that the option *name* is not set.

        An option that it does not mention at all depends on another one, is of another
        architecture, or does not exist in this kernel.
        """
        return b"\n# " + name.encode() + b" is not set\n" in self._text

    def value(self, name: str) -> bool | str | int | None:
        """Return an option's value as Python: True for y, "m", a number, a string without quotes.

        None when it is not set. Raises `FormatError` for text that is none of these.
        """
        raw = self.raw(name)
        return None if raw is None else parse_value(raw, name)

    def names(self) -> list[str]:
        """List every option that is set, in the order of the file."""
        return [
            line.partition(b"=")[0].decode("utf-8", "replace")
            for line in self._text.split(b"\n")
            if line.startswith(b"CONFIG_")
        ]


def parse_value(raw: str, name: str = "an option") -> bool | str | int:
    """Parse what stands after ``CONFIG_X=``: True for y, False for n, "m", int, or str.

    A string loses its quotes and the backslashes before quotes and backslashes. Raises
    `FormatError`.
    """
    if raw in ("y", "n"):
        return raw == "y"
    if raw == "m":
        return raw
    if len(raw) >= 2 and raw[0] == raw[-1] == '"':
        return unquoted(raw)
    try:
        # Not base 0: it refuses leading zeroes, which are decimal here.
        return int(raw, 16 if raw.lower().removeprefix("-").startswith("0x") else 10)
    except ValueError:
        message = f"{name} is {raw!r}: expected y, m, n, a number or a quoted string"
        raise FormatError(message) from None


def unquoted(raw: str) -> str:
    """Return the text between the quotes of a string option, escapes resolved."""
    parts, escaped = [], False
    for character in raw[1:-1]:
        if character == "\\" and not escaped:
            escaped = True
            continue
        parts.append(character)
        escaped = False
    return "".join(parts)


def read_file(path: str, tried: Sequence[tuple[str, str]] = ()) -> Kconfig:
    """Read a configuration, plain or gzip; `OSError` or `FormatError` when it is none."""
    with open(path, "rb") as file:
        data = file.read(MAX_TEXT + 1)
    if data[:2] == _GZIP:
        import zlib

        try:
            data = zlib.decompressobj(16 + zlib.MAX_WBITS).decompress(data, MAX_TEXT + 1)
        except zlib.error as error:
            raise FormatError(f"{path} is not a gzip file: {error}", source=path) from error
    if len(data) > MAX_TEXT:
        raise FormatError(f"{path} has more than {MAX_TEXT} bytes of text", source=path)
    if b"CONFIG_" not in data:
        raise FormatError(f"{path} holds no CONFIG_ options", source=path)
    return Kconfig(data, path, tried)


_running: list[Kconfig] = []


def kernel_config() -> Kconfig:
    """Return the running kernel's configuration, read once per process.

    Raises `NotFoundError` naming every file that was looked at, and why it did not serve.
    """
    if not _running:
        import os

        release = os.uname().release
        _running.append(first_of(places(release), release))
    return _running[0]


def first_of(paths: Sequence[str], release: str) -> Kconfig:
    """Read the first of *paths* that is a configuration."""
    tried: list[tuple[str, str]] = []
    for path in paths:
        try:
            return read_file(path, tried)
        except OSError as error:
            tried.append((path, error.strerror or str(error)))
        except FormatError as error:
            tried.append((path, error.message))
    listing = "; ".join(f"{path}: {reason}" for path, reason in tried)
    raise NotFoundError(
        f"the configuration of the running kernel ({release}) was not found: {listing}",
        hint="modprobe configs makes /proc/config.gz where the kernel has it as a module",
        name="kernel configuration",
        where=", ".join(paths),
        tried=tuple(tried),
    )
