"""What builders say of a Dockerfile, word for word, becomes one sentence."""

from __future__ import annotations

import pytest

from receiver.builds.images.dockerfile_log import DockerfileLog

PODMAN_RUN = """\
[1/2] STEP 1/2: FROM debian:12 AS a
[1/2] STEP 2/2: RUN true
[2/2] STEP 1/2: FROM debian:12
[2/2] STEP 2/2: RUN make    -C   x
make: *** x: No such file or directory.  Stop.
Error: building at STEP "RUN make    -C   x": while running runtime: exit status 2
"""
DOCKER_RUN = """\
Step 1/3 : FROM debian:12
Step 2/3 : RUN make
make: *** No targets specified and no makefile found.  Stop.
The command '/bin/sh -c make' returned a non-zero code: 2
"""
PODMAN_FROM = """\
STEP 1/2: FROM --platform=linux/amd64 debain
Error: creating build container: short-name "debain" did not resolve to an alias
"""
DOCKER_FROM = """\
Step 1/2 : FROM lab.invalid/x:1
Get "https://lab.invalid/v2/": dial tcp: lookup lab.invalid: no such host
"""
PODMAN_COPY = """\
STEP 1/2: FROM debian:12
STEP 2/2: COPY nothing /x
Error: building at STEP "COPY nothing /x": checking on sources under "/x": copier: stat: "/nothing": not found
"""
DOCKER_PARSE = "Error response from daemon: dockerfile parse error line 2: unknown instruction: RUNN\n"


@pytest.mark.parametrize(
    ("lines", "sentence", "hint"),
    [
        (PODMAN_RUN, "Dockerfile, step 4: RUN make -C x ended with 2", "The lines above say why."),
        (DOCKER_RUN, "Dockerfile, step 2: RUN make ended with 2", "no Makefile beside mpi.xml"),
        (DOCKER_RUN.replace("code: 2", "code: 137"), "Dockerfile, step 2: RUN make ended with 137", "memory"),
        (PODMAN_FROM, "debain, which the Dockerfile is built FROM, cannot be pulled", "its whole name"),
        (DOCKER_FROM, "lab.invalid/x:1, which the Dockerfile is built FROM", "its whole name"),
        (PODMAN_COPY, "Dockerfile, step 2: COPY nothing /x: checking on sources", "say why"),
        (DOCKER_PARSE, "the Dockerfile cannot be built: Error response from daemon: dockerfile", "place"),
    ],
)
def test_the_step_a_builder_ended_in_is_named(lines: str, sentence: str, hint: str) -> None:
    story = DockerfileLog()
    for line in lines.splitlines():
        story.hear(line)
    failure = story.failure()
    assert failure.message.startswith(sentence)
    assert "\n" not in failure.message
    assert hint in failure.hint


def test_naps_own_labels_are_none_of_the_users_steps() -> None:
    story = DockerfileLog()
    story.hear("STEP 4/6: LABEL maintainer=me")
    assert not story.is_label
    for line in ('STEP 5/6: LABEL "nap.home"="/home/a/.nap"', "Step 6/6 : LABEL nap.app=x"):
        story.hear(line)
        assert story.is_label


def test_a_step_of_a_screenful_is_cut() -> None:
    story = DockerfileLog()
    story.hear(f"STEP 1/1: RUN {'x' * 1000}")
    story.hear("Error: exit status 1")
    assert len(story.failure().message) < 150
