"""A push from outside: what git answers, what the pusher sees, what the ledger and the refs hold after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from support.nap_home import App, NapHome, Ran
from support.trees import HELLO_C

pytestmark = pytest.mark.lab

NewApp = Callable[..., App]
MANIFEST = "from: ranks.c\nto: ranks\nhosts: 2\n"


def refs(app: App) -> str:
    return app.home.run("git", "show-ref", cwd=Path(app.remote)).out


def is_refused(app: App, pushed: Ran, sentence: str) -> None:
    """Git says so with exit 1, nap with one sentence, and nothing has changed."""
    assert pushed.code == 1, pushed.out
    assert sentence in pushed.out
    assert pushed.out.count("nap: ") == 1, pushed.out
    assert "[remote rejected]" in pushed.out
    assert "Traceback" not in pushed.out


@pytest.fixture
def app(new_app: NewApp) -> App:
    return new_app({"profile": "echo the program speaks\n"})


@pytest.fixture
def pushed(app: App) -> App:
    ran = app.push()
    assert ran.code == 0, ran.out
    return app


def test_a_push_shows_what_it_does_and_how_it_ended(new_app: NewApp) -> None:
    app = new_app({"ranks.c": HELLO_C, "mpi.xml": MANIFEST})
    ran = app.push()
    assert ran.code == 0, ran.out
    in_order = [
        "mpi.xml", "mpicc", "2 slaves", f"{app.name}-slave", "hostfile", f"{app.name}-slave1 slots=1",
        f"{app.name}-slave2 slots=1", "$ mpirun", "rank ", "succeeded, exit 0", "check", "build", "slaves",
        "gather", "run", f"nap logs {app.name} 1",
    ]  # fmt: skip
    place = 0
    for word in in_order:
        place = ran.out.find(word, place)
        assert place >= 0, f"{word} is not there, or too early, in\n{ran.out}"
    assert sorted(line for line in ran.out.splitlines() if line.startswith("rank ")) == [
        "rank 0 of 2", "rank 1 of 2",
    ]  # fmt: skip


def test_the_same_commit_runs_again_with_other_options_and_compiles_nothing(new_app: NewApp) -> None:
    app = new_app({"ranks.c": HELLO_C, "mpi.xml": MANIFEST})
    app.push()
    ran = app.push("np=8")
    assert ran.code == 0, ran.out
    assert "built before" in ran.out
    assert "rank 7 of 8" in ran.out
    assert [(run["np"], run["release"]) for run in app.runs()] == [(2, 1), (8, 1)]
    assert app.home.json("releases", app.name)[0]["runs"] == [1, 2]


def test_a_rewritten_history_needs_no_force(pushed: App) -> None:
    pushed.git("commit", "-q", "--amend", "-m", "another history")
    assert pushed.push().code == 0
    assert len(pushed.runs()) == 2


def test_every_push_is_kept_as_a_ref_and_a_clone_has_the_last_one(pushed: App, tmp_path: Path) -> None:
    pushed.commit({"profile": "echo the second\n"})
    pushed.push()
    head = pushed.git("rev-parse", "HEAD").out.strip()
    assert f"{head} refs/nap/2" in refs(pushed)
    assert "refs/nap/1" in refs(pushed)
    cloned = pushed.home.run("git", "clone", "-q", pushed.remote, str(tmp_path / "clone"))
    assert cloned.code == 0, cloned
    log = pushed.home.run("git", "log", "--format=%H %D", cwd=tmp_path / "clone").out.splitlines()
    assert len(log) == 2
    assert log[0].startswith(head)
    assert "released" in log[0]


def test_main_deploys_as_well(app: App) -> None:
    app.git("branch", "-m", "main")
    assert app.push(ref="main").code == 0
    assert app.runs()[-1]["state"] == "succeeded"


def test_an_apps_own_branch_deploys_and_no_other(app: App) -> None:
    app.home.nap("config", app.name, "branch=trunk")
    is_refused(app, app.push(), "the branch master is not deployed, trunk is")
    assert app.push(ref="master:trunk").code == 0
    app.home.nap("config", app.name, "--unset", "branch")
    assert app.push().code == 0


def test_a_tag_is_pushed_as_the_commit_it_leads_to(pushed: App) -> None:
    pushed.git("tag", "-a", "v1", "-m", "one")
    pushed.git("tag", "-a", "again", "-m", "a tag of it", "v1")
    ran = pushed.push("strict", ref="again:refs/heads/master")
    assert ran.code == 0, ran.out
    head = pushed.git("rev-parse", "HEAD").out.strip()
    assert [run["commit"] for run in pushed.runs()] == [head, head]
    assert f"{head} refs/nap/2" in refs(pushed)


def test_what_leads_to_no_commit_is_refused(pushed: App) -> None:
    pushed.git("tag", "-a", "folder", "-m", "of a tree", "HEAD^{tree}")
    before = refs(pushed)
    for ref, sentence in (
        ("HEAD^{tree}", "is no commit, but a tree"),
        ("HEAD:profile", "is no commit, but a blob"),
        ("folder", "is no commit, but a tag of a tree"),
    ):
        pushed.git("tag", "-f", "odd", ref)
        is_refused(pushed, pushed.push(ref="odd:refs/heads/master"), sentence)
    assert refs(pushed) == before
    assert len(pushed.runs()) == 1


def test_tags_that_come_along_are_kept_and_refuse_nothing(pushed: App) -> None:
    pushed.git("config", "push.followTags", "true")
    pushed.git("tag", "-a", "v1", "-m", "one")
    ran = pushed.push("strict")
    assert ran.code == 0, ran.out
    assert "[new tag]" in ran.out
    assert "refs/tags/v1" in refs(pushed)
    # Moved, and of a file; with all the others, and as atomic as git can be.
    pushed.git("tag", "-f", "v1", "HEAD:profile")
    for flags in (("--tags", "--force"), ("--tags", "--atomic")):
        ran = pushed.git("push", *flags, "nap", "master")
        assert ran.code == 0, ran
        assert "the program speaks" in ran.err
    assert pushed.git("push", "nap", ":v1").code == 0
    assert "refs/tags/v1" not in refs(pushed)
    assert len(pushed.runs()) == 4


def test_a_detached_head_is_pushed_by_the_branchs_whole_name(pushed: App) -> None:
    """Of the short name git has to know what it is, and the receiver has no branch to show."""
    pushed.git("checkout", "-q", "--detach")
    pushed.commit({"profile": "echo detached\n"})
    assert "not a full refname" in pushed.push(ref="HEAD:master").out
    ran = pushed.push(ref="HEAD:refs/heads/master")
    assert ran.code == 0, ran.out
    assert "detached" in ran.out


def test_a_lease_expects_no_branch(pushed: App) -> None:
    """Git compares what it remembers of the branch with what the receiver shows: none."""
    assert "stale info" in pushed.git("push", "--force-with-lease", "nap", "master").err
    ran = pushed.git("push", "--force-with-lease=master:", "nap", "master")
    assert ran.code == 0, ran
    assert len(pushed.runs()) == 2


def test_a_push_of_everything_is_refused_for_what_is_not_deployed(pushed: App) -> None:
    assert pushed.git("push", "--all", "nap").code == 0
    pushed.git("branch", "work")
    before = refs(pushed)
    for words, sentence in (
        ("--all nap", "the branch work is not deployed"),
        ("--all --atomic nap", "the branch work is not deployed"),
        ("--mirror nap", "the branch released cannot be deleted here"),
        ("nap :released", "the branch released cannot be deleted here"),
    ):
        ran = pushed.git("push", *words.split())
        is_refused(pushed, Ran(ran.code, ran.err), sentence)
    assert refs(pushed) == before
    assert len(pushed.runs()) == 2


def test_a_push_of_nothing_is_nothing(pushed: App) -> None:
    """`:` is every branch that both sides have."""
    ran = pushed.push(ref=":")
    assert (ran.code, "Everything up-to-date" in ran.out) == (0, True)
    assert len(pushed.runs()) == 1


@pytest.mark.parametrize(
    ("ref", "sentence"),
    [
        ("master:work", "the branch work is not deployed, master or main is"),
        (f"master:refs/heads/{'x' * 30_000}", "x... is not deployed, master or main is"),
        ("master:master/deep", "the branch master/deep is not deployed"),
        ("v1.0", "the tag v1.0 is not deployed"),
        ("master:refs/odd/one", "the ref refs/odd/one is not deployed"),
    ],
)
def test_what_is_no_deploy_branch_is_refused(pushed: App, ref: str, sentence: str) -> None:
    pushed.git("tag", "v1.0")
    before = refs(pushed)
    is_refused(pushed, pushed.push(ref=ref), sentence)
    assert refs(pushed) == before
    assert len(pushed.runs()) == 1


def test_two_branches_at_once_are_refused(pushed: App) -> None:
    before = refs(pushed)
    ran = pushed.git("push", "nap", "master", "master:main")
    assert ran.code == 1
    assert "one branch is deployed at a time" in ran.err
    assert ran.err.count("nap: ") == 1
    assert refs(pushed) == before


def test_nothing_may_be_written_where_nap_keeps_its_refs(pushed: App) -> None:
    ran = pushed.push(ref="master:refs/nap/7")
    assert ran.code == 1
    assert "[remote rejected]" in ran.out
    assert "refs/nap/7" not in refs(pushed)


@pytest.mark.parametrize(
    ("option", "sentence"),
    [
        ("nodes=4", "there is no push option 'nodes=4'"),
        ("np", "the push option 'np' has no value"),
        ("strict=yes", "the push option 'strict' takes no value"),
        ("ñp=é", "there is no push option 'ñp=é'"),
        ("np=8", "np is for MPI programs"),
    ],
)
def test_an_option_that_a_script_does_not_take_is_refused(pushed: App, option: str, sentence: str) -> None:
    before = refs(pushed)
    is_refused(pushed, pushed.push(option), sentence)
    assert refs(pushed) == before
    assert len(pushed.runs()) == 1


@pytest.mark.parametrize(
    "option", ["np=0", "np=-1", "np=four", "np=1e9", "hosts=0", "hosts=2.5", "slots=", "timeout=soon"]
)
def test_an_option_with_a_wrong_value_is_refused(mpi_app: App, option: str) -> None:
    is_refused(mpi_app, mpi_app.push(option), option.partition("=")[0])
    assert mpi_app.runs() == []
    assert refs(mpi_app) == ""


@pytest.fixture(scope="module")
def mpi_app(home: NapHome, tmp_path_factory: pytest.TempPathFactory) -> App:
    """Never accepted, so that each test finds it as it was made."""
    tree = tmp_path_factory.mktemp("mpi") / "tree"
    return home.app("never-accepted", tree, {"ranks.c": HELLO_C, "mpi.xml": MANIFEST})


def test_an_option_that_is_no_text_is_refused(pushed: App) -> None:
    ran = pushed.home.run("git", "push", "-o", "n\udcffp=1", "nap", "master", cwd=pushed.tree)
    assert ran.code == 1
    assert "there is no push option" in ran.err
    assert "Traceback" not in ran.err


def test_an_option_as_long_as_git_takes_arrives_whole(mpi_app: App) -> None:
    is_refused(mpi_app, mpi_app.push("args=" + "a " * 30_000), "args")


def test_an_atomic_push_is_a_push(pushed: App) -> None:
    ran = pushed.git("push", "--atomic", "nap", "master")
    assert ran.code == 0, ran
    assert "the program speaks" in ran.err


def test_a_dry_run_runs_nothing(pushed: App) -> None:
    assert pushed.git("push", "--dry-run", "nap", "master").code == 0
    assert len(pushed.runs()) == 1


def test_many_apps_are_pushed_at_once(new_app: NewApp) -> None:
    apps = [new_app({"profile": f"echo this is {number}\n"}) for number in range(8)]
    pushes = [app.start_push("strict") for app in apps]
    for number, push in enumerate(pushes):
        told = push.communicate(timeout=100)[1]
        assert push.returncode == 0, told
        assert f"this is {number}" in told


def test_a_commit_without_a_file_is_refused(app: App) -> None:
    app.git("rm", "-q", "profile")
    app.commit({})
    is_refused(app, app.push(), "mpi.xml")
    assert app.runs() == []
    assert refs(app) == ""


def test_a_tree_with_none_of_the_four_files_is_refused_with_their_list(new_app: NewApp) -> None:
    app = new_app({"notes.txt": "nothing to run\n"})
    ran = app.push()
    is_refused(app, ran, "notes.txt" if "notes.txt" in ran.out else "profile")
    for name in ("Dockerfile", "pom.xml", "profile", "mpi.xml"):
        assert name in ran.out
    assert app.runs() == []


def test_a_source_that_does_not_compile_is_refused_with_the_compilers_lines(new_app: NewApp) -> None:
    app = new_app({"ranks.c": "int main(void) { return nonsense; }\n", "mpi.xml": MANIFEST})
    ran = app.push()
    is_refused(app, ran, "mpicc")
    assert "ranks.c:1" in ran.out
    assert "nonsense" in ran.out
    assert (app.runs(), refs(app)) == ([], "")
    assert not list((app.home.root / "scratch").iterdir())
    app.commit({"ranks.c": HELLO_C})
    assert app.push().code == 0


ALONE = """\
#include <stdio.h>
int main(void) { return puts("rank 0 of 1") < 0; }
"""


def test_a_compiled_program_without_mpi_is_told_of_where_it_is_to_be_ranks_and_runs(new_app: NewApp) -> None:
    app = new_app({"mpi.xml": "build: gcc s.c -o s\nto: s\nhosts: 3\n", "s.c": ALONE})
    pushed = app.push("strict")
    assert pushed.code == 0, pushed.out
    assert "s has no MPI in it: it runs 3 times, and none knows of the others" in pushed.out
    assert app.lines() == ["rank 0 of 1"] * 3
    app.commit({"mpi.xml": MANIFEST, "ranks.c": HELLO_C})
    assert "has no MPI in it" not in app.push("strict").out


def test_a_shallow_clone_is_told_to_fetch_the_rest(pushed: App, new_app: NewApp, tmp_path: Path) -> None:
    for number in range(2):
        pushed.commit({"profile": f"echo {number}\n"})
    other = new_app({})
    shallow = tmp_path / "shallow"
    pushed.git("clone", "-q", "--depth", "1", f"file://{pushed.tree}", str(shallow))
    shallow_app = App(other.home, other.name, shallow, other.remote)
    shallow_app.git("remote", "add", "nap", other.remote)
    is_refused(shallow_app, shallow_app.push(), "comes from a shallow clone")
    assert refs(other) == ""
    shallow_app.git("fetch", "-q", "--unshallow")
    assert shallow_app.push().code == 0


def test_a_shallow_clone_of_what_the_receiver_has_is_taken(pushed: App, tmp_path: Path) -> None:
    pushed.commit({"profile": "echo the second\n"})
    pushed.push()
    shallow = tmp_path / "shallow"
    pushed.git("clone", "-q", "--depth", "1", f"file://{pushed.tree}", str(shallow))
    again = App(pushed.home, pushed.name, shallow, pushed.remote)
    again.git("remote", "add", "nap", pushed.remote)
    again.commit({"profile": "echo the third\n"})
    ran = again.push()
    assert ran.code == 0, ran.out
    assert "the third" in ran.out
    fsck = pushed.home.run("git", "fsck", "--no-dangling", cwd=Path(pushed.remote))
    assert fsck.code == 0, fsck


def test_a_global_hooks_path_switches_nothing_off(pushed: App, tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    config = tmp_path / "gitconfig"
    config.write_text(
        f"[core]\n\thooksPath = {tmp_path}/nothing\n"
        "[receive]\n\tadvertisePushOptions = false\n\tdenyNonFastForwards = true\n"
        "[transfer]\n\tfsckObjects = true\n[push]\n\tdefault = matching\n\tgpgSign = if-asked\n"
        "[safe]\n\tdirectory = *\n"
    )
    command = pushed.push_command("strict")
    env = {**pushed.home.env, "GIT_CONFIG_GLOBAL": str(config)}
    ran = pushed.home.run(*command, cwd=pushed.tree, env=env)
    assert ran.code == 0, ran
    assert "the program speaks" in ran.err
    assert len(pushed.runs()) == 2


def test_a_gitconfig_that_is_broken_is_gits_to_complain_about(pushed: App, tmp_path: Path) -> None:
    (tmp_path / ".gitconfig").write_text("[core\n")
    env = {**pushed.home.env, "HOME": str(tmp_path)}
    del env["GIT_CONFIG_GLOBAL"]
    ran = pushed.home.run(*pushed.push_command(), cwd=pushed.tree, env=env)
    assert ran.code == 128
    assert "bad config" in ran.err
    assert len(pushed.runs()) == 1


def test_a_file_over_the_limit_is_refused_and_named(own_home: NapHome, tmp_path: Path) -> None:
    own_home.settings("push_limit: 1M\n")
    own_home.up()
    app = own_home.app("large", tmp_path / "tree", {"profile": "echo no\n", "data/big.bin": bytes(3 << 20)})
    ran = app.push()
    is_refused(app, ran, "data/big.bin")
    assert "push_limit" in ran.out
    assert (app.runs(), refs(app)) == ([], "")


def test_a_submodule_is_said_to_be_left_out(pushed: App) -> None:
    head = pushed.git("rev-parse", "HEAD").out.strip()
    pushed.git("update-index", "--add", "--cacheinfo", f"160000,{head},vendor")
    pushed.git("commit", "-q", "-m", "with a submodule")
    ran = pushed.push()
    assert ran.code == 0, ran.out
    assert "vendor is a submodule" in ran.out


def test_a_name_that_is_taken_or_wrong_is_refused(pushed: App) -> None:
    for name in ("../x", "A b", "a" * 64, "x-", "1x", "", pushed.name):
        ran = pushed.home.nap("create", name)
        assert ran.code == 1, name
        assert ran.err.count("\n") == 2, ran.err
        assert ran.out == ""
    assert pushed.push().code == 0


def test_a_build_finds_the_proxies_and_a_run_does_not(own_home: NapHome, tmp_path: Path) -> None:
    secret = "http://user:secret@proxy.invalid:3128"
    own_home.env.update(
        PIP_INDEX_URL=secret,
        https_proxy=secret,
        HTTPS_PROXY=secret,
        SSL_CERT_FILE="/secret",
        AWS_SECRET="secret",
    )
    own_home.up()
    build = "env | grep -c -i secret; env > built"
    manifest = f"build: {build!r}\nto: show\nrun: show\nhosts: 1\n"
    show = (
        "#!/bin/sh\n"
        "echo in the build: $(grep -c -i secret built)\n"
        "echo in the run: $(env | grep -c -i secret)\n"
    )
    app = own_home.app("clean", tmp_path / "tree", {"mpi.xml": manifest, "show": show})
    app.git("update-index", "--chmod=+x", "show")
    app.git("commit", "-q", "-m", "executable")
    ran = app.push()
    assert ran.code == 0, ran.out
    assert "in the build: 4" in ran.out
    assert "in the run: 0" in ran.out


def test_what_nap_says_stands_apart_from_a_last_line_without_an_end(new_app: NewApp) -> None:
    app = new_app({"profile": "printf end\n"})
    assert f"\nend\n-----> run 1 of {app.name}: succeeded" in app.push().out
    assert app.logs() == "end"
