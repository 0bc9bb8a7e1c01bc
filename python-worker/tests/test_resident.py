"""This process's memory, as the kernel tells it."""

import mmap
from pathlib import Path

from kilnwatt_worker import resident

_SIZE = 64 * 1024**2


def test_a_mapped_file_is_resident_and_not_anonymous_while_memory_of_its_own_is_both(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    file.write_bytes(bytes(_SIZE))
    before = resident.rss_bytes(), resident.anonymous_bytes()
    with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as weights:
        assert sum(weights[:: mmap.PAGESIZE]) == 0
        assert resident.rss_bytes() - before[0] > 0.9 * _SIZE
        assert resident.anonymous_bytes() - before[1] < 0.1 * _SIZE
    own = b"1" * _SIZE
    assert resident.anonymous_bytes() - before[1] > 0.9 * len(own)
