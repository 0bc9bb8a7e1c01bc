"""
glibc's allocator, told that what is freed will be needed again.

Left alone it hands each large block back to the kernel and faults it in anew at every denoise step, until it has
happened to free a larger one. Told so, a worker on a CPU has half as many page faults; its speed, measured in
alternation on two cores, changes by less than the noise.
"""

import ctypes

M_TRIM_THRESHOLD = -1
M_MMAP_THRESHOLD = -3
LARGEST_THRESHOLD = 32 * 1024 * 1024
"""glibc takes no higher one for M_MMAP_THRESHOLD."""
KEPT_BYTES = 1024 * 1024 * 1024


def keep_freed_memory() -> None:
    """Does nothing where the C library is another one."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_THRESHOLD)
        mallopt(M_TRIM_THRESHOLD, KEPT_BYTES)


def give_back_memory() -> None:
    """For a worker that has nothing loaded any more."""
    malloc_trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if malloc_trim is not None:
        malloc_trim(0)
