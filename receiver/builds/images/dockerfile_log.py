"""Parses the output of Podman's and Docker's builders: the current step, and why it failed."""

from __future__ import annotations

import re

from buildpacks.advice import Listener
from buildpacks.errors import BuildpackError
from receiver.builds.images.build_container import KILLED, NO_MEMORY

# Podman: `[1/2] STEP 3/4: RUN make`; Docker: `Step 3/4 : RUN make`.
_STEP = re.compile(r"^(?:\[\d+/\d+\] )?(?:STEP|Step) \d+/\d+ ?: (.*)$")
_ENDED = re.compile(r"(?:exit status|returned a non-zero code:) (\d+)$")
_LONGEST = 80
# The builder reports nap's own labels as further steps, after the user's.
_LABEL = re.compile(r'^LABEL "?nap\.')
_NO_IMAGE = (
    "Write its whole name, such as docker.io/library/debian:12; "
    "the receiver's machine has to reach that registry."
)


class DockerfileLog:
    """Follows a builder through its output lines."""

    def __init__(self) -> None:
        self._listener = Listener()
        self._number = 0
        self._step = ""
        self._last = ""

    def hear(self, line: str) -> None:
        self._listener.hear(line)
        if step := _STEP.match(line):
            self._number += 1
            self._step = " ".join(step[1].split())
        elif line.strip():
            self._last = line.strip()

    @property
    def is_label(self) -> bool:
        """Whether the current step is a label that nap has added to the Dockerfile."""
        return bool(_LABEL.match(self._step))

    def failure(self) -> BuildpackError:
        """Return the error for the step in which the builder ended."""
        reason = self._last.removeprefix("Error: ")
        if not self._step:
            return BuildpackError(f"the Dockerfile cannot be built: {reason}", "The line names the place.")
        shown = self._step if len(self._step) <= _LONGEST else f"{self._step[:_LONGEST]}..."
        if self._step.upper().startswith("FROM "):
            sentence = f"{_image(self._step)}, which the Dockerfile is built FROM, cannot be pulled: {reason}"
            return BuildpackError(sentence, _NO_IMAGE)
        if ended := _ENDED.search(reason):
            sentence = f"Dockerfile, step {self._number}: {shown} ended with {ended[1]}"
            return BuildpackError(sentence, NO_MEMORY if ended[1] == str(KILLED) else self._listener.hint)
        reason = re.sub(r'^building at STEP ".*?": ', "", reason)
        return BuildpackError(f"Dockerfile, step {self._number}: {shown}: {reason}", self._listener.hint)


def _image(step: str) -> str:
    """Return the image that a FROM names, after its options."""
    return next((word for word in step.split()[1:] if not word.startswith("--")), "an image")
