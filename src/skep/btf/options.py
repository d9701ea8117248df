"""`Options`: what BTF leaves open about reading a value, and the words for it.

What is asked for by the caller comes first, then a tag on the member, then the member's type, then
its name.
"""

from __future__ import annotations

from skep.errors import RangeError, TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Literal

    Order = Literal["big", "little"]

_ORDERS = {"big": ">", "little": "<", "network": ">"}


class Options:
    """How to read what BTF leaves open; never changes, so that codecs can be kept by it.

    *enums* is "numbers" or "names". *addresses* tells whether addresses are objects of the module
    `ipaddress` or numbers and bytes. *byteorder* is "big" or "little" for a single number or an
    array of them, or a mapping of member to order for a struct, where ``"at.port"`` is a member of
    a member; it overrides everything. *want* is the Python type to make: a `Record` subclass,
    `int`, `ipaddress.IPv4Address` and so on (`skep.btf.views`).
    """

    __slots__ = ("_hash", "addresses", "form", "names", "order", "orders", "want")

    addresses: bool
    form: str  # "", "ipv4", "ipv6", "names", "numbers" or "enum NAME"
    names: bool
    order: str  # "", "<" or ">"
    orders: tuple[tuple[str, str], ...]  # by path of the member
    want: Any

    def __init__(
        self,
        *,
        enums: Literal["numbers", "names"] = "numbers",
        addresses: bool = True,
        byteorder: Order | Mapping[str, Order] | None = None,
        want: Any = None,
    ) -> None:
        if not isinstance(enums, str) or enums not in {"numbers", "names"}:
            raise RangeError(
                f"enums is {enums!r:.60}, expected 'numbers' or 'names'",
                expected="'numbers' or 'names'",
                given=enums,
            )
        order = ""
        orders: tuple[tuple[str, str], ...] = ()
        if isinstance(byteorder, str):
            order = _sign(byteorder, "")
        elif byteorder is not None:
            if not hasattr(byteorder, "items") or not all(
                isinstance(one, str) for one in byteorder
            ):
                raise TypeMismatchError(
                    f"byteorder is {byteorder!r:.60}, expected 'big', 'little' or a mapping of"
                    " member to one of them",
                    expected="'big', 'little' or a mapping",
                    given=byteorder,
                )
            orders = tuple(sorted((path, _sign(o, path)) for path, o in byteorder.items()))
        self._set(enums == "names", bool(addresses), order, orders, "", want)

    def _set(
        self,
        names: bool,
        addresses: bool,
        order: str,
        orders: tuple[tuple[str, str], ...],
        form: str,
        want: Any,
    ) -> None:
        self.names = names
        self.addresses = addresses
        self.order = order
        self.orders = orders
        self.form = form
        self.want = want
        # NumPy's dtypes that are equal may differ in names; the class of what is wanted counts.
        self._hash = hash((names, addresses, order, orders, form, id(want)))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Options) and (
            self.want is other.want
            and self.form == other.form
            and self.order == other.order
            and self.names == other.names
            and self.addresses == other.addresses
            and self.orders == other.orders
        )

    @property
    def plain(self) -> bool:
        """Whether nothing is asked for: the codec that everybody shares."""
        return self == DEFAULT

    def but(
        self,
        *,
        order: str = "",
        orders: tuple[tuple[str, str], ...] = (),
        form: str = "",
        want: Any = None,
    ) -> Options:
        """Return these options for another place, where only the choices for all are the same."""
        if not (order or orders or form) and want is None and self.names and self.addresses:
            return NAMES
        made = Options.__new__(Options)
        made._set(self.names, self.addresses, order, orders, form, want)  # noqa: SLF001
        return DEFAULT if made == DEFAULT else made

    def member(self, name: str, want: Any = None) -> Options:
        """Return the options of member *name* of a struct."""
        if self is DEFAULT and want is None:
            return self
        order = ""
        orders: tuple[tuple[str, str], ...] = ()
        if self.orders:
            inside = f"{name}."
            orders = tuple(
                (path[len(inside) :], sign) for path, sign in self.orders if path.startswith(inside)
            )
            order = dict(self.orders).get(name, "")
        return self.but(order=order, orders=orders, want=want)

    def tagged(self, tags: tuple[str, ...]) -> Options:
        """Return these options with those of a declaration's *tags* that are not overridden."""
        order, form = self.order, self.form
        for tag in tags:
            if tag in _ORDERS:
                order = order or _ORDERS[tag]
            elif tag in {"ipv4", "ipv6"}:
                form = form or (tag if self.addresses else "")
                order = order or ("" if self.addresses else ">")
            else:
                form = form or ("names" if tag == "enum" else tag)
        if (order, form) == (self.order, self.form):
            return self
        return self.but(order=order, orders=self.orders, form=form, want=self.want)


def _sign(order: object, path: str) -> str:
    sign = _ORDERS.get(order) if isinstance(order, str) else None
    if sign is None:
        where = f"byteorder of {path}" if path else "byteorder"
        raise RangeError(
            f"{where} is {order!r}, expected 'big' or 'little'",
            expected="'big' or 'little'",
            given=order,
        )
    return sign


DEFAULT = Options()
NAMES = Options(enums="names")

PREFIX = "skep:"
TAGS = ("big", "little", "ipv4", "ipv6", "enum")
"""The tags ``skep:...`` of members and typedefs; ``enum`` may go on: ``skep:enum tcp_state``."""


_LAST_WORDS = frozenset({"ip", "sip", "dip", "srcip", "dstip", "vip"})


def names_an_address(name: str) -> bool:
    """Tell whether a member called *name*, if it is a ``__be32`` or 16 bytes, is an address.

    It is when its last word, which ``_`` starts, ends in ``addr`` or ``address``, or is ``ip``,
    ``sip``, ``dip``, ``srcip``, ``dstip`` or ``vip``; a ``4``, ``6``, ``v4`` or ``v6`` after it
    does not count, nor do capitals.
    """
    word = name.lower().rstrip("46").removesuffix("v").rstrip("_")
    last = word.rpartition("_")[2]
    return last.endswith(("addr", "address")) or last in _LAST_WORDS
