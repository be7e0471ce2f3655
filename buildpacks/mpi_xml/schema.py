"""The schema of mpi.xml: the table of its keys."""

from dataclasses import dataclass

from buildpacks.mpi_xml import values

MOST_SLAVES = 10_000
MOST_SLOTS = 1_024
MOST_RANKS = 1_000_000


@dataclass(frozen=True)
class Key:
    """A key's name in mpi.xml, its reader, what it takes (for errors), and its field in the Manifest."""

    name: str
    read: values.Reader
    takes: str
    field: str = ""

    @property
    def attribute(self) -> str:
        """The field of the Manifest; by default the key's name."""
        return self.field or self.name


KEYS = (
    Key(
        "from",
        values.paths,
        "a source file of the tree, or a list of them: `from: hello.c`",
        "source",
    ),
    Key(
        "to",
        values.file_name,
        "a plain file name of letters, digits, `.`, `_` and `-`: `to: hello`",
    ),
    Key("hosts", values.whole(1, MOST_SLAVES), f"a whole number from 1 to {MOST_SLAVES}"),
    Key("slots", values.whole(1, MOST_SLOTS), f"a whole number from 1 to {MOST_SLOTS}"),
    Key("np", values.whole(1, MOST_RANKS), f"a whole number from 1 to {MOST_RANKS}"),
    Key("mpi", values.choice("openmpi", "mpich"), "`openmpi` or `mpich`"),
    Key("build", values.texts, "a command, or a list of commands: `build: make`"),
    Key("cflags", values.words, "compiler options, as a line or a list: `cflags: -O3 -fopenmp`"),
    Key("ldflags", values.words, "linker options, as a line or a list: `ldflags: -lm`"),
    Key("run", values.required_text, "a script: `run: ./sweep.sh`"),
    Key("packages", values.debian_packages, "names of Debian packages: `packages: [libfftw3-dev]`"),
    Key("args", values.words, "the program's arguments, as a line or a list: `args: -n 1000 in.dat`"),
    Key("env", values.environment, "a block of `NAME: value` lines, indented below `env:`"),
    Key("cpus_per_rank", values.whole(1, MOST_SLOTS), f"a whole number from 1 to {MOST_SLOTS}"),
    Key("memory", values.size, "a size with its unit, from 1M to 64T: `memory: 512M`"),
    Key(
        "timeout",
        values.duration,
        "a time with its unit, from 1s to 30d: `timeout: 90s`, `2h`, `1h30m`",
    ),
    Key("mpirun", values.words, "further options of mpirun, a list: `mpirun: [--tag-output]`"),
    Key("results", values.globs, 'patterns of files to keep: `results: ["*.csv", out/]`'),
)
BY_NAME = {key.name: key for key in KEYS}
