"""What a Dockerfile may not ask for, whatever builder would give it."""

from pathlib import Path

import pytest
from support.trees import plant

from buildpacks.detect import describe, detect
from buildpacks.errors import BuildpackError
from buildpacks.plan import Plan


def planned(tree: Path, step: str) -> Plan:
    return detect(plant(tree, {"Dockerfile": f"FROM scratch\n{step}\n"})).plan(tree)


@pytest.mark.parametrize(
    "step",
    [
        "RUN --network=host true",
        "run --mount=type=cache,target=/x --network=host true",
        "RUN \\\n  --network=host \\\n  true",
        "# escape=`\nRUN `\n --network=host true",
        "ONBUILD RUN --network=host true",
        "RUN --network=$HOW true",
        "RUN --netw\\\nork=host true",
        "R\\\nUN --network=host true",
        "RUN --mount=type=cache,target=/x \\\n  # why\n\n  --network=host true",
        "ENV A=`\nRUN --network=host true",
        "# escape=`\nENV A=\\\nRUN --network=host true",
        "# syntax=x\n# escape=`\nRUN `\n --network=host true",
        "ENV A=\\\\\nRUN --network=host true",
        "COPY <<END /x\nRUN --mount=target=/x \\\nEND\nRUN --network=host true",
        "RUN --network=host <<END\ntrue\nEND",
        "RUN --mount=type=cache,target='/x y' --network=host true",
        """RUN --mount="target=`" --network=host echo "x\"""",
        'RUN --net"work"=host true',
        "RUN --net\\work=host true",
        "RUN\f--mount=target=/x\r--network=host true",
    ],
)
def test_a_step_on_the_machines_network_is_refused(tmp_path: Path, step: str) -> None:
    with pytest.raises(BuildpackError, match=r"RUN --.+ would reach the machine") as refusal:
        planned(tmp_path, step)
    assert refusal.value.hint.endswith("RUN --network=default")


def test_a_step_with_the_machines_rights_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BuildpackError, match="--security=insecure"):
        planned(tmp_path, "RUN --security=insecure true")


@pytest.mark.parametrize(
    "step",
    [
        "RUN --network=none make",
        "RUN curl --network=host x",
        "RUN --mount=type=cache,target=/x make",
        "# RUN --network=host make",
        "RUN <<END\ncurl --network=host x\nEND",
        'RUN --mount="target=/x --network=host" make',
    ],
)
def test_other_steps_are_the_users_own(tmp_path: Path, step: str) -> None:
    assert "Dockerfile builds" in describe(planned(tmp_path, step))
