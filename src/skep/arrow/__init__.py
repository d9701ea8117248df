"""Columns for other libraries, by the Arrow C data interface and nothing but `ctypes`.

`Table` has the three methods of the PyCapsule interface, so whatever reads Arrow takes it:
``pyarrow.table(t)``, ``polars.DataFrame(t)``, ``duckdb.sql("... from t")``,
``pandas.DataFrame.from_arrow(t)``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.arrow.table import Table as Table

__all__ = ["Table"]


def __getattr__(name: str) -> object:
    if name == "Table":
        from skep.arrow.table import Table

        return Table
    message = f"module 'skep.arrow' has no attribute {name!r}"
    raise AttributeError(message)
