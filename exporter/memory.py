"""Where batches of many megabytes come from and go back to, without a trace.

With the allocators as they come, an export of a million rows held 390 MB at its peak with batches
of 4 MiB and 460 with 16, run by run another figure: freed pieces stay with the allocator, in
sizes that nothing after them has. With jemalloc for Arrow, and buffers beyond 4 MiB mapped each by
itself, it was 320 with 16, every time, and no slower (ADBC read the rows then).
"""

from __future__ import annotations

import ctypes
from typing import Final

import pyarrow as pa

_M_MMAP_THRESHOLD: Final = -3  # <malloc.h>; setting it also keeps glibc from raising it
_MAPPED_FROM_BYTES: Final = 4 << 20
_KEPT_MS: Final = 10_000  # what was freed, before the kernel has it back: it clears what it gives


def settle_memory() -> None:
    """Choose the allocators, once in a process and before any batch is read.

    Where one is not there (jemalloc in Arrow's build, glibc's `mallopt`) the usual one stays.
    """
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(_KEPT_MS)
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _MAPPED_FROM_BYTES)
