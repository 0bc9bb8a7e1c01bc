"""Decodes every picture below a folder to its last pixel; prints as JSON what each is of, and what is wrong with it."""

import json
import sys
from pathlib import Path

from PIL import Image


def seen(path: Path) -> dict[str, str | None]:
    try:
        with Image.open(path) as picture:
            picture.load()
            texts = getattr(picture, "text", {})
        return {"path": str(path), "job": json.loads(texts["kilnwatt"])["job"], "fault": None}
    except KeyError as error:
        return {"path": str(path), "job": None, "fault": f"it has no {error}"}
    except Exception as error:
        return {"path": str(path), "job": None, "fault": f"{type(error).__name__}: {error}"}


pictures = sorted(path for path in Path(sys.argv[1]).rglob("*.png"))
print(json.dumps([seen(path) for path in pictures]))
