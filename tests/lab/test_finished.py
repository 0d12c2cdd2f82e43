"""A finished run: its report, its model in chat, token by token, as an archive, as a page."""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from html.parser import HTMLParser
from pathlib import Path

import pytest

from slm_explorer.chat import Ask
from slm_explorer.errors import InvalidRequest, UnknownModel
from slm_explorer.lab.types import MAX_TOKEN_TEXT, Run
from slm_explorer.services import Services
from slm_explorer.types import Delta, Done, Message, Sampling
from tests.conftest import ROOT
from tests.lab.conftest import SMALL, MakeServices, copy_of

Finished = tuple[Services, Run]


def test_the_report_measures_both_models_and_says_where(finished: Finished) -> None:
    _, run = finished
    assert (run.state, run.error, run.fraction) == ("done", None, 1.0)
    report = run.report
    assert report is not None
    assert report["run"] == run.id
    assert report["command"] == f"slm-explorer compress {SMALL} --recipe int8 --out FOLDER"
    for name in ("before", "after"):
        side = report[name]
        assert isinstance(side, dict)
        for key in ("bytes_on_disk", "bits_per_byte", "perplexity", "peak_memory_bytes"):
            assert side[key] > 0
        for key in ("ttft_s", "prefill_tps", "decode_tps"):
            assert side[f"{key}_min"] <= side[key] <= side[f"{key}_max"]
        assert side["energy_j"] is None
    assert report["energy_reason"]
    assert report["not_measured"] == []
    machine, versions = report["machine"], report["versions"]
    assert isinstance(machine, dict)
    assert isinstance(versions, dict)
    assert machine["threads"] == 1
    assert versions["torch"]
    skills = report["skills"]
    assert isinstance(skills, list)
    assert {"copy", "all"} <= {each["suite"] for each in skills}
    assert all(len(each["after"]["interval"]) == 2 for each in skills)
    assert len(run.layers) == len(report["layers"])  # type: ignore[arg-type]
    assert all(layer.relative_error is not None for layer in run.layers if layer.method == "int8")
    json.dumps(report)


def test_the_verdict_on_size_is_the_files(finished: Finished) -> None:
    services, run = finished
    report = run.report
    assert report is not None
    folder = services.chat.resolve(f"lab/{run.id}").path
    size = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    after = report["after"]
    assert isinstance(after, dict)
    assert after["bytes_on_disk"] == size
    verdicts = report["verdicts"]
    assert isinstance(verdicts, list)
    assert verdicts[0]["text"].startswith("Smaller, ")


def test_its_model_answers_in_chat_by_its_id(finished: Finished) -> None:
    import threading

    services, run = finished
    assert run.model_id is not None
    ask = Ask(run.model_id, (Message("user", "Hello"),), sampling=Sampling(max_tokens=4))
    events = list(services.chat.stream(ask, threading.Event()))
    assert isinstance(events[-1], Done)
    assert any(isinstance(event, Delta) and event.text for event in events)


def test_each_token_of_a_text_under_both(finished: Finished) -> None:
    services, run = finished
    text = "The cat is small. Grüße \N{THUMBS UP SIGN}\N{EMOJI MODIFIER FITZPATRICK TYPE-5}!"
    found = services.lab.per_token(run.id, text)
    assert "".join(token.text for token in found.tokens) == text
    assert (found.parent, found.child) == (SMALL, run.model_id)
    for token in found.tokens:
        assert token.parent_logprob < 0
        assert len(token.parent_top) == len(token.child_top) == 5
        best = token.child_top[0].logprob
        assert best >= token.child_logprob
        assert [each.logprob for each in token.child_top] == sorted(
            (each.logprob for each in token.child_top), reverse=True
        )
    assert any(token.parent_logprob != token.child_logprob for token in found.tokens)
    with pytest.raises(InvalidRequest, match="empty"):
        services.lab.per_token(run.id, " ")
    with pytest.raises(InvalidRequest, match="2,001 characters"):
        services.lab.per_token(run.id, "a" * (MAX_TOKEN_TEXT + 1))
    with pytest.raises(UnknownModel, match="no run"):
        services.lab.per_token("another", "a")


def test_the_archive_holds_what_its_own_lines_load(finished: Finished, tmp_path: Path) -> None:
    services, run = finished
    archive = services.lab.archive(run.id)
    with zipfile.ZipFile(archive) as packed:
        assert packed.testzip() is None
        packed.extractall(tmp_path)
    folder = tmp_path / run.id
    assert json.loads((folder / "report.json").read_bytes())["run"] == run.id
    read_me = (folder / "README.md").read_text()
    assert "Smaller, " in read_me
    code = read_me.partition("```python\n")[2].partition("```")[0]
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env={"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Tell me a story." in done.stdout
    assert services.lab.archive(run.id) == archive
    assert services.lab.snippet(run.id, "model") == code


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.addresses: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [value or "" for name, value in attrs if name in ("href", "src")]

    def handle_data(self, data: str) -> None:
        self.words += data


def test_the_page_stands_alone(finished: Finished) -> None:
    services, run = finished
    page = _Tags()
    text = services.lab.report_html(run.id).read_text(encoding="utf-8")
    page.feed(text)
    assert {"svg", "table", "style"} <= set(page.tags)
    assert not {"script", "img", "link", "iframe"} & set(page.tags)
    assert page.addresses == []
    assert "default-src 'none'" in text
    for words in ("Bits per byte", "int8", "Smaller, ", "n/a"):
        assert words in page.words


def test_what_comes_from_a_model_is_text_on_the_page(finished: Finished) -> None:
    from slm_explorer.lab.report_html import report_page

    _, run = finished
    evil = "<script>alert(1)</script>"
    report = dict(run.report or {}) | {
        "name": evil,
        "recipe": evil,
        "command": evil,
        "training_text": evil,
        "not_measured": [evil],
        "text": evil,
        "machine": {"processor": evil},
        "layers": [{"name": evil, "method": evil, "bits": 4, "reason": evil}],
        "steps": [{"name": evil, "detail": {evil: evil}}],
        "skills": [{"suite": evil, "n": 1}],
        "verdicts": [{"text": evil}, {"text": evil}],
    }
    page = _Tags()
    page.feed(report_page(report, code=evil))
    assert "script" not in page.tags
    assert evil in page.words


def test_earlier_runs_say_how_long_the_next_takes(finished: Finished) -> None:
    services, run = finished
    choices = {choice.name: choice for choice in services.lab.choices(SMALL)}
    assert choices["int8"].seconds_estimate == pytest.approx(run.seconds, rel=0.1)
    assert choices["int4"].seconds_estimate is None
    assert "No run" in choices["int4"].estimate_reason
    size = choices["int8"].bytes_estimate
    report = run.report
    assert report is not None
    assert size is not None
    assert size == pytest.approx(report["bytes_after"], rel=0.1)
    both = services.lab.estimate(SMALL, "drop-layers:2+int8")
    assert both.bytes_estimate is not None
    assert both.bytes_estimate < size


def test_a_compressed_model_can_be_no_parent(finished: Finished) -> None:
    services, run = finished
    assert run.model_id is not None
    choices = {choice.name: choice for choice in services.lab.choices(run.model_id)}
    assert "already" in (choices["int4"].reason_not or "")


def test_a_restart_remembers_and_a_deletion_forgets(finished: Finished, tmp_path: Path) -> None:
    """On a copy of its home, with the store lost: the folder itself is history enough."""
    import shutil

    from slm_explorer.services import build_services
    from slm_explorer.settings import Settings

    services, run = finished
    home = tmp_path / "home"
    shutil.copytree(services.settings.home, home, ignore=shutil.ignore_patterns("*.sqlite3*"))
    again = build_services(Settings(home=home, threads=1))
    try:
        (found,) = again.lab.runs()
        assert (found.id, found.state, found.model_id) == (run.id, "done", run.model_id)
        assert found.layers == run.layers
        again.lab.delete(run.id)
        assert again.lab.runs() == ()
        assert [entry.name for entry in (home / "lab").iterdir()] == [".lock"]
        with pytest.raises(UnknownModel):
            again.chat.resolve(f"lab/{run.id}")
    finally:
        again.close()


@pytest.mark.parametrize("home", [Path("home"), Path("link")])
def test_a_deletion_finds_its_loaded_model_however_the_home_is_named(
    finished: Finished,
    make_services: MakeServices,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    home: Path,
) -> None:
    import shutil
    import threading

    services, run = finished
    shutil.copytree(services.settings.home / "lab", tmp_path / "home" / "lab")
    (tmp_path / "link").symlink_to(tmp_path / "home")
    monkeypatch.chdir(tmp_path)
    copy = make_services(home=home)
    # The proof names a model by its folder, the page by its id.
    names = [f"lab/{run.id}", str(home / "lab" / run.id / "model")]
    for name in names:
        ask = Ask(name, (Message("user", "Hello"),), sampling=Sampling(max_tokens=4))
        assert isinstance(list(copy.chat.stream(ask, threading.Event()))[-1], Done)
    assert len(copy.manager.states()) == len(names)
    copy.lab.delete(run.id)
    assert copy.manager.states() == ()


def test_a_second_app_on_the_home_reads_but_runs_nothing(finished: Finished) -> None:
    from slm_explorer.lab.types import Order
    from slm_explorer.services import build_services

    services, run = finished
    second = build_services(services.settings)
    try:
        assert [each.id for each in second.lab.runs()] == [run.id]
        with pytest.raises(InvalidRequest, match="Another slm-explorer"):
            second.lab.submit(Order(SMALL, "int4"))
    finally:
        second.close()


def test_a_folder_can_be_a_parent(finished: Finished, tmp_path: Path) -> None:
    services, _ = finished
    folder = copy_of(SMALL, tmp_path / "mine")
    assert services.lab.choices(str(folder))[0].reason_not is None


def test_the_page_offers_it_in_chat_and_not_once_it_is_gone(
    finished: Finished, make_services: MakeServices
) -> None:
    import shutil

    from slm_explorer.ui.models import ModelList

    services, run = finished
    assert run.model_id is not None
    for cardless in (True, False):
        choice = ModelList(services, cardless=cardless).choices("chat")[run.model_id]
        assert "int8" in choice.name
    copy = make_services()
    shutil.copytree(services.settings.home / "lab", copy.settings.home / "lab")
    models = ModelList(copy, cardless=True)
    assert run.model_id in models.choices()
    copy.lab.delete(run.id)
    models.refresh()
    assert run.model_id not in models.choices()
