"""Externs as plain data: parsed and given values without a kernel, in both byte orders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from skep.btf import types as t
from skep.btf.btf import Btf
from skep.btf.writer import Builder
from skep.errors import FormatError, NotFoundError, RangeError, SkepError, TypeMismatchError
from skep.kernel.kconfig import Kconfig
from skep.object.extern_types import prototypes_agree, variables_agree
from skep.object.extern_values import config_value, pack, pack_raw, shape
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

    from skep.object.externs import ExternSpec

SOURCE = r"""
#include <skep/bpf.h>
char LICENSE[] SEC("license") = "GPL";
extern char name[10] __kconfig;
extern _Bool flag __kconfig __weak;
extern enum libbpf_tristate state __kconfig;
extern char letter __kconfig;
extern unsigned char byte __kconfig;
extern short small __kconfig;
extern unsigned int number __kconfig;
extern int signed_number __kconfig;
extern unsigned long big __kconfig;
extern long signed_big __kconfig;
extern int list[3] __kconfig;
extern const void address __ksym __weak;
struct rq;
extern const struct rq variable __ksym;
extern int bpf_function___flavour(struct rq *, const char *name) __ksym;
int outside(int);
extern int beyond;
SEC("socket") int use(struct __sk_buff *skb)
{
	return name[1] + flag + state + letter + byte + small + number + signed_number + big
		+ signed_big + list[1] + (long) &address + (long) &variable
		+ bpf_function___flavour(0, 0) + outside(1) + beyond;
}
"""


@pytest.fixture(params=["bpfel", "bpfeb"])
def spec(compile_bpf: CompileBpf, request: pytest.FixtureRequest) -> ObjectSpec:
    return ObjectSpec.from_file(compile_bpf(SOURCE, target=request.param))


def test_kinds_types_and_names(spec: ObjectSpec) -> None:
    externs = spec.externs
    assert [name for name, each in externs.items() if each.kind == "ksym"] == [
        "address", "variable",
    ]  # fmt: skip
    function = externs["bpf_function___flavour"]
    assert (function.kind, function.kernel_name, function.weak) == ("kfunc", "bpf_function", False)
    assert function.declaration == "int bpf_function___flavour(struct rq *, const char *)"
    assert {name for name, each in externs.items() if each.weak} == {"flag", "address"}
    assert (externs["address"].typed, externs["variable"].typed) == (False, True)
    assert externs["variable"].declaration == "const struct rq variable"
    assert "outside" not in externs
    with pytest.raises(NotFoundError, match=r"no extern 'nam'.*name"):
        externs["nam"]


def test_options_have_places_in_a_constant_map(spec: ObjectSpec) -> None:
    # The most aligned first, then the smallest, then by name: as libbpf places them.
    options = sorted(
        (each.offset, each.name) for each in spec.externs.values() if each.kind == "kconfig"
    )
    assert options == [
        (0, "big"), (8, "signed_big"), (16, "number"), (20, "signed_number"), (24, "state"),
        (28, "list"), (40, "small"), (42, "byte"), (43, "flag"), (44, "letter"), (45, "name"),
    ]  # fmt: skip
    section = spec.maps[".kconfig"]
    assert (section.value_size, section.frozen, section.contents) == (55, True, None)
    assert ".kconfig" not in {variable.section for variable in spec.variables.values()}
    assert spec.btf is not None
    described = spec.btf.type(section.value_type_id)
    assert isinstance(described, t.DataSec)
    assert described.size == 55
    assert [row[1] for row in described.variables] == [offset for offset, _ in options]


def test_the_kernel_gets_no_externs(spec: ObjectSpec) -> None:
    assert spec.btf is not None
    for found in spec.btf.types():
        if isinstance(found, t.Func | t.Var):
            assert found.linkage != 2, found
        if isinstance(found, t.Func):
            proto = spec.btf.type(found.type_id)
            assert isinstance(proto, t.FuncProto)
            assert all(name for name, _ in proto.params), found
        assert found.name != ".ksyms"


def test_references_stay_open(spec: ObjectSpec) -> None:
    references = spec.programs["use"].code.references
    assert {reference.kind for reference in references} == {"extern"}
    assert {reference.name for reference in references} >= {"outside", "beyond", "name", "address"}


def test_shapes(spec: ObjectSpec) -> None:
    def of(name: str) -> str:
        return shape(spec.externs[name].btf, spec.externs[name].type_id)

    names = ["name", "flag", "state", "letter", "byte", "small", "number", "big", "list"]
    assert [of(name) for name in names] == [
        "string", "bool", "tristate", "char", "char", "int", "int", "int", "",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "raw", "value"),
    [
        ("flag", "y", 1),
        ("flag", "n", 0),
        ("flag", "1", 1),
        ("state", "m", 2),
        ("state", "y", 1),
        ("letter", "m", ord("m")),
        ("letter", "-128", -128),
        ("byte", "255", 255),
        ("small", "-32768", -32768),
        ("number", "0xffffffff", 0xFFFFFFFF),
        ("number", "010", 10),
        ("signed_number", "-2147483648", -(1 << 31)),
        ("big", "0xffffffffffffffff", (1 << 64) - 1),
        ("signed_big", "0xffffffffffffffff", -1),
        ("name", '""', b""),
        ("name", '"nine char"', b"nine char"),
        ("name", '"more than nine"', b"more than"),
        ("name", r'"a\"b\\c"', b'a"b\\c'),
        ("name", '"y"', b"y"),
    ],
)
def test_values_of_the_configuration(
    spec: ObjectSpec, name: str, raw: str, value: int | bytes
) -> None:
    extern = spec.externs[name]
    packed = pack_raw(extern, raw)
    assert len(packed) == extern.size
    if isinstance(value, bytes):
        assert packed == value.ljust(10, b"\0")
    else:
        assert int.from_bytes(packed, spec.byteorder, signed=value < 0) == value


@pytest.mark.parametrize(
    ("name", "raw", "kind"),
    [
        ("flag", "m", TypeMismatchError),
        ("flag", "2", RangeError),
        ("flag", '"y"', TypeMismatchError),
        ("state", "1", TypeMismatchError),
        ("letter", "128", RangeError),
        ("byte", "-1", RangeError),
        ("small", "32768", RangeError),
        ("number", "0x100000000", RangeError),
        ("number", "y", TypeMismatchError),
        ("big", "0x10000000000000000", RangeError),
        ("name", "y", TypeMismatchError),
        ("name", "7", TypeMismatchError),
        ("name", '"', FormatError),
        ("number", "what", FormatError),
        ("list", "7", TypeMismatchError),
    ],
)
def test_values_that_do_not_fit(
    spec: ObjectSpec, name: str, raw: str, kind: type[SkepError]
) -> None:
    extern = spec.externs[name]
    with pytest.raises(kind) as caught:
        pack_raw(extern, raw)
    assert name in caught.value.message
    if kind is not FormatError:
        assert f"'{extern.declaration}'" in caught.value.message


def test_values_of_the_user(spec: ObjectSpec) -> None:
    externs = spec.externs

    def number(name: str, value: object) -> int:
        return int.from_bytes(pack(externs[name], value), spec.byteorder)

    assert number("flag", True) == number("flag", 1) == number("flag", "y") == 1
    assert [number("state", value) for value in (False, True, "m")] == [0, 1, 2]
    assert number("letter", "m") == ord("m")
    assert number("letter", 7) == 7
    assert pack(externs["name"], "m").rstrip(b"\0") == b"m"
    for name, value in (("number", True), ("number", "y"), ("name", 5), ("flag", 1.5)):
        with pytest.raises(TypeMismatchError, match=name):
            pack(externs[name], value)
    with pytest.raises(TypeMismatchError, match="list"):
        externs["list"].value = 1
    externs["number"].value = 5
    copy = spec.copy()
    copy.externs["number"].value = 6
    assert (externs["number"].value, copy.externs["number"].value) == (5, 6)


CONFIG = Kconfig(
    b"CONFIG_A=y\n# CONFIG_OFF is not set\nCONFIG_N=5\nCONFIG_N=6\n",
    "/boot/config-1.2",
    [("/x", "no")],
)


def renamed(extern: ExternSpec, name: str) -> ExternSpec:
    made = extern.copy()
    made.name = name
    return made


def test_options_that_are_not_set(spec: ObjectSpec) -> None:
    weak, state, number = (spec.externs[name] for name in ("flag", "state", "number"))
    assert config_value(renamed(weak, "CONFIG_A"), CONFIG) == b"\1"
    assert config_value(renamed(weak, "CONFIG_GONE"), CONFIG) == b"\0"
    assert config_value(renamed(state, "CONFIG_OFF"), CONFIG) == bytes(4)
    assert int.from_bytes(config_value(renamed(number, "CONFIG_N"), CONFIG), spec.byteorder) == 6
    for extern, name, said in (
        (state, "CONFIG_GONE", "does not exist in /boot/config-1.2; /x: no"),
        (number, "CONFIG_OFF", "is not set in /boot/config-1.2"),
    ):
        with pytest.raises(NotFoundError, match=said) as caught:
            config_value(renamed(extern, name), CONFIG)
        assert f"spec.externs['{name}'].value" in caught.value.hint


def test_prototypes() -> None:
    """A declaration goes with a definition: parameters by construction, structs by kind."""
    writer = Builder()
    number = writer.int("int", 4, signed=True)
    other = writer.int("long", 8, signed=True)
    struct = writer.struct("rq", 4, [("a", number, 0)])
    forward = writer.forward("rq")
    union = writer.union("rq", 4, [("a", number, 0)])
    pointers = [writer.pointer(each) for each in (struct, forward, union, writer.const(forward))]
    one = writer.func_proto(number, [("a", pointers[0])])
    two = writer.func_proto(other, [("b", pointers[1])])
    three = writer.func_proto(number, [("b", pointers[3])])
    wrong = writer.func_proto(number, [("b", pointers[2])])
    more = writer.func_proto(number, [("a", pointers[0]), ("b", number)])
    void = writer.func_proto(0, [])
    btf = Btf.from_bytes(writer.build())
    for good in (one, two, three):
        assert prototypes_agree(btf, one, btf, good)
        assert prototypes_agree(btf, good, btf, one)
    # (a union's pointer is a pointer, but not to a struct that is only declared)
    assert not prototypes_agree(btf, two, btf, wrong)
    assert not prototypes_agree(btf, one, btf, more)
    assert not prototypes_agree(btf, one, btf, void)
    assert not prototypes_agree(btf, one, btf, number)
    assert variables_agree(btf, forward, btf, struct)
    assert not variables_agree(btf, forward, btf, number)
    assert not variables_agree(btf, forward, btf, union)


def test_a_prototype_without_end_agrees_with_nothing() -> None:
    builder = Builder()
    number = builder.int("int", 4, signed=True)
    endless = builder.func_proto(number, [("a", 3), ("b", 3)])
    assert builder.pointer(endless) == 3  # so it takes pointers to itself
    btf = Btf.from_bytes(builder.build())
    assert not prototypes_agree(btf, endless, btf, endless)
