"""LPM tries: networks as keys, the longest prefix, exact prefixes, on both sides."""

from __future__ import annotations

import random
import threading
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Network
from typing import TYPE_CHECKING

import numpy as np
import pytest
from needs import rounds

import skep
from skep.errors import MapFullError, MissingKeyError, RangeError, TypeMismatchError
from skep.kernel.constants import MapFlags, MapType
from skep.maps import LpmTrie, Map, MapSpec
from skep.maps.types import lpm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from compiling import CompileBpf

SOURCE = """// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
#include <skep/bpf.h>
#include <skep/endian.h>

char LICENSE[] SEC("license") = "GPL";

struct v4 { __u32 prefixlen; __be32 address; };
struct v6 { __u32 prefixlen; __u8 address[16]; };
struct zoned { __u32 prefixlen; __u16 zone; __u8 host[2]; };
struct name { __u32 prefixlen; char name[12]; };

#define TRIE(NAME, KEY) \\
	struct { \\
		__uint(type, BPF_MAP_TYPE_LPM_TRIE); \\
		__uint(max_entries, 1000); \\
		__uint(map_flags, BPF_F_NO_PREALLOC); \\
		__type(key, KEY); \\
		__type(value, __u64); \\
	} NAME SEC(".maps")

TRIE(routes, struct v4);
TRIE(routes6, struct v6);
TRIE(zones, struct zoned);
TRIE(names, struct name);

__u32 address; /* in host order */

SEC("socket") int route(struct __sk_buff *skb)
{
	struct v4 key = { .prefixlen = 32, .address = bpf_htonl(address) };
	__u64 *found = bpf_map_lookup_elem(&routes, &key);

	return found ? *found : 0;
}

SEC("socket") int learn(struct __sk_buff *skb)
{
	struct v4 key = { .prefixlen = 8, .address = bpf_htonl(address) }; /* host bits stay set */
	__u64 value = 1;

	return bpf_map_update_elem(&routes, &key, &value, BPF_ANY);
}
"""


@pytest.fixture
def live(compile_bpf: CompileBpf) -> Iterator[skep.Object]:
    with skep.ObjectSpec.from_file(compile_bpf(SOURCE)).load() as live:
        yield live


@pytest.fixture
def routes(live: skep.Object) -> LpmTrie:
    routes = live.maps["routes"]
    assert isinstance(routes, LpmTrie)
    return routes


def plain(key_size: int, entries: int = 100, value_size: int = 4) -> LpmTrie:
    spec = MapSpec(
        name="trie",
        type=MapType.LPM_TRIE,
        key_size=key_size,
        value_size=value_size,
        max_entries=entries,
        flags=MapFlags.NO_PREALLOC,
    )
    made = spec.create()
    assert isinstance(made, LpmTrie)
    return made


def test_the_longest_prefix_is_found_by_both_sides(live: skep.Object, routes: LpmTrie) -> None:
    routes["10.0.0.0/8"] = 8
    routes[IPv4Network("10.1.0.0/16")] = 16
    routes[IPv4Address("10.1.2.3")] = 32
    for text, expected in (
        ("10.1.2.3", 32), ("10.1.2.4", 16), ("10.2.0.0", 8), ("11.0.0.0", 0),
    ):  # fmt: skip
        live.variables["address"].value = int(IPv4Address(text))
        assert live.programs["route"].test_run().retval == expected
        assert routes.get(text, 0) == expected
        assert (text in routes) is (expected > 0)
    assert routes["10.1.0.0/16"] == 16
    assert routes["10.16.0.0/12"] == 8  # a network is looked up with its own length
    assert set(routes) == {
        IPv4Network("10.0.0.0/8"), IPv4Network("10.1.0.0/16"), IPv4Network("10.1.2.3/32"),
    }  # fmt: skip
    assert dict(routes.items())[IPv4Network("10.1.0.0/16")] == 16
    assert routes.count() == 3


def test_exact_and_match(routes: LpmTrie) -> None:
    routes["10.0.0.0/8"] = 8
    routes["10.1.0.0/16"] = 16
    assert routes.exact("10.0.0.0/8") == 8
    assert routes.exact("10.1.0.0/17", None) is None  # covered, and not there
    with pytest.raises(MissingKeyError, match=r"'routes' has no key '10.1.2.3'") as caught:
        routes.exact("10.1.2.3")
    assert caught.value.key == "10.1.2.3"
    assert routes.match("10.1.2.3") == IPv4Network("10.1.0.0/16")
    assert routes.match("10.1.0.0/16") == IPv4Network("10.1.0.0/16")
    assert routes.match("10.0.0.0/9") == IPv4Network("10.0.0.0/8")
    assert routes.match("11.1.2.3") is None
    with pytest.raises(RangeError, match=r"map 'routes', key: '10.1.2.3/8' has bits set"):
        routes.exact("10.1.2.3/8")
    routes.clear()
    assert routes.exact("10.0.0.0/8", None) is None
    routes["0.0.0.0/0"] = 1
    assert routes.exact("0.0.0.0/0") == 1
    assert routes.match("1.2.3.4") == IPv4Network("0.0.0.0/0")


@pytest.mark.parametrize("walks", [True, False])
def test_exact_agrees_with_a_dict(walks: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways: by the order of the walk, and by a walk, as on kernels that get it wrong."""
    if not walks:
        monkeypatch.setattr(lpm, "_walks_from", [False])
    chance = random.Random(5)

    def some() -> IPv4Network:
        # Few first bits, so that many networks lie inside others.
        bits = chance.choice((0, 1, 2, 3, 4, 8, 9, 16, 31, 32))
        return IPv4Network(
            (chance.getrandbits(4) << 28 | chance.getrandbits(2), bits), strict=False
        )

    with plain(8) as trie:
        known: dict[IPv4Network, bytes] = {}
        for step in range(rounds(400)):
            network, value = some(), step.to_bytes(4, "little")
            if chance.random() < 0.6 and len(known) < 100:
                trie[network] = known[network] = value
            else:
                assert trie.pop(network, None) == known.pop(network, None)
            asked = some()
            assert trie.exact(asked, None) == known.get(asked)
            cover = [one for one in known if asked.subnet_of(one)]
            best = max(cover, key=lambda one: one.prefixlen, default=None)
            assert trie.match(asked) == best
            assert trie.get(asked) == (None if best is None else known[best])
        assert dict(trie.items()) == known


def test_what_is_about_one_prefix_alone(routes: LpmTrie) -> None:
    routes["10.0.0.0/8"] = 8
    with pytest.raises(MissingKeyError):
        del routes["10.1.0.0/16"]
    with pytest.raises(MissingKeyError):
        routes.pop("10.1.0.0/16")
    with pytest.raises(MissingKeyError):
        routes.replace("10.1.0.0/16", 1)
    with pytest.raises(skep.errors.KeyPresentError):
        routes.insert("10.0.0.0/8", 1)
    routes.insert("10.1.0.0/16", 16)
    assert routes.pop("10.1.0.0/16") == 16
    assert routes["10.1.0.0/16"] == 8


def test_bits_after_the_prefix_do_not_matter(live: skep.Object, routes: LpmTrie) -> None:
    live.variables["address"].value = int(IPv4Address("10.9.9.9"))
    assert live.programs["learn"].test_run().retval == 0
    assert list(routes) == [IPv4Network("10.0.0.0/8")]
    assert routes.exact("10.0.0.0/8") == 1
    del routes["10.0.0.0/8"]
    assert not routes.count()


def test_columns(routes: LpmTrie) -> None:
    routes.update(["10.0.0.0/8", IPv4Network("10.1.0.0/16")], [1, 2])
    keys, values = routes.read()
    order = np.argsort(values)
    assert keys["prefixlen"][order].tolist() == [8, 16]
    assert values[order].tolist() == [1, 2]
    routes.update(keys, values * np.uint64(10))
    assert routes["10.1.1.1"] == 20
    assert routes.delete(["10.1.0.0/16", "9.0.0.0/8"]) == 1
    keys, values = routes.drain()
    assert (len(keys), values.tolist()) == (1, [10])
    assert not routes.count()


def test_addresses_of_16_bytes(live: skep.Object) -> None:
    routes = live.maps["routes6"]
    routes["2001:db8::/32"] = 1
    routes[IPv6Address("2001:db8::7")] = 2
    assert routes["2001:db8::7"] == 2
    assert routes["2001:db8::8"] == 1
    assert set(routes) == {IPv6Network("2001:db8::/32"), IPv6Network("2001:db8::7/128")}
    with pytest.raises(TypeMismatchError, match="expected an IPv6 network, not the IPv4 net") as e:
        routes["10.0.0.0/8"] = 1
    assert "::ffff:10.0.0.0/104" in e.value.hint


def test_keys_that_are_no_addresses(live: skep.Object) -> None:
    zones = live.maps["zones"]  # four bytes, but of two members
    zones[{"prefixlen": 16, "zone": 7, "host": b"\0\0"}] = 1
    zones[24, 7, b"\1\0"] = 2
    assert zones[32, 7, b"\1\2"] == 2
    assert zones[32, 7, b"\2\2"] == 1
    assert {(key.prefixlen, key.zone, key.host) for key in zones} == {
        (16, 7, b"\0\0"), (24, 7, b"\1\0"),
    }  # fmt: skip
    names = live.maps["names"]
    names[8 * 4, "org."] = 5
    assert names[8 * 12, "org.kernel"] == 5
    assert names[8 * 4, b"org.".ljust(12, b"\0")] == 5  # bytes as well
    assert next(iter(names)).name == "org."
    with pytest.raises(RangeError, match="map 'names', key: a prefix has 0 to 96 bits, not 97"):
        names[97, "org."] = 1


def test_keys_without_types() -> None:
    with plain(7) as trie:
        trie[12, b"\xab\xc0\0"] = b"abcd"
        assert trie[b"\xab\xcd\xef"] == b"abcd"
        assert list(trie) == [(12, b"\xab\xc0\0")]
        assert trie.match((24, b"\xab\xcf\xff")) == (12, b"\xab\xc0\0")
        keys, _ = trie.read()
        assert keys["prefixlen"].tolist() == [12]
        assert keys["data"].tolist() == [[0xAB, 0xC0, 0]]
        for wrong in ("10.0.0.0/8", 5, (3, b"\0"), ("3", b"\0\0\0"), None):
            with pytest.raises(
                TypeMismatchError, match=r"'trie', key: expected .prefix length, 3 b"
            ):
                trie[wrong] = b"abcd"


@pytest.mark.parametrize(
    ("key", "kind", "words"),
    [
        ("10.1.2.3/8", RangeError, "the network is 10.0.0.0/8, and the address alone 10.1.2.3"),
        ("10.1.2", RangeError, "'10.1.2' is not an IPv4 network or address"),
        ("::/0", TypeMismatchError, "expected an IPv4 network, not the IPv6 network ::/0"),
        (0x0A000001, TypeMismatchError, "expected an IPv4 network or address, .* not int 1677721"),
        ((33, b"\0\0\0\0"), RangeError, "a prefix has 0 to 32 bits, not 33"),
        ((8, b"\0\0\0"), TypeMismatchError, "expected an IPv4 network or address"),
        (None, TypeMismatchError, "not NoneType None"),
    ],
)
def test_keys_that_do_not_fit(key: object, kind: type[Exception], words: str) -> None:
    with plain(8) as trie:
        actions: list[Callable[[], object]] = [
            lambda: trie[key], lambda: trie.exact(key), lambda: trie.match(key),
        ]  # fmt: skip
        for action in actions:
            with pytest.raises(kind, match=words) as caught:
                action()
            assert str(caught.value).startswith("map 'trie', key: ")


def test_a_full_trie() -> None:
    with plain(8, entries=2) as trie:
        trie["10.0.0.0/8"] = trie["11.0.0.0/8"] = b"abcd"
        with pytest.raises(MapFullError, match="map 'trie' \\(lpm_trie\\) is full") as caught:
            trie["12.0.0.0/8"] = b"abcd"
        assert (caught.value.entries, caught.value.reason) == (2, "full")
        trie["10.0.0.0/8"] = b"efgh"
        trie[IPv4Interface("11.1.2.3/8")] = b"ijkl"  # the network it is in
        assert trie["11.0.0.1"] == b"ijkl"


def test_a_trie_that_changes_while_it_is_asked() -> None:
    with plain(8, entries=1000) as trie:
        trie["128.0.0.0/8"] = b"stay"
        stop = threading.Event()

        def change() -> None:
            while not stop.is_set():
                for first in range(1, 20):
                    trie[f"{first}.0.0.0/8"] = b"come"
                for first in range(1, 20):
                    del trie[f"{first}.0.0.0/8"]

        thread = threading.Thread(target=change)
        thread.start()
        try:
            for _ in range(rounds(300)):
                assert trie.match("128.1.2.3") == IPv4Network("128.0.0.0/8")
                assert trie["128.1.2.3"] == b"stay"
                assert IPv4Network("128.0.0.0/8") in list(trie)
        finally:
            stop.set()
            thread.join()
        assert trie.exact("128.0.0.0/8") == b"stay"


def test_opened_again_it_has_its_types(live: skep.Object, routes: LpmTrie) -> None:
    routes["10.0.0.0/8"] = 8
    with Map.from_id(routes.id) as again:
        assert isinstance(again, LpmTrie)
        assert again["10.1.2.3"] == 8


def test_a_bound_view_of_a_trie(routes: LpmTrie) -> None:
    class V4(skep.Record):
        prefixlen: int
        address: int

    routes["10.1.0.0/16"] = 5
    bound = routes.bind(key=V4, addresses=False)
    assert isinstance(bound, LpmTrie)
    (key,) = bound
    assert isinstance(key, V4)
    assert tuple(key) == (16, 0x0A010000)
    assert bound[V4(32, 0x0A010203)] == 5
    assert bound.exact(key) == 5
    assert bound.match(V4(32, 0x0A010203)) == key
