"""Writes a picture to exactly the path given; the format comes from the request, never from a name."""

import errno
from typing import TYPE_CHECKING

from kilnwatt_worker.errors import WorkerError
from kilnwatt_worker.parts import Format

if TYPE_CHECKING:
    from PIL.Image import Image

# On a soft picture with fine noise, 1024 x 1024, level 4 makes the same size as Pillow's default 6, no slower;
# zlib's fast mode, below 4, takes two thirds of the time and makes files an eighth larger.
PNG_COMPRESS_LEVEL = 4
JPEG_QUALITY = 95
WEBP_QUALITY = 95


def save(picture: "Image", path: str, form: Format) -> None:
    """
    Raises WorkerError `disk_full` or `not_writable`, both of them the disk's fault and not the picture's. A folder
    that was taken away is the disk's trouble too: it is waited for, and counts against no job.

    The orchestrator syncs the file, after adding metadata.
    """
    try:
        with open(path, "wb") as file:
            if form == "png":
                picture.save(file, "PNG", compress_level=PNG_COMPRESS_LEVEL)
            elif form == "jpeg":
                picture.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
            else:
                picture.save(file, "WEBP", quality=WEBP_QUALITY)
    except OSError as error:
        if error.errno is None:  # Pillow's own word for a picture that it cannot encode
            raise
        raise _told(path, error) from error


def _told(path: str, error: OSError) -> WorkerError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return WorkerError("disk_full", f"no space is left for the picture {path}; free some and run again")
    if error.errno == errno.ENOENT:
        return WorkerError("not_writable", f"the folder of the picture {path} is gone", retryable=True)
    return WorkerError("not_writable", f"the picture {path} cannot be written: {error.strerror}")
