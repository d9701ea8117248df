"""Live maps and their specs: typed items, columns, global variables.

`Map` is a map with keys, and the base of the classes for all other kinds of maps; what opens a
map gives it the class for its type. Public names are imported when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.maps.arena import Arena as Arena
    from skep.maps.array import ArrayMap as ArrayMap
    from skep.maps.bloom import BloomFilter as BloomFilter
    from skep.maps.cgroup_storage import AttachedStorage as AttachedStorage
    from skep.maps.cgroups import CgroupArray as CgroupArray
    from skep.maps.devices import CpuMap as CpuMap
    from skep.maps.devices import DeviceMap as DeviceMap
    from skep.maps.lpm import LpmTrie as LpmTrie
    from skep.maps.many import read_all as read_all
    from skep.maps.map import Map as Map
    from skep.maps.nested import MapOfMaps as MapOfMaps
    from skep.maps.operations import StructOpsMap as StructOpsMap
    from skep.maps.perf_events import PerfEventArray as PerfEventArray
    from skep.maps.programs import ProgramArray as ProgramArray
    from skep.maps.queue import Queue as Queue
    from skep.maps.sockets import ReuseportArray as ReuseportArray
    from skep.maps.sockets import SocketMap as SocketMap
    from skep.maps.sockets import XskMap as XskMap
    from skep.maps.sockets import cookie as cookie
    from skep.maps.spec import MapSpec as MapSpec
    from skep.maps.stack_traces import StackTraces as StackTraces
    from skep.maps.storage import CgroupStorage as CgroupStorage
    from skep.maps.storage import InodeStorage as InodeStorage
    from skep.maps.storage import SocketStorage as SocketStorage
    from skep.maps.storage import TaskStorage as TaskStorage
    from skep.maps.user_ring import UserRingBuffer as UserRingBuffer
    from skep.maps.variables import Variable as Variable

# Where each public name lives. The names above are the same ones, for type checkers.
_PUBLIC = {
    "Arena": "arena",
    "ArrayMap": "array",
    "AttachedStorage": "cgroup_storage",
    "BloomFilter": "bloom",
    "CgroupArray": "cgroups",
    "CgroupStorage": "storage",
    "CpuMap": "devices",
    "DeviceMap": "devices",
    "InodeStorage": "storage",
    "LpmTrie": "lpm",
    "Map": "map",
    "MapOfMaps": "nested",
    "MapSpec": "spec",
    "PerfEventArray": "perf_events",
    "ProgramArray": "programs",
    "Queue": "queue",
    "ReuseportArray": "sockets",
    "SocketMap": "sockets",
    "SocketStorage": "storage",
    "StackTraces": "stack_traces",
    "StructOpsMap": "operations",
    "TaskStorage": "storage",
    "UserRingBuffer": "user_ring",
    "Variable": "variables",
    "XskMap": "sockets",
    "cookie": "sockets",
    "read_all": "many",
}

__all__ = [*_PUBLIC]  # noqa: PLE0604 - the names are strings, in a dict


def __getattr__(name: str) -> object:
    module = _PUBLIC.get(name)
    if module is None:
        message = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(message)
    found = globals()[name] = getattr(__import__(f"{__name__}.{module}", fromlist=("",)), name)
    return found


def __dir__() -> list[str]:
    return sorted(__all__)
