"""A child in a user namespace of its own, for which its parent mounts a bpffs that delegates.

Run as a program this is the child: ``token_child.py SOCKET OBJECT HOW``. The file system must be
of the child's namespace and delegate what only the parent may: so the child opens it, the parent
sets the options, and the mount goes back to the child.
"""

from __future__ import annotations

import ctypes
import json
import os
import socket
import subprocess
import sys

_FSOPEN, _FSCONFIG, _FSMOUNT = 430, 431, 432  # the same numbers on all machines
_SET_STRING, _CREATE = 1, 6  # enum fsconfig_command
_NEWUSER, _NEWNS = 0x10000000, 0x20000


def _syscall(*arguments: object) -> int:
    libc = ctypes.CDLL(None, use_errno=True)
    result = int(libc.syscall(*arguments))
    if result < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(arguments[0]))
    return result


def run(object_file: str, how: str, options: dict[str, str]) -> dict[str, object]:
    """Load *object_file* in a child that may only what *options* delegate; return its report."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        child = subprocess.Popen(
            [sys.executable, __file__, str(theirs.fileno()), object_file, how],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        with child:
            try:
                ours.recv(1)
                for name in ("uid_map", "gid_map"):
                    with open(f"/proc/{child.pid}/{name}", "w", encoding="ascii") as file:
                        file.write("0 0 1")
                ours.send(b"m")
                _, (context,), _, _ = socket.recv_fds(ours, 1, 1)
                for name, value in options.items():
                    text = value.encode()
                    _syscall(_FSCONFIG, context, _SET_STRING, name.encode(), text, 0)
                _syscall(_FSCONFIG, context, _CREATE, None, None, 0)
                mount = _syscall(_FSMOUNT, context, 0, 0)
                socket.send_fds(ours, [b"m"], [mount])
                os.close(context)
                os.close(mount)
            finally:
                ours.close()
                output, errors = child.communicate()
    if child.returncode:
        raise RuntimeError(f"the child failed: {errors}")
    report: dict[str, object] = json.loads(output)
    return report


def _child(link: socket.socket, object_file: str, how: str) -> dict[str, object]:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_NEWUSER | _NEWNS):
        raise OSError(ctypes.get_errno(), "unshare")
    link.send(b"u")
    link.recv(1)
    context = _syscall(_FSOPEN, b"bpf", 0)
    socket.send_fds(link, [b"c"], [context])
    _, (mount,), _, _ = socket.recv_fds(link, 1, 1)

    import skep
    from skep.errors import SkepError

    path = f"/proc/self/fd/{mount}"
    if how == "variable":
        os.environ["SKEP_BPF_TOKEN"] = path
    token = path if how == "argument" else None
    try:
        with skep.ObjectSpec.from_file(object_file).load(token=token) as live:
            return {
                "loaded": list(live.programs),
                "retval": live.programs["count"].test_run().retval,
                "counts": dict(live.maps["counts"].items()),
            }
    except SkepError as error:
        return {"error": str(error), "kind": type(error).__name__}


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as to_parent:
        json.dump(_child(to_parent, sys.argv[2], sys.argv[3]), sys.stdout)
