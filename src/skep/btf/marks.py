"""Names of C types in annotations, ``Annotated[int, "u32"]``: what they say, and its check."""

from __future__ import annotations

from skep.errors import TypeMismatchError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.btf.btf import Btf
    from skep.btf.options import Options


def check(btf: Btf, type_id: int, name: str, marks: tuple[str, ...], options: Options) -> None:
    """Compare each of *marks* with type *type_id*: size, sign, byte order, length of a text.

    Raises `TypeMismatchError` saying which of them differs.
    """
    from skep.btf.agreement import compare
    from skep.btf.declare import Declarer

    for mark in marks:
        declarer = Declarer(btf.byteorder)
        declared = declarer.id_of(mark)
        problems = compare(btf, type_id, declarer.btf(), declared, options)
        if problems:
            raise TypeMismatchError(
                f"{name} is not {mark}: {problems[0].why}",
                hint=problems[0].fix,
                expected=name,
                given=mark,
            )
