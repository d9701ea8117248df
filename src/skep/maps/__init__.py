"""Live maps and their specs: typed items, columns, global variables.

`Map` is a map with keys, and the base of the classes for all other kinds of maps; what opens a
map gives it the class for its type. Public names are imported when they are first used.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from skep.maps.many import read_all as read_all
    from skep.maps.map import Map as Map
    from skep.maps.spec import MapSpec as MapSpec
    from skep.maps.types.arena import Arena as Arena
    from skep.maps.types.array import ArrayMap as ArrayMap
    from skep.maps.types.bloom import BloomFilter as BloomFilter
    from skep.maps.types.cgroup_storage import AttachedStorage as AttachedStorage
    from skep.maps.types.cgroups import CgroupArray as CgroupArray
    from skep.maps.types.devices import Cpu as Cpu
    from skep.maps.types.devices import CpuMap as CpuMap
    from skep.maps.types.devices import Device as Device
    from skep.maps.types.devices import DeviceMap as DeviceMap
    from skep.maps.types.lpm import LpmTrie as LpmTrie
    from skep.maps.types.nested import MapOfMaps as MapOfMaps
    from skep.maps.types.perf_events import PerfEventArray as PerfEventArray
    from skep.maps.types.programs import ProgramArray as ProgramArray
    from skep.maps.types.queue import Queue as Queue
    from skep.maps.types.sockets import ReuseportArray as ReuseportArray
    from skep.maps.types.sockets import SocketMap as SocketMap
    from skep.maps.types.sockets import XskMap as XskMap
    from skep.maps.types.sockets import cookie as cookie
    from skep.maps.types.stack_traces import StackTraces as StackTraces
    from skep.maps.types.storage import CgroupStorage as CgroupStorage
    from skep.maps.types.storage import InodeStorage as InodeStorage
    from skep.maps.types.storage import SocketStorage as SocketStorage
    from skep.maps.types.storage import TaskStorage as TaskStorage
    from skep.maps.types.struct_ops import StructOpsMap as StructOpsMap
    from skep.maps.types.user_ring import UserRingBuffer as UserRingBuffer
    from skep.maps.variables import Variable as Variable

# Where each public name lives. The names above are the same ones, for type checkers.
_PUBLIC = {
    "Arena": "types.arena",
    "ArrayMap": "types.array",
    "AttachedStorage": "types.cgroup_storage",
    "BloomFilter": "types.bloom",
    "CgroupArray": "types.cgroups",
    "CgroupStorage": "types.storage",
    "Cpu": "types.devices",
    "CpuMap": "types.devices",
    "Device": "types.devices",
    "DeviceMap": "types.devices",
    "InodeStorage": "types.storage",
    "LpmTrie": "types.lpm",
    "Map": "map",
    "MapOfMaps": "types.nested",
    "MapSpec": "spec",
    "PerfEventArray": "types.perf_events",
    "ProgramArray": "types.programs",
    "Queue": "types.queue",
    "ReuseportArray": "types.sockets",
    "SocketMap": "types.sockets",
    "SocketStorage": "types.storage",
    "StackTraces": "types.stack_traces",
    "StructOpsMap": "types.struct_ops",
    "TaskStorage": "types.storage",
    "UserRingBuffer": "types.user_ring",
    "Variable": "variables",
    "XskMap": "types.sockets",
    "cookie": "types.sockets",
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
