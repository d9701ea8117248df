"""Externs of objects on the running kernel, compared with what other sources say about it."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from needs import need_function, need_program

from skep.errors import (
    ExternError,
    LoadErrors,
    RangeError,
    SkepError,
    TypeMismatchError,
    UnsupportedError,
    VerifierError,
)
from skep.kernel.kallsyms import symbols
from skep.object.spec import ObjectSpec

if TYPE_CHECKING:
    from compiling import CompileBpf

HEAD = '#include <skep/bpf.h>\nchar LICENSE[] SEC("license") = "GPL";\n'


def parsed(compile_bpf: CompileBpf, source: str) -> ObjectSpec:
    return ObjectSpec.from_file(compile_bpf(HEAD + source))


def config_text() -> str:
    """The kernel's configuration, by another way than skep's."""
    boot = Path(f"/boot/config-{os.uname().release}")
    proc = Path("/proc/config.gz")
    return gzip.decompress(proc.read_bytes()).decode() if proc.exists() else boot.read_text()


def config(name: str) -> str:
    return str(re.findall(rf"^{name}=(.*)$", config_text(), re.MULTILINE)[0])


OPTIONS = r"""
extern int LINUX_KERNEL_VERSION __kconfig;
extern _Bool LINUX_HAS_SYSCALL_WRAPPER __kconfig;
extern int LINUX_HAS_BPF_COOKIE __kconfig;
extern unsigned int CONFIG_HZ __kconfig;
extern unsigned long CONFIG_PHYSICAL_START __kconfig;
extern _Bool CONFIG_BPF_SYSCALL __kconfig;
extern enum libbpf_tristate CONFIG_NET __kconfig;
extern char CONFIG_BPF_JIT __kconfig;
extern char CONFIG_DEFAULT_HOSTNAME[32] __kconfig;
extern char CONFIG_CC_VERSION_TEXT[5] __kconfig;
extern int CONFIG_SKEP_NOT_THERE __kconfig __weak;
extern int LINUX_SKEP_NOT_THERE __kconfig __weak;

__u64 seen[12];
char hostname[32], compiler[5];

SEC("socket") int read(struct __sk_buff *skb)
{
	int i;

	seen[0] = LINUX_KERNEL_VERSION;
	seen[1] = LINUX_HAS_SYSCALL_WRAPPER;
	seen[2] = LINUX_HAS_BPF_COOKIE;
	seen[3] = CONFIG_HZ;
	seen[4] = CONFIG_PHYSICAL_START;
	seen[5] = CONFIG_BPF_SYSCALL;
	seen[6] = CONFIG_NET == TRI_YES ? 20 : CONFIG_NET == TRI_MODULE ? 10 : 0;
	seen[7] = CONFIG_BPF_JIT;
	seen[8] = CONFIG_SKEP_NOT_THERE;
	seen[9] = LINUX_SKEP_NOT_THERE;
	for (i = 0; i < 32; i++)
		hostname[i] = CONFIG_DEFAULT_HOSTNAME[i];
	for (i = 0; i < 5; i++)
		compiler[i] = CONFIG_CC_VERSION_TEXT[i];
	return 7;
}
SEC("socket") int without(struct __sk_buff *skb) { return 8; }
"""


def test_options_have_the_values_of_the_configuration(compile_bpf: CompileBpf) -> None:
    with parsed(compile_bpf, OPTIONS).load() as obj:
        assert obj.btf_error is None
        assert obj.programs["read"].test_run().retval == 7
        seen = list(obj.variables["seen"].value)
        major, minor = (int(word) for word in os.uname().release.split(".")[:2])
        assert seen[0] >> 8 == major << 8 | minor
        wrapped = subprocess.run(
            ["grep", "-qE", " __(x64|arm64)_sys_", "/proc/kallsyms"], check=False
        )
        assert seen[1] == (wrapped.returncode == 0)
        assert seen[2] == 1  # since Linux 5.15
        assert seen[3] == int(config("CONFIG_HZ"))
        assert seen[4] == int(config("CONFIG_PHYSICAL_START"), 16)
        assert seen[5] == 1
        assert seen[6] == 20
        assert seen[7] == ord("y")
        assert seen[8:10] == [0, 0]
        assert obj.variables["hostname"].value == config("CONFIG_DEFAULT_HOSTNAME")[1:-1]
        # Too long for the program's array: cut, as libbpf does.
        assert obj.variables["compiler"].value == config("CONFIG_CC_VERSION_TEXT")[1:-1][:4]


def test_the_map_is_libbpfs(compile_bpf: CompileBpf, bpffs: Path) -> None:
    need_program("bpftool")
    path = compile_bpf(HEAD + OPTIONS)
    with ObjectSpec.from_file(path).load() as obj:
        ours = bytearray(bytes(obj.maps[".kconfig"][0]))
        length = obj.programs["read"].info.xlated_length
        wrapper = obj.spec.externs["LINUX_HAS_SYSCALL_WRAPPER"].offset
        version = obj.spec.externs["LINUX_KERNEL_VERSION"].offset

    def ask(*command: str) -> Any:
        done = subprocess.run(["bpftool", "-j", *command], capture_output=True, check=True)
        return json.loads(done.stdout or "null")

    ask("prog", "loadall", str(path), str(bpffs / "programs"))
    program = ask("prog", "show", "pinned", str(bpffs / "programs" / "read"))
    assert program["bytes_xlated"] == length
    maps = [ask("map", "show", "id", str(number)) for number in program["map_ids"]]
    (options,) = (each for each in maps if each["name"].endswith(".kconfig"))
    (element,) = ask("map", "dump", "id", str(options["id"]))
    theirs = bytearray(int(byte, 16) for byte in element["value"])
    # libbpf 1.1 asks for wrappers by creating a kprobe, which says 0 on a kernel without kprobes,
    # and does not look where Debian puts the stable version (the lowest byte) in 6.1.
    for place in (wrapper, version):
        assert theirs[place] in (0, ours[place])
        ours[place] = theirs[place]
    assert ours == theirs
    assert (options["frozen"], options["flags"]) == (1, obj.spec.maps[".kconfig"].flags)


def test_options_are_a_constant_map(compile_bpf: CompileBpf) -> None:
    spec = parsed(compile_bpf, OPTIONS)
    assert spec.maps[".kconfig"].frozen
    with spec.load() as obj:
        values = obj.maps[".kconfig"]
        hertz = spec.externs["CONFIG_HZ"]
        assert hertz.decode(bytes(values[0])) == int(config("CONFIG_HZ"))
        with pytest.raises(SkepError):
            values[0] = bytes(values.spec.value_size)
        with pytest.raises(SkepError):
            values.write_contents(bytes(values.spec.value_size))


def test_values_can_be_given(compile_bpf: CompileBpf) -> None:
    spec = parsed(compile_bpf, OPTIONS)
    given = {
        "CONFIG_HZ": 123,
        "CONFIG_SKEP_NOT_THERE": -5,
        "CONFIG_NET": "m",
        "CONFIG_BPF_JIT": False,
        "CONFIG_DEFAULT_HOSTNAME": "nest",
        "LINUX_KERNEL_VERSION": 0x50A00,
        "LINUX_HAS_SYSCALL_WRAPPER": False,
    }
    for name, value in given.items():
        spec.externs[name].value = value
    with spec.copy().load() as obj:
        obj.programs["read"].test_run()
        seen = obj.variables["seen"].value
        assert [seen[0], seen[1], seen[3], seen[6], seen[7]] == [0x50A00, 0, 123, 10, ord("n")]
        assert seen[8] == (1 << 64) - 5
        assert obj.variables["hostname"].value == "nest"
    for name in given:
        spec.externs[name].value = None
    with spec.load() as obj:
        obj.programs["read"].test_run()
        assert obj.variables["seen"].value[3] == int(config("CONFIG_HZ"))


def test_values_that_do_not_fit_name_the_type(compile_bpf: CompileBpf) -> None:
    spec = parsed(compile_bpf, OPTIONS)
    with pytest.raises(RangeError, match=r"CONFIG_HZ is -1, .* 'unsigned int CONFIG_HZ'"):
        spec.externs["CONFIG_HZ"].value = -1
    with pytest.raises(TypeMismatchError, match=r"CONFIG_HZ is x, .* takes a number"):
        spec.externs["CONFIG_HZ"].value = "x"
    with pytest.raises(RangeError, match="at most 31 bytes"):
        spec.externs["CONFIG_DEFAULT_HOSTNAME"].value = "x" * 32
    assert spec.externs["CONFIG_HZ"].value is None


def test_options_nobody_asks_for_are_not_looked_up(compile_bpf: CompileBpf) -> None:
    source = (
        OPTIONS
        + "extern int CONFIG_SKEP_STRONG __kconfig;\n"
        + ('SEC("socket") int strong(struct __sk_buff *skb) { return CONFIG_SKEP_STRONG; }\n')
    )
    spec = parsed(compile_bpf, source)
    with spec.load(programs=["without"]) as obj:
        assert not any(bytes(obj.maps[".kconfig"][0]))
    with spec.load(programs=["read", "without"]) as obj:
        assert obj.programs["read"].test_run().retval == 7
    with pytest.raises(
        ExternError, match="option CONFIG_SKEP_STRONG does not exist in /"
    ) as caught:
        spec.load()
    assert caught.value.program == "strong"
    assert caught.value.names == ("CONFIG_SKEP_STRONG",)
    assert "spec.externs['CONFIG_SKEP_STRONG'].value" in caught.value.hint
    spec.externs["CONFIG_SKEP_STRONG"].value = 9
    with spec.load() as obj:
        assert obj.programs["strong"].test_run().retval == 9


WRONG = r"""
extern _Bool CONFIG_HZ __kconfig;
extern char CONFIG_PHYSICAL_START __kconfig;
extern int CONFIG_BPF_SYSCALL __kconfig;
extern int LINUX_SKEP_UNKNOWN __kconfig;
extern struct odd { int a; } CONFIG_NET __kconfig;
SEC("socket") int wrong(struct __sk_buff *skb)
{
	return CONFIG_HZ + CONFIG_PHYSICAL_START + CONFIG_BPF_SYSCALL + LINUX_SKEP_UNKNOWN
		+ CONFIG_NET.a;
}
"""


def test_every_option_that_does_not_fit_is_told_at_once(compile_bpf: CompileBpf) -> None:
    with pytest.raises(ExternError) as caught:
        parsed(compile_bpf, WRONG).load()
    told = {name: reason for name, _, reason in caught.value.problems}
    hertz, start = config("CONFIG_HZ"), int(config("CONFIG_PHYSICAL_START"), 16)
    assert told["CONFIG_HZ"].startswith(f"option CONFIG_HZ is {hertz}, which does not fit '_Bool")
    assert told["CONFIG_PHYSICAL_START"] == (
        f"option CONFIG_PHYSICAL_START is {start}, which does not fit"
        " 'char CONFIG_PHYSICAL_START': -128 to 127"
    )
    assert "is y, but the program declares it as 'int CONFIG_B" in told["CONFIG_BPF_SYSCALL"]
    assert "LINUX_SKEP_UNKNOWN is no kconfig extern" in told["LINUX_SKEP_UNKNOWN"]
    assert "'struct odd CONFIG_NET' has a type that no option has" in told["CONFIG_NET"]
    for reason in told.values():
        assert reason in caught.value.message


SYMBOLS = r"""
extern const void bpf_prog_put __ksym;
extern const void skep_no_such_symbol __ksym __weak;
__u64 put, absent = 1;
SEC("socket") int read(struct __sk_buff *skb)
{
	put = (__u64) &bpf_prog_put;
	absent = (__u64) &skep_no_such_symbol;
	return bpf_ksym_exists(&skep_no_such_symbol) ? 1 : 2;
}
"""


def test_addresses_are_those_of_kallsyms(compile_bpf: CompileBpf) -> None:
    found = subprocess.run(
        ["grep", "-w", "bpf_prog_put$", "/proc/kallsyms"],
        capture_output=True,
        text=True,
        check=True,
    )
    with parsed(compile_bpf, SYMBOLS).load() as obj:
        assert obj.btf_error is None
        assert obj.programs["read"].test_run().retval == 2
        assert obj.variables["put"].value == int(found.stdout.split()[0], 16) != 0
        assert obj.variables["absent"].value == 0


def test_a_symbol_that_several_functions_have_is_refused(compile_bpf: CompileBpf) -> None:
    listing = Path("/proc/kallsyms").read_text()
    names = re.findall(r"^\w+ t ([a-z_]+)$", listing, re.MULTILINE)
    name = next(name for name in names if listing.count(f" t {name}\n") == 2)
    assert len(symbols([name])[name]) == 2
    source = f"extern const void {name} __ksym;" + (
        'SEC("socket") int read(struct __sk_buff *skb) { return (__u64) &NAME >> 8; }'
    ).replace("NAME", name)
    with pytest.raises(ExternError, match=rf"'{name}': /proc/kallsyms has 2 of that name"):
        parsed(compile_bpf, source).load()


QUEUES = r"""
struct rq;
extern const struct rq runqueues __ksym;
__u64 place;
SEC("socket") int look(struct __sk_buff *skb) { place = (__u64) &runqueues; return 3; }
"""


def test_variables_with_types(compile_bpf: CompileBpf) -> None:
    spec = parsed(compile_bpf, QUEUES)
    if "CONFIG_KALLSYMS_ALL=y" in config_text():
        with spec.load() as obj:
            assert obj.programs["look"].test_run().retval == 3
            (symbol,) = symbols(["runqueues"])["runqueues"]
            assert obj.variables["place"].value == symbol.address
    else:
        with pytest.raises(VerifierError, match="'runqueues'") as caught:
            spec.load()
        assert "CONFIG_KALLSYMS_ALL" in caught.value.hint


def test_a_variable_of_another_type_is_refused(compile_bpf: CompileBpf) -> None:
    source = QUEUES.replace("extern const struct rq", "extern const int")
    with pytest.raises(ExternError) as caught:
        parsed(compile_bpf, source).load()
    said = "the program declares 'const int runqueues', the kernel has 'struct rq runqueues'"
    assert caught.value.problems == (("runqueues", "ksym", said),)


def test_a_variable_that_no_kernel_has(compile_bpf: CompileBpf) -> None:
    source = QUEUES.replace("runqueues", "runqueue")
    with pytest.raises(ExternError, match=r"such a variable \(close: runqueues"):
        parsed(compile_bpf, source).load()
    weak = source.replace("runqueue __ksym", "runqueue __ksym __weak")
    with parsed(compile_bpf, weak).load() as obj:
        obj.variables["place"] = 77
        assert obj.programs["look"].test_run().retval == 3
        assert obj.variables["place"].value == 0


FUNCTIONS = r"""
struct bpf_cpumask;
struct cpumask;
extern struct bpf_cpumask *bpf_cpumask_create(void) __ksym;
extern void bpf_cpumask_release(struct bpf_cpumask *cpumask) __ksym;
extern void bpf_cpumask_set_cpu(__u32 cpu, struct bpf_cpumask *cpumask) __ksym;
extern __u32 bpf_cpumask_first___flavour(const struct cpumask *cpumask) __ksym;
extern void *bpf_skep_invented(int a) __ksym __weak;
extern __u32 bpf_cpumask_first___other(int a, int b) __ksym __weak;
__u32 first = 99, there, flavours;
SEC("tp_btf/sched_switch") int masks(void *ctx)
{
	struct bpf_cpumask *mask = bpf_cpumask_create();

	if (!mask)
		return 0;
	bpf_cpumask_set_cpu(1, mask);
	first = bpf_cpumask_first___flavour((const struct cpumask *) mask);
	bpf_cpumask_release(mask);
	if (bpf_ksym_exists(bpf_skep_invented))
		there = bpf_skep_invented(5) != NULL;
	if (bpf_ksym_exists(bpf_cpumask_first___other))
		flavours |= bpf_cpumask_first___other(1, 2);
	return 0;
}
"""


def test_kernel_functions_are_called(compile_bpf: CompileBpf) -> None:
    need_function("bpf_cpumask_create", (6, 3))
    with parsed(compile_bpf, FUNCTIONS).load() as obj:
        assert obj.btf_error is None
        with obj.attach():
            for _ in range(50):
                os.sched_yield()
                subprocess.run(["true"], check=True)
        assert obj.variables["first"].value == 1
        assert obj.variables["there"].value == 0


ITERATED = r"""
__u32 twice;
SEC("socket") int sum(struct __sk_buff *skb)
{
	int i, total = 0;

	bpf_for(i, 0, 11)
		total += i;
	bpf_repeat(3)
		total += 100;
	return total;
}
SEC("socket") int stopped(struct __sk_buff *skb)
{
	int i;

	bpf_for(i, 5, 1000)
		if (i == 9)
			break;
	return i;
}
SEC("syscall") int exists(void *ctx)
{
	return bpf_ksym_exists(bpf_iter_num_new) ? 3 : 4;
}
"""


def test_open_coded_iterators(compile_bpf: CompileBpf) -> None:
    need_function("bpf_iter_num_new", (6, 4))
    with parsed(compile_bpf, ITERATED).load() as obj:
        assert obj.programs["sum"].test_run().retval == 55 + 300
        assert obj.programs["stopped"].test_run().retval == 9
        assert obj.programs["exists"].test_run().retval == 3


MISSING = r"""
struct task_struct;
extern struct task_struct *bpf_task_from_pidd(int pid) __ksym;
extern void bpf_obj_drop_impl(int one, int two, int three) __ksym;
extern const void skep_no_such_symbol __ksym;
extern const struct task_struct skep_no_such_variable __ksym;
extern int CONFIG_SKEP_STRONG __kconfig;
extern int nowhere(int x);
SEC("tp_btf/sched_switch") int many(void *ctx)
{
	bpf_obj_drop_impl(1, 2, 3);
	return ((long) &skep_no_such_symbol >> 8) + ((long) &skep_no_such_variable >> 8)
		+ CONFIG_SKEP_STRONG + nowhere(1) + !bpf_task_from_pidd(1);
}
SEC("tp_btf/sched_switch") int one(void *ctx) { return !bpf_task_from_pidd(1); }
SEC("socket") int none(struct __sk_buff *skb) { return 4; }
"""


def test_all_that_a_program_lacks_is_told_together(compile_bpf: CompileBpf) -> None:
    need_function("bpf_obj_drop_impl", (6, 2))
    spec = parsed(compile_bpf, MISSING)
    with pytest.raises(LoadErrors) as caught:
        spec.load()
    many, one = caught.value.exceptions
    assert isinstance(many, ExternError)
    assert isinstance(one, ExternError)
    assert (many.program, one.program) == ("many", "one")
    release = os.uname().release
    assert many.release == one.release == release
    assert f"Linux {release} " in one.message
    assert one.names == ("bpf_task_from_pidd",)
    assert "close: bpf_task_from_pid" in one.message
    assert "bpf_ksym_exists()" in one.hint
    kinds = {name: kind for name, kind, _ in many.problems}
    assert kinds == {
        "bpf_task_from_pidd": "kfunc",
        "bpf_obj_drop_impl": "kfunc",
        "skep_no_such_symbol": "ksym",
        "skep_no_such_variable": "ksym",
        "CONFIG_SKEP_STRONG": "kconfig",
        "nowhere": "symbol",
    }
    reasons = {name: reason for name, _, reason in many.problems}
    assert reasons["bpf_obj_drop_impl"].startswith(
        "the program declares 'void bpf_obj_drop_impl(int, int, int)',"
        " the kernel has 'void bpf_obj_drop_impl(void *"
    )
    assert "bpftool gen object" in reasons["nowhere"]
    with spec.load(programs=["none"]) as obj:
        assert obj.programs["none"].test_run().retval == 4


def test_a_call_of_a_missing_weak_function_is_explained(compile_bpf: CompileBpf) -> None:
    source = r"""
extern int bpf_skep_invented(int a) __ksym __weak;
SEC("socket") int careless(struct __sk_buff *skb) { return bpf_skep_invented(1); }
"""
    with pytest.raises(ExternError) as caught:
        parsed(compile_bpf, source).load()
    error = caught.value
    assert error.program == "careless"
    assert "calls the weak kernel function 'bpf_skep_invented'" in error.message
    assert "return bpf_skep_invented(1);" in error.line
    assert error.hint == "call it only after bpf_ksym_exists(bpf_skep_invented)"
    assert "2002000000" in error.log
    assert "2002000000" not in str(error)


def test_without_types_an_extern_is_named(compile_bpf: CompileBpf, tmp_path: Path) -> None:
    bare = tmp_path / "bare.o"
    bare.write_bytes(compile_bpf(HEAD + SYMBOLS).read_bytes().replace(b".BTF", b".XTF"))
    with pytest.raises(ExternError, match=r"bare\.o has no BTF that says what it is") as caught:
        ObjectSpec.from_file(bare).load()
    assert set(caught.value.names) == {"bpf_prog_put", "skep_no_such_symbol"}


def test_only_options_take_values(compile_bpf: CompileBpf) -> None:
    spec = parsed(compile_bpf, SYMBOLS)
    with pytest.raises(UnsupportedError, match="ksym 'bpf_prog_put' is the kernel's"):
        spec.externs["bpf_prog_put"].value = 1
