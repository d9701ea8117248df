"""What every map type can do on this kernel is what map_table.txt says; see map_table.py."""

from __future__ import annotations

import map_table
import pytest
from map_operations import OPERATIONS, outcomes
from map_subjects import SUBJECTS

from skep.kernel.constants import MapType
from skep.kernel.release import release_name


def test_the_table_has_every_type_and_operation_and_nothing_wrong() -> None:
    assert set(SUBJECTS) == set(MapType) - {MapType.UNSPEC}
    for series in ("6.1", "6.12", "6.18"):
        expected = map_table.expected(f"{series}.0")
        assert set(expected) == {(type.name, name) for type in SUBJECTS for name in OPERATIONS}
        bad = [where for where, said in expected.items() if said == "WRONG" or said.endswith("!")]
        assert not bad


@pytest.mark.parametrize("type", SUBJECTS, ids=[each.name for each in SUBJECTS])
def test_every_operation_does_what_the_table_says(type: MapType) -> None:
    row = {name: list(found) for name, found in outcomes(type).items()}
    assert not map_table.unexpected(release_name(), {type.name: row})
