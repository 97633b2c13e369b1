"""The commands: what they print, what they write, and the exit code they leave with."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from importlib import import_module

import pytest
import yaml

import medim_forge
from medim_forge.generator.cli import commands as cli
from medim_forge.generator.errors import DrainedError, QuarantineError, ShardError
from medim_forge.generator.events import JobEvent
from medim_forge.generator.records import Counts
from medim_forge.generator.store.protocol import SUCCESS
from medim_forge.model.folders import EMBEDDED
from tests.doubles.toy_replica import PARTS, set_faults, toy_job


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A job file for the toy replica, which the commands use from now on: `toy(**changes)` -> (path, spec)."""
    monkeypatch.setattr("medim_forge.generator.generate.job.Parts", lambda: PARTS)
    monkeypatch.setattr("medim_forge.generator.generate.preview.Parts", lambda: PARTS)
    # By module, because the room's face has a function of the same name.
    monkeypatch.setattr(import_module("medim_forge.generator.audit.reproduce"), "Parts", lambda: PARTS)

    def make(**changes):
        spec = toy_job(tmp_path, **{"date": "2026-11-23", **changes})
        # What a plan reads of a checkpoint.
        for name in ("config.json", "tokenizer.json"):
            shutil.copy(EMBEDDED["phantom"] / name, tmp_path / "checkpoint")
        path = tmp_path / "toy.yaml"
        path.write_text(yaml.safe_dump(spec.model_dump(mode="json")))
        return path, spec

    return make


@pytest.fixture
def medim(monkeypatch, capsys):
    """Runs a command: `medim("plan", path)` -> (exit code, standard output, standard error)."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["medim", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            cli.main()
        captured = capsys.readouterr()
        return leaving.value.code, captured.out, captured.err

    return call


def test_plan_says_what_will_be_made_and_writes_nothing(medim, toy, tmp_path):
    path, spec = toy()
    before = sorted(tmp_path.rglob("*"))
    code, out, err = medim("plan", path)
    assert (code, err) == (0, "")
    assert spec.sha256 in out
    for words in ("pairs     8", "4 of 2 pairs", "5 x chest_xray", "3 x pathology", "per pair and replica"):
        assert words in out
    assert sorted(tmp_path.rglob("*")) == before


def test_plan_of_another_kind_shows_its_settings(medim, repository):
    code, out, _ = medim("plan", repository / "jobs" / "train_phantom.yaml")
    assert code == 0
    assert yaml.safe_load(out)["kind"] == "train"


def test_version_is_that_of_the_package(medim):
    assert medim("--version") == (0, f"{medim_forge.__version__}\n", "")


def test_a_bundled_job_is_planned_by_its_name(medim, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = medim("plan", "quickstart")
    assert (code, err) == (0, "")
    assert re.search("^pairs +64$", out, re.MULTILINE)


@pytest.mark.parametrize("command", [["plan"], ["run"], ["preview"], ["refilter", "out"]])
def test_an_unknown_name_is_refused_with_the_bundled_jobs(medim, tmp_path, monkeypatch, command):
    monkeypatch.chdir(tmp_path)
    code, out, err = medim(*command, "no_such_job")
    assert (code, out) == (1, "")
    assert "Bundled: augment_phantom, " in err


def test_training_refuses_local(medim, tmp_path):
    code, _, err = medim("run", "train_phantom", "--local", "--out", tmp_path)
    assert code == 1
    assert "train_phantom.yaml: --local is for jobs that make pairs" in err
    assert not list(tmp_path.iterdir())


def test_evaluation_makes_its_pairs_where_it_is_asked_to(medim, tmp_path, monkeypatch):
    asked = []

    def run(spec, *, local, on_event):
        asked.append(local)
        return tmp_path

    monkeypatch.setattr("medim_forge.generator.evaluation.run", run)
    for options in ([], ["--local"]):
        assert medim("run", "evaluate_phantom", *options)[0] == 0
    assert asked == [False, True]


@pytest.mark.parametrize("command", [["plan"], ["run", "--local"], ["preview"]])
def test_mistake_in_the_job_is_one_clear_line_and_exit_code_1(medim, toy, command):
    path, _ = toy()
    path.write_text(path.read_text() + "samplin: {}\n")
    line = len(path.read_text().splitlines())
    code, out, err = medim(*command, path)
    assert (code, out) == (1, "")
    assert err.startswith(f"medim: {path}:{line}: samplin is not a known key (did you mean sampling?)")
    assert len(err.splitlines()) == 1


def test_missing_checkpoint_is_refused_by_plan(medim, toy, tmp_path):
    path, _ = toy(model={"checkpoint": str(tmp_path / "nowhere")})
    code, _, err = medim("plan", path)
    assert code == 1
    assert "model.checkpoint" in err
    assert "is not a folder" in err


@pytest.mark.parametrize(
    "arguments", [[], ["plan"], ["frob"], ["plan", "x.yaml", "--steps", "3"], ["preview", "x", "--pairs", "0"]]
)
def test_wrong_use_leaves_with_exit_code_2(medim, arguments):
    assert medim(*arguments)[0] == 2


def test_help_leaves_with_exit_code_0(medim):
    code, out, _ = medim("--help")
    assert code == 0
    for command in ("plan", "preview", "run", "status", "verify", "reproduce"):
        assert command in out


def test_run_prints_plain_lines_and_where_the_results_are(medim, toy):
    path, _spec = toy()
    code, out, err = medim("run", path, "--local")
    assert (code, err) == (0, "")
    assert "\x1b" not in out
    assert "(8 of 8 pairs, " in out
    assert "contact_sheet.png" in out
    assert "README.md" in out
    assert "4 made now" in out
    code, out, _ = medim("run", path, "--local")
    assert code == 0
    assert "nothing was left to do" in out


def test_out_is_where_the_dataset_goes(medim, toy, tmp_path):
    path, _spec = toy()
    assert medim("run", path, "--local", "--out", tmp_path / "other")[0] == 0
    assert (tmp_path / "other" / SUCCESS).exists()
    assert not (tmp_path / "out").exists()


def test_too_many_quarantined_rows_leave_with_exit_code_3(medim, toy):
    path, spec = toy()
    set_faults(spec, {"at": "generate", "do": "row", "pair": 2})
    code, _, err = medim("run", path, "--local")
    assert code == 3
    assert "max_quarantined = 0" in err
    assert re.search(r"^quarantined +1$", medim("status", spec.output.dir)[1], re.MULTILINE)


@pytest.mark.parametrize(
    ("error", "code"), [(QuarantineError, 3), (DrainedError, 143), (ShardError, 1), (ValueError, 1)]
)
def test_exit_code_says_how_it_ended(error, code):
    assert cli.exit_code(error("why")) == code


def test_status_verify_and_reproduce_look_after_a_dataset(medim, toy):
    path, spec = toy()
    medim("run", path, "--local")
    code, out, _ = medim("status", spec.output.dir)
    assert code == 0
    assert "4 of 4" in out
    code, out, _ = medim("verify", spec.output.dir)
    assert code == 0
    assert "all as recorded" in out
    pair_id = f"{spec.sha256[:8]}-0000003"
    code, out, _ = medim("reproduce", spec.output.dir, pair_id)
    assert code == 0
    assert pair_id in out


HOSTILE = "\x1b]0;owned\x07\x1b[2J \u202eknil <script>alert(1)</script> a | b ![x](http://x.example/p.png)"


def test_what_a_job_says_commands_neither_terminal_nor_card(medim, toy, tmp_path):
    path, _ = toy(prompts=[{"domain": "chest_xray", "pairs": 2, "text": HOSTILE}], name="toy")
    said = [medim("plan", path), medim("run", path, "--local"), medim("status", tmp_path / "out")]
    said.append(medim("verify", f"{tmp_path}/\x1b[2J"))
    card = (tmp_path / "out" / "README.md").read_text(encoding="utf-8")
    # The plan refuses words that its checkpoint does not know, and names them.
    assert [code for code, _, _ in said] == [1, 0, 0, 1]
    text = "".join(out + err for _, out, err in said) + card
    assert r"\x1b]0;owned\x07\x1b[2J \u202eknil" in text
    assert not {"\x1b", "\x07", "\u202e"} & set(text)
    assert "&lt;script>alert(1)&lt;/script> a \\| b ![x\\](http://x.example/p.png)" in card
    assert "<script" not in card


def test_status_of_a_folder_without_dataset_is_refused(medim, tmp_path):
    code, _, err = medim("status", tmp_path)
    assert code == 1
    assert str(tmp_path) in err


def test_submitted_job_refuses_a_relative_output_folder(medim, toy, monkeypatch):
    monkeypatch.setenv(cli.SUBMITTED_JOB, "{}")
    path, _ = toy(output={"dir": "out/toy", "dicom": None})
    code, _, err = medim("run", path, "--local")
    assert code == 1
    assert "output.dir = 'out/toy' is relative" in err
    assert "--out" in err


def test_submitted_job_may_write_to_an_object_store(toy, monkeypatch):
    monkeypatch.setenv(cli.SUBMITTED_JOB, "{}")
    cli.refuse_lost_output(toy(output={"dir": "s3://bucket/toy"})[1])


def test_plan_of_a_job_for_an_object_store_asks_nobody_and_loads_no_client(repository):
    command = (
        "import sys; from generator import cli; sys.argv[0] = 'medim'\ntry: cli.main()\nfinally: print(*sys.modules)"
    )
    arguments = ["plan", "jobs/quickstart.yaml", "--out", "s3://no-such-bucket/x"]
    call = [sys.executable, "-c", command, *arguments]
    done = subprocess.run(call, cwd=repository, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    text, _, modules = done.stdout.rstrip().rpartition("\n")
    assert "s3://no-such-bucket/x (nothing was written)" in text
    assert not {"fsspec", "s3fs", "botocore", "aiohttp"} & set(modules.split())


def test_name_of_the_submission_variable_is_the_one_that_ray_sets():
    constants = pytest.importorskip("ray._private.runtime_env.constants")
    assert cli.SUBMITTED_JOB == constants.RAY_JOB_CONFIG_JSON_ENV_VAR


def test_preview_makes_a_contact_sheet_and_measures(medim, toy, tmp_path):
    path, _spec = toy(sampling={"batch_size": 2})
    for _ in range(2):
        code, out, err = medim("preview", path, "--pairs", "3")
        assert (code, err) == (0, "")
    assert (tmp_path / "out_preview" / "contact_sheet.png").exists()
    assert "of 4 pairs" in out
    assert "s per pair on toy" in out
    assert not (tmp_path / "out").exists()


def test_preview_of_another_kind_is_refused(medim, repository):
    code, _, err = medim("preview", repository / "jobs" / "train_phantom.yaml")
    assert code == 1
    assert "kind = 'train'" in err


def test_planning_imports_no_heavy_library(toy):
    path, _ = toy()
    script = (
        "import sys; from generator import cli; sys.argv = ['medim', 'plan', sys.argv[1]]\n"
        "try: cli.main()\n"
        "except SystemExit as leaving: assert leaving.code == 0, leaving.code\n"
        "heavy = {'torch', 'ray', 'pandas', 'sklearn', 'scipy', 'transformers', 'pyarrow', 'pydicom', 'matplotlib'}\n"
        "print('HEAVY', sorted(heavy & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(path)], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "HEAVY []"


def test_module_and_console_script_are_the_same_program(toy, repository):
    path, _ = toy()
    done = subprocess.run(
        [sys.executable, "-m", "generator", "plan", str(path)],
        capture_output=True,
        text=True,
        check=True,
        cwd=repository,
    )
    assert "toy" in done.stdout


def test_terminal_gets_a_progress_bar(monkeypatch, capsys):
    from medim_forge.generator.cli.progress import shown

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    planned = Counts(shards=4, pairs=8)
    with shown("toy") as on_event:
        on_event(JobEvent(kind="opened", message="[4] shards to make", done=Counts(), planned=planned))
        done = Counts(shards=1, pairs=2, kept=2)
        on_event(JobEvent(kind="committed", message="shard 0", done=done, planned=planned))
    out = capsys.readouterr().out
    assert "[4] shards to make" in out
    assert "2/8" in out
