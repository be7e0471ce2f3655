"""`python -m buildpacks detect|compile|release`: the built-in packs as a Heroku buildpack."""

if __name__ == "__main__":
    import nap_start

    nap_start.again("buildpacks.__main__")

import os
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from buildpacks import build
from buildpacks.detect import describe, detect
from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml import manifest
from buildpacks.packs import commands, program
from buildpacks.plan import Plan
from buildpacks.stacks import choice, linkage

_USAGE = "usage: python -m buildpacks detect DIR | compile DIR CACHE_DIR ENV_DIR | release DIR"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one verb. Return 0, or 1 for an unknown kind of tree, a refused tree or wrong usage."""
    verbs: dict[tuple[str, int], Callable[..., None]] = {
        ("detect", 1): _detect,
        ("compile", 3): _compile,
        ("release", 1): _release,
    }
    argv = sys.argv[1:] if argv is None else argv
    verb = verbs.get((argv[0], len(argv) - 1)) if argv else None
    if verb is None:
        print(_USAGE, file=sys.stderr)
        return 1
    try:
        verb(*map(Path, argv[1:]))
    except (BuildpackError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        if getattr(error, "hint", ""):
            print(getattr(error, "hint", ""), file=sys.stderr)
        return 1
    return 0


def _detect(tree: Path) -> None:
    print(detect(tree).name)


def _compile(tree: Path, cache: Path, env_dir: Path) -> None:
    pack = detect(tree)
    plan = pack.plan(tree)
    if plan.stack == "dockerfile":
        raise BuildpackError("a Dockerfile needs containers", "Build it with docker or podman.")
    _say(describe(plan))
    home = os.environ.get("NAP_HOME")
    stack = choice.find(plan.stack, plan.languages, (Path(home) if home else cache) / "stacks", say=_say)
    env = build.environment(stack, {**os.environ, **_variables(env_dir)})
    folders = build.Folders(tree, cache, env_dir)
    ldd = linkage.on_this_machine(dict(stack.env))
    finds = commands.on_path(env["PATH"])
    site = build.BuildSite(folders, build.in_the_open(tree, env, _say), ldd, finds=finds)
    build.carry_out(pack, plan, stack, tree, site)


def _release(tree: Path) -> None:
    import yaml

    pack = detect(tree)
    plan = program.completed(pack.release(tree, pack.plan(tree)), tree)
    answer = {
        "default_process_types": _processes(plan),
        "config_vars": {name: value.replace("{app}", "/app") for name, value in plan.env},
    }
    print(yaml.safe_dump(answer, sort_keys=False), end="")


def _processes(plan: Plan) -> dict[str, str]:
    if plan.manifest is None:
        return {process.name: process.command for process in plan.processes}
    if plan.manifest.run:
        given = f"set -- {shlex.join(plan.manifest.args)}\n" if plan.manifest.args else ""
        return {"app": given + program.script(plan.manifest)[-1]}
    ranks = sum(manifest.layout(plan.manifest))
    return {"app": shlex.join(("mpirun", "-np", str(ranks), *program.argv(plan.manifest, plan.module)))}


def _variables(env_dir: Path) -> dict[str, str]:
    """Return the variables in Heroku's form: a file is named as the variable and holds its value."""
    if not env_dir.is_dir():
        return {}
    files = (path for path in env_dir.iterdir() if path.is_file())
    return {path.name: path.read_text("utf-8", "surrogateescape").rstrip("\n") for path in files}


def _say(line: str) -> None:
    print(f"-----> {line}", flush=True)
