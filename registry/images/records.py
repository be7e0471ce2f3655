"""Records of container images by digest. Their content is in a container runtime or a registry."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict
from pathlib import Path

from registry.errors import RegistryError
from registry.files import write_private
from registry.images.trees import YOUNG, Image


class ContainerImages:
    """The records of one home: a JSON file for each image, in `folder`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def add(self, image: Image) -> None:
        """Record an image. One that is recorded already counts as young again."""
        self._folder.mkdir(parents=True, exist_ok=True)
        record = {name: value for name, value in asdict(image).items() if name != "tree"}
        write_private(self._place(image.digest), json.dumps(record).encode())

    def get(self, digest: str) -> Image:
        try:
            record = json.loads(self._place(digest).read_bytes())
        except (FileNotFoundError, ValueError) as error:
            raise RegistryError(
                f"the image {digest} is not there any more", "push the commit again"
            ) from error
        env = tuple((name, value) for name, value in record.pop("env"))
        return Image(**record, env=env)

    def has(self, digest: str) -> bool:
        try:
            self.get(digest)
        except RegistryError:
            return False
        return True

    def renew(self, digest: str) -> None:
        os.utime(self._place(digest))

    def is_old(self, digest: str) -> bool:
        return time.time() - self._place(digest).stat().st_mtime > YOUNG

    def digests(self) -> list[str]:
        return [path.stem.replace("-", ":", 1) for path in self._folder.glob("*.json")]

    def remove(self, digest: str) -> None:
        self._place(digest).unlink(missing_ok=True)

    def _place(self, digest: str) -> Path:
        return self._folder / f"{digest.replace(':', '-', 1)}.json"
