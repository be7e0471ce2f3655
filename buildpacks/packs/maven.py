"""Trees with a pom.xml: Maven builds them, and their one executable jar runs."""

import zipfile
from pathlib import Path

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml.manifest import Manifest
from buildpacks.packs.contract import HowToBuild, Released
from buildpacks.plan import Process, Step

_COMMAND = ("mvn", "-B", "-q", "-Dstyle.color=never", "-DskipTests", "package")
_PLUGIN = "Set its main class in the maven-jar-plugin's manifest, or say how to run in a profile."


class Maven:
    """The building half of pom.xml."""

    name = "pom.xml"

    def builds(self, tree: Path) -> bool:
        """Return whether `tree` has a pom.xml."""
        return (tree / self.name).is_file()

    def build(self, _tree: Path, manifest: Manifest | None) -> HowToBuild:
        """Return a build by `mvn package` in the tree as pushed, before `src/` moves up."""
        return HowToBuild(
            built_by=self.name,
            stack="maven",
            languages=("Java",),
            steps=(Step(_COMMAND, " ".join(_COMMAND)),),
            products=(manifest.to,) if manifest and manifest.to else (),
        )

    def release(self, tree: Path, alone: bool) -> Released:
        """Return the executable jar of target/ if `alone`. Raise BuildpackError for none or several."""
        if not alone:
            return Released()
        jars = [path for path in sorted((tree / "target").glob("*.jar")) if _is_executable(path)]
        if not jars:
            raise BuildpackError("pom.xml built no executable jar in target/", _PLUGIN)
        if len(jars) > 1:
            names = ", ".join(path.name for path in jars)
            raise BuildpackError(
                f"pom.xml built several executable jars in target/ ({names})",
                f"Say which one in a profile: `app: java -jar target/{jars[0].name}`.",
            )
        return Released((Process("app", f"java -jar target/{jars[0].name}"),))


def _is_executable(path: Path) -> bool:
    """Return whether a jar's manifest names a main class."""
    try:
        with zipfile.ZipFile(path) as jar:
            lines = jar.read("META-INF/MANIFEST.MF").decode("utf-8", "replace").splitlines()
    except (KeyError, OSError, zipfile.BadZipFile):
        return False
    return any(line.startswith("Main-Class:") for line in lines)
