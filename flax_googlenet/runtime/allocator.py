"""The memory allocator of the C library."""

import ctypes
import sys

# Parameters of mallopt(3).
_TRIM_THRESHOLD, _MMAP_MAX, _ARENA_MAX = -1, -4, -8
_NEVER_TRIM = 2**31 - 1


def keep_freed_memory() -> bool:
    """Make the C library reuse freed memory instead of returning it to the operating system.

    XLA allocates the temporary buffer of a program, hundreds of megabytes, at every call. By default glibc
    maps it anew each time, and the page faults take a tenth of a training step on a CPU. The process keeps
    its peak memory until it ends.

    The commands call this when they start. Call it from Python before the first computation; importing the
    library never does.

    Returns:
      Whether the allocator is glibc's, whose settings these are.
    """
    if not sys.platform.startswith("linux"):
        return False
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is None:  # musl, for example
        return False
    settings = {_MMAP_MAX: 0, _TRIM_THRESHOLD: _NEVER_TRIM, _ARENA_MAX: 1}
    return all([mallopt(parameter, value) for parameter, value in settings.items()])
