"""mpi.xml: what is taken, what is refused and how the refusal reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.trees import THREE_KEYS, plant, refusal

from buildpacks.errors import BuildpackError
from buildpacks.mpi_xml.manifest import Manifest, override, parse, read
from buildpacks.mpi_xml.schema import KEYS


def test_three_keys_are_a_complete_manifest():
    assert parse(b"from: hello.c\nto: hello\nhosts: 4\n") == Manifest(("hello.c",), "hello", 4)


def test_every_key_reads_into_its_field():
    text = """\
from: [a.c, lib/b.c]
to: heat
hosts: 4
slots: 2
np: 8
mpi: mpich
build: [./configure, make]
cflags: -O3 -DNAME="a b"
ldflags: [-lm]
run: |
  mpirun ./heat 1
  mpirun ./heat "$@"
packages: libfftw3-dev libhdf5-dev
args: -n 1000 'in put.dat'
env:
  OMP_NUM_THREADS: 2
  MODE: no
cpus_per_rank: 2
memory: 512M
timeout: 1h30m
mpirun: [--tag-output]
results: ["*.csv", out/]
"""
    assert parse(text.encode()) == Manifest(
        source=("a.c", "lib/b.c"),
        to="heat",
        hosts=4,
        slots=2,
        np=8,
        mpi="mpich",
        build=("./configure", "make"),
        cflags=("-O3", "-DNAME=a b"),
        ldflags=("-lm",),
        run='mpirun ./heat 1\nmpirun ./heat "$@"\n',
        packages=("libfftw3-dev", "libhdf5-dev"),
        args=("-n", "1000", "in put.dat"),
        env=(("MODE", "no"), ("OMP_NUM_THREADS", "2")),
        cpus_per_rank=2,
        memory=512 * 1024**2,
        timeout=5400,
        mpirun=("--tag-output",),
        results=("*.csv", "out"),
    )


def test_the_table_has_a_field_of_the_manifest_for_every_key():
    assert {key.attribute for key in KEYS} == set(Manifest.__dataclass_fields__)


@pytest.mark.parametrize("hosts", ["0", "-1", "four", "1e9", "4.5", "true", "010", "0x4", "[4]", "", "10001"])
def test_hosts_is_a_plain_whole_number(hosts):
    with pytest.raises(BuildpackError) as error:
        parse(f"from: hello.c\nto: hello\nhosts: {hosts}\n".encode())
    said = refusal(error)
    assert "mpi.xml, line 3: `hosts`" in said
    assert hosts.strip("[]") in said
    assert "a whole number from 1 to 10000" in said


@pytest.mark.parametrize(
    "name", ["../../etc/passwd", "/etc/passwd", "a/../../b.c", "-o", "..", "x" * 300 + ".c"]
)
def test_a_source_outside_of_the_tree_is_refused(name):
    with pytest.raises(BuildpackError, match="line 1: `from`") as error:
        parse(f"from: {name}\nto: hello\nhosts: 2\n".encode())
    assert "a source file of the tree" in refusal(error)


@pytest.mark.parametrize("name", ["a/b", '"x; rm -rf ~"', "-o", ".hidden", "..", "a b", "ü", '""'])
def test_the_program_has_a_plain_file_name(name):
    with pytest.raises(BuildpackError, match="line 2: `to`") as error:
        parse(f"from: hello.c\nto: {name}\nhosts: 2\n".encode())
    assert "a plain file name" in refusal(error)


@pytest.mark.parametrize(
    ("written", "meant"), [("host", "hosts"), ("Hosts", "hosts"), ("form", "from"), ("cflag", "cflags")]
)
def test_an_unknown_key_suggests_the_nearest(written, meant):
    with pytest.raises(BuildpackError, match=f"there is no key `{written}`") as error:
        parse(f"{written}: 4\n".encode())
    assert f"Did you mean `{meant}`?" in refusal(error)


def test_an_unknown_key_far_from_all_gets_the_list():
    with pytest.raises(BuildpackError) as error:
        parse(b"qqqq: 4\n")
    assert all(key.name in refusal(error) for key in KEYS)


@pytest.mark.parametrize(("key", "value"), [("results", "*.csv"), ("args", "-x a: b"), ("run", "%s")])
def test_a_value_that_yaml_reads_as_something_else_is_shown_in_quotes(key, value):
    with pytest.raises(BuildpackError, match="line 1") as error:
        parse(f"{key}: {value}\n".encode())
    assert f'`{key}: "{value}"`' in refusal(error)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "is empty"),
        (b" \n\n", "is empty"),
        (b"# only a comment\n", "has no `from`"),
        (b"\xff\xfef\x00", "is not UTF-8 text"),
        (b"<mpi><from>hello.c</from></mpi>", "has XML in it"),
        (b'<?xml version="1.0"?>', "has XML in it"),
        (b"- from\n- to\n", "it is a list"),
        (b"hello", "`hello` is no `key: value` line"),
        (b"x" * 10_000_000, "larger than 64 KB"),
        (b"a: &a [x]\nb: *a\n", "reads `&a` as a reference"),
        (b"a: &a\n  b: *a\n", "reads `&a` as a reference"),
        (b"args: *all\n", "reads `\\*all` as a reference"),
        (b"results: *.csv\n", "line 1: `results: \\*.csv` cannot be read"),
        (b"from: !!python/object:os.system x\n", "the YAML tag"),
        (b"from: a.c\n---\nto: b\n", "a second document"),
        (b"from: a.c\nfrom: b.c\n", "line 2: `from` is given twice \\(first on line 1\\)"),
        (b"from: [[a.c]]\n", "nested too deep"),
        (b"a: " + b"[" * 30_000, "nested too deep"),
        (b"{" * 30_000, "nested too deep"),
        (b"{}: a\n", "nested too deep"),
        (b"from: a\x07.c\n", "line 1: there is a character that text files don't have"),
        (b'from: "a\\0.c"\n', "it has a control character in it"),
        (b"from: a.c\n\tto: b\n", "line 2: `to: b` cannot be read"),
        (b"from: a.c\nto b\nhosts: 2\n", "line 2: `to b` cannot be read"),
        (b"from: a.c\nhosts:\t2\n", "line 2: `hosts:\\?2` cannot be read"),
        (b'from: a.c\nargs: "x\n', 'line 2: `args: "x` cannot be read'),
        (b"from: [a.c\nto: b\n", "line 1: `from: \\[a.c` cannot be read"),
        (b"env: [A]\n", "`env` is the list `A`"),
        (b"env: {A B: c}\n", "`A B` cannot be a variable's name"),
        (b"env: {NAP_APP: /}\n", "`NAP_APP`: names that start with NAP_ are nap's own"),
        (b"packages: LibX\n", "`LibX` is no name of a Debian package"),
        (b"packages: [a b]\n", "`a b` is no name of a Debian package"),
        (b"timeout: 90\n", "`timeout` is `90`"),
        (b"timeout: 31d\n", "`timeout` is `31d`"),
        (b"timeout: 1m1m\n", "`timeout` is `1m1m`"),
        (b"memory: 2\n", "`memory` is `2`"),
        (b"memory: 65T\n", "`memory` is `65T`"),
        (b"memory: 1K\n", "`memory` is `1K`"),
        (b"mpi: OpenMPI\n", "`mpi` is `OpenMPI`"),
        (b'args: "a \'b"\n', "its quotes do not fit"),
        (b"args: {a: b}\n", "a line or a list belongs here"),
        (b"from: []\n", "the list is empty"),
        (b"from: [a.c, ./a.c]\n", "the same file is named twice"),
        (b"results: [../x]\n", "it leaves the tree"),
        (b"build: ''\n", "`build` has no value"),
        (b"from: a.c\nto: a\n", "has no `hosts`"),
        (b"from: a.c\nhosts: 2\n", "has no `to`"),
        (b"to: a\nhosts: 2\n", "has no `from`"),
        (b"from: a.h\nto: a\nhosts: 2\n", "headers are found without being named"),
        (b"from: a.rs\nto: a\nhosts: 2\n", "no compiler is known for `.rs` files"),
        (b"from: [a.c, b.py]\nto: a\nhosts: 2\n", "Python files and files to compile"),
        (b"from: a.c\nto: a\nhosts: 4\nnp: 2\n", "some slaves would have no rank"),
        (b"from: a.c\nto: a\nhosts: 4\nnp: 9\nslots: 2\n", "`hosts` 4 × `slots` 2 is only 8"),
        (b"from: a.c\nto: a\nhosts: 10000\nslots: 1000\n", "10000000 ranks are asked for"),
    ],
)
def test_what_is_wrong_is_one_clear_error(data, message):
    with pytest.raises(BuildpackError, match=message) as error:
        parse(data)
    assert "\n" not in error.value.message
    assert len(error.value.message) < 200
    assert refusal(error)


@pytest.mark.parametrize("data", [b"", b"<from>hello.c</from>"])
def test_who_writes_another_form_is_shown_the_three_lines(data):
    with pytest.raises(BuildpackError) as error:
        parse(data)
    assert "from: hello.c\nto: hello\nhosts: 4" in refusal(error)


def test_a_forgotten_space_is_pointed_at():
    with pytest.raises(BuildpackError) as error:
        parse(b"from:hello.c\nto:hello\n")
    assert "A space belongs after the colon" in refusal(error)


@pytest.mark.parametrize("line", [b"hosts 2", b"hosts:2", b"hosts=2", b"hosts = 2"])
def test_a_forgotten_colon_is_pointed_at_where_it_belongs(line):
    with pytest.raises(BuildpackError, match="line 2") as error:
        parse(b"from: hello.c\n" + line + b"\nto: hello\n")
    assert "`hosts: 2`" in refusal(error)


def test_an_open_bracket_is_pointed_at_where_it_opens():
    with pytest.raises(BuildpackError, match="line 1") as error:
        parse(b"from: [a.c\nto: b\n")
    assert "opened and not closed" in refusal(error)


def test_a_program_name_may_look_like_a_yaml_boolean():
    assert parse(b"from: no.c\nto: no\nhosts: 1\n").to == "no"


def test_a_byte_order_mark_and_windows_line_ends_are_taken():
    assert parse(b"\xef\xbb\xbffrom: hello.c\r\nto: hello\r\nhosts: 2\r\n").hosts == 2


def test_one_python_source_needs_no_program_name():
    assert parse(b"from: heat.py\nnp: 4\n").source == ("heat.py",)


def test_a_script_needs_no_program_name_but_a_compiled_source_does():
    assert parse(b"run: ./sweep.sh\nhosts: 2\n").to == ""
    with pytest.raises(BuildpackError, match="has no `to`"):
        parse(b"run: ./sweep.sh\nfrom: a.c\nhosts: 2\n")


def test_a_tree_another_file_builds_needs_no_source(tmp_path):
    plant(tmp_path, {"mpi.xml": "to: app.jar\nhosts: 2\n"})
    assert read(tmp_path, compiles=False).to == "app.jar"
    with pytest.raises(BuildpackError, match="has no `from`"):
        read(tmp_path)


@given(st.binary(max_size=300))
def test_any_bytes_give_a_manifest_or_one_error(data):
    _manifest_or_one_error(data)


_SCALARS = st.one_of(
    st.text(max_size=20),
    st.integers().map(str),
    st.sampled_from(
        ["hello.c", "4", "90s", "512M", "no", "*x", "&a b", "!!int 3", "{a: b}", "[a, b]", "|", ">"]
    ),
)
_LINES = st.lists(
    st.tuples(st.sampled_from([*(key.name for key in KEYS), "host", " - ", "? x", "---", "#"]), _SCALARS),
    max_size=8,
)


@given(_LINES)
def test_any_lines_of_known_keys_give_a_manifest_or_one_error(lines):
    _manifest_or_one_error("\n".join(f"{key}: {value}" for key, value in lines).encode("utf-8", "replace"))


def _manifest_or_one_error(data):
    try:
        manifest = parse(data)
    except BuildpackError as error:
        said = (error.message, error.hint)
    else:
        said = (f"{manifest.hosts or manifest.np}", "a manifest")
    assert all(said)
    assert "\n" not in said[0]


def test_a_source_may_be_in_src_or_beside_it(tmp_path):
    plant(tmp_path, {"mpi.xml": "from: [a.c, lib/b.c, src/c.c]\nto: x\nhosts: 2\n"})
    plant(tmp_path, {"src/a.c": "", "lib/b.c": "", "src/c.c": ""})
    assert read(tmp_path).source == ("a.c", "lib/b.c", "src/c.c")


def test_a_missing_source_suggests_a_near_one(tmp_path):
    plant(tmp_path, {"mpi.xml": THREE_KEYS, "src/helo.c": ""})
    with pytest.raises(BuildpackError, match=r"names hello\.c, and there is no such file") as error:
        read(tmp_path)
    assert "Did you mean helo.c?" in refusal(error)


def test_sources_written_in_one_line_are_told_apart(tmp_path):
    plant(tmp_path, {"mpi.xml": "from: a.c b.c\nto: x\nhosts: 2\n", "a.c": "", "b.c": ""})
    with pytest.raises(BuildpackError) as error:
        read(tmp_path)
    assert "from: [a.c, b.c]" in refusal(error)


def test_a_symlink_out_of_the_tree_is_refused(tmp_path):
    tree = plant(tmp_path / "tree", {"mpi.xml": THREE_KEYS})
    (tmp_path / "secret.c").write_text("")
    (tree / "hello.c").symlink_to("../secret.c")
    with pytest.raises(BuildpackError, match=r"hello\.c is a symlink that leads out of the tree"):
        read(tree)


def test_a_folder_linked_out_of_the_tree_is_refused(tmp_path):
    tree = plant(tmp_path / "tree", {"mpi.xml": "from: lib/hello.c\nto: hello\nhosts: 2\n"})
    plant(tmp_path / "other", {"hello.c": ""})
    (tree / "lib").symlink_to("../other")
    with pytest.raises(BuildpackError, match="leads out of the tree"):
        read(tree)


def test_a_manifest_that_is_a_link_out_of_the_tree_is_refused(tmp_path):
    tree = plant(tmp_path / "tree", {"hello.c": ""})
    (tmp_path / "other.xml").write_text(THREE_KEYS)
    (tree / "mpi.xml").symlink_to("../other.xml")
    with pytest.raises(BuildpackError, match=r"mpi\.xml is a symlink that leads out of the tree"):
        read(tree)


def test_a_folder_is_no_source(tmp_path):
    plant(tmp_path, {"mpi.xml": THREE_KEYS, "hello.c/x": ""})
    with pytest.raises(BuildpackError, match="which is a folder"):
        read(tmp_path)


@pytest.mark.parametrize("name", ["hello.c", "data"])
def test_a_program_is_not_written_over_what_was_pushed(tmp_path, name):
    plant(tmp_path, {"mpi.xml": f"from: hello.c\nto: {name}\nhosts: 2\n", "hello.c": "", "data/x": ""})
    with pytest.raises(BuildpackError, match=f"`to` is {name}"):
        read(tmp_path)


MANIFEST = parse(b"from: a.c\nto: a\nhosts: 4\nslots: 2\nargs: -x\n")


def test_push_options_are_put_over_the_manifest():
    changed = override(MANIFEST, {"hosts": "2", "args": "-n '3 4'", "timeout": "2m"})
    assert (changed.hosts, changed.slots, changed.args, changed.timeout) == (2, 2, ("-n", "3 4"), 120)
    assert override(MANIFEST, {"args": ""}).args == ()


@pytest.mark.parametrize(("name", "value"), [("np", "x"), ("hosts", "0"), ("timeout", "soon"), ("args", "'")])
def test_a_wrong_push_option_names_itself(name, value):
    with pytest.raises(BuildpackError, match=f"push option `{name}` is `{value}`") as error:
        override(MANIFEST, {name: value})
    assert f"`{name}` takes" in refusal(error)


def test_an_unknown_push_option_suggests_the_nearest():
    with pytest.raises(BuildpackError, match="push option `slot` is unknown") as error:
        override(MANIFEST, {"slot": "2"})
    assert "Did you mean `slots`?" in refusal(error)


def test_contradicting_push_options_are_refused():
    with pytest.raises(BuildpackError, match="push options: `np` is 2 and `hosts` is 4"):
        override(MANIFEST, {"np": "2", "hosts": "4"})
    with pytest.raises(BuildpackError, match="`hosts` 4 × `slots` 1 is only 4"):
        override(MANIFEST, {"np": "8", "slots": "1"})


@pytest.mark.parametrize(
    "run",
    [
        "mpirun ./a | tee x", "./a; ./b", "|\n  ./a\n  ./b", "mpirun ./a | awk '{ print $1 }'",
        "./a $NAP_SHARE &",
    ],
)  # fmt: skip
def test_arguments_that_a_script_has_no_place_for_are_refused(run):
    text = f"hosts: 1\nrun: {run}\n"
    for manifest, options in ((f"args: -n 3\n{text}", {}), (text, {"args": "3"})):
        with pytest.raises(BuildpackError) as error:
            override(parse(manifest.encode()), options)
        assert "`args` are given, and the script of `run` does not say where they belong" in refusal(error)
        assert '"$@"' in error.value.hint


@pytest.mark.parametrize(
    "run", ["./sweep.sh", "mpirun ./a 'x | y'", "./a $1; ./b", "mpirun ./a ${2:-3} | tee x", "./a\n"]
)
def test_a_scripts_arguments_have_a_place(run):
    assert override(Manifest(hosts=1, run=run), {"args": "3"}).args == ("3",)


def test_a_script_without_arguments_needs_no_place_for_them():
    assert override(Manifest(hosts=1, run="./a; ./b"), {"args": ""}).args == ()
