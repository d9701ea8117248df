"""`release.c` as machine code: what readers of exported columns call when they are done.

Made from that file by the pinned compiler for each kind of processor and each size of an object's
header (16 bytes, or 32 in a free-threaded interpreter). It has no relocations: all that it calls
it finds through the structs that it is given.
"""

from __future__ import annotations

FUNCTIONS = ("release_array", "release_schema", "release_stream", "free_capsule")
"""The functions, in the order of their offsets below."""

TARGETS = {"x86_64": "x86_64-linux-musl", "aarch64": "aarch64-linux-musl"}
"""By the kernel's name of the processor, what the compiler calls it."""

FLAGS = (
    *("-Oz", "-ffreestanding", "-fPIC", "-fno-stack-protector", "-fno-asynchronous-unwind-tables"),
    *("-fno-unwind-tables", "-fno-sanitize=all", "-fomit-frame-pointer", "-g0"),
)
"""How it is compiled, with ``-DHEADER=`` the size of the header."""

CODE: dict[tuple[str, int], tuple[tuple[int, ...], str]] = {
    ("x86_64", 16): (
        (0, 128, 256, 318),
        (
            "VUFWU0iJ+0iLRyBIhcB+IkUx9kiLSzBKizzxSItPQEiFyXQG/9FIi0MgSf/GSTnGfOFIi3s4SIX/dAtIi0dA"
            "SIXAdAL/0EjHQ0AAAAAASItDSEiLGEiLQAhJicb/EIXAdBlB/1YIicVIid9B/1YQie9MifBbQV5d/2AYW0Fe"
            "XcNVQVZTSIn7SItHIEiFwH4iRTH2SItLKEqLPPFIi084SIXJdAb/0UiLQyBJ/8ZJOcZ84UiLezBIhf90C0iL"
            "RzhIhcB0Av/QSMdDOAAAAABIi0NASIsYSItACEmJxv8QhcB0GUH/VgiJxUiJ30H/VhCJ70yJ8FtBXl3/YBhb"
            "QV5dw1VBVlNIx0cYAAAAAEiLRyBIixhIi0AISYnG/xCFwHQZQf9WCInFSInfQf9WEInvTInwW0FeXf9gGFtB"
            "Xl3DVUFWU0yLdyBNhfZ0O0mLRhBIiwBIhcB0BkmLfhj/0EmLHkmLRghJicb/EIXAdBlB/1YIicVIid9B/1YQ"
            "ie9MifBbQV5d/2AYW0FeXcM="
        ),
    ),
    ("x86_64", 32): (
        (0, 128, 256, 318),
        (
            "VUFWU0iJ+0iLRyBIhcB+IkUx9kiLSzBKizzxSItPQEiFyXQG/9FIi0MgSf/GSTnGfOFIi3s4SIX/dAtIi0dA"
            "SIXAdAL/0EjHQ0AAAAAASItDSEiLGEiLQAhJicb/EIXAdBlB/1YIicVIid9B/1YQie9MifBbQV5d/2AYW0Fe"
            "XcNVQVZTSIn7SItHIEiFwH4iRTH2SItLKEqLPPFIi084SIXJdAb/0UiLQyBJ/8ZJOcZ84UiLezBIhf90C0iL"
            "RzhIhcB0Av/QSMdDOAAAAABIi0NASIsYSItACEmJxv8QhcB0GUH/VgiJxUiJ30H/VhCJ70yJ8FtBXl3/YBhb"
            "QV5dw1VBVlNIx0cYAAAAAEiLRyBIixhIi0AISYnG/xCFwHQZQf9WCInFSInfQf9WEInvTInwW0FeXf9gGFtB"
            "Xl3DVUFWU0yLdzBNhfZ0O0mLRhBIiwBIhcB0BkmLfhj/0EmLHkmLRghJicb/EIXAdBlB/1YIicVIid9B/1YQ"
            "ie9MifBbQV5d/2AYW0FeXcM="
        ),
    ),
    ("aarch64", 16): (
        (0, 164, 328, 416),
        (
            "/le+qQgQQPn0TwGp8wMAqh8FAPFrAQBU9AMfqmkaQPkgeXT4CSBA+WkAALQgAT/WaBJA+ZQGAJGfAgjrC///"
            "VGAeQPmAAAC0CCBA+UgAALQAAT/WaCZA+X8iAPkUVUCpqAJA+QABP9aAAQA0qAZA+QABP9aoCkD58wMAKuAD"
            "FKoAAT/W4AMTKvRPQamhDkD5/lfCqCAAH9b0T0Gp/lfCqMADX9b+V76pCBBA+fRPAanzAwCqHwUA8WsBAFT0"
            "Ax+qaRZA+SB5dPgJHED5aQAAtCABP9ZoEkD5lAYAkZ8CCOsL//9UYBpA+YAAALQIHED5SAAAtAABP9ZoIkD5"
            "fx4A+RRVQKmoAkD5AAE/1oABADSoBkD5AAE/1qgKQPnzAwAq4AMUqgABP9bgAxMq9E9BqaEOQPn+V8KoIAAf"
            "1vRPQan+V8KowANf1v5XvqkIEED59E8BqR8MAPkTVUCpqAJA+QABP9aAAQA0qAZA+QABP9aoCkD59AMAKuAD"
            "E6oAAT/W4AMUKvRPQamhDkD5/lfCqCAAH9b0T0Gp/lfCqMADX9b+V76p9E8BqRMQQPmzAgC0aApA+QgBQPlo"
            "AAC0YA5A+QABP9ZzVkCpqAJA+QABP9aAAQA0qAZA+QABP9aoCkD59AMAKuADE6oAAT/W4AMUKvRPQamhDkD5"
            "/lfCqCAAH9b0T0Gp/lfCqMADX9Y="
        ),
    ),
    ("aarch64", 32): (
        (0, 164, 328, 416),
        (
            "/le+qQgQQPn0TwGp8wMAqh8FAPFrAQBU9AMfqmkaQPkgeXT4CSBA+WkAALQgAT/WaBJA+ZQGAJGfAgjrC///"
            "VGAeQPmAAAC0CCBA+UgAALQAAT/WaCZA+X8iAPkUVUCpqAJA+QABP9aAAQA0qAZA+QABP9aoCkD58wMAKuAD"
            "FKoAAT/W4AMTKvRPQamhDkD5/lfCqCAAH9b0T0Gp/lfCqMADX9b+V76pCBBA+fRPAanzAwCqHwUA8WsBAFT0"
            "Ax+qaRZA+SB5dPgJHED5aQAAtCABP9ZoEkD5lAYAkZ8CCOsL//9UYBpA+YAAALQIHED5SAAAtAABP9ZoIkD5"
            "fx4A+RRVQKmoAkD5AAE/1oABADSoBkD5AAE/1qgKQPnzAwAq4AMUqgABP9bgAxMq9E9BqaEOQPn+V8KoIAAf"
            "1vRPQan+V8KowANf1v5XvqkIEED59E8BqR8MAPkTVUCpqAJA+QABP9aAAQA0qAZA+QABP9aoCkD59AMAKuAD"
            "E6oAAT/W4AMUKvRPQamhDkD5/lfCqCAAH9b0T0Gp/lfCqMADX9b+V76p9E8BqRMYQPmzAgC0aApA+QgBQPlo"
            "AAC0YA5A+QABP9ZzVkCpqAJA+QABP9aAAQA0qAZA+QABP9aoCkD59AMAKuADE6oAAT/W4AMUKvRPQamhDkD5"
            "/lfCqCAAH9b0T0Gp/lfCqMADX9Y="
        ),
    ),
}
"""(processor, header) to (offsets of the functions, code in base 64)."""
