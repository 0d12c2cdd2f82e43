"""A finished run as one zip: the model's folder, its reports, and how to load it."""

from __future__ import annotations

import json
import secrets
import zipfile
from collections.abc import Mapping
from pathlib import Path

from slm_explorer.catalog.checkpoint import inspect_checkpoint
from slm_explorer.compression.recipes import is_compressed
from slm_explorer.errors import StorageError
from slm_explorer.lab.history import MODEL, PAGE, REPORT

# Weights hardly shrink further, and packing them would take minutes.
_STORED = (".safetensors",)

_PACKED = """\
# pip install slm-explorer
from slm_explorer.engines.checkpoint import load_model
from slm_explorer.types import ModelSpec

loaded = load_model(ModelSpec("my model", {folder}), lambda fraction, stage: None)
model, tokenizer = loaded.model, loaded.tokenizer
"""
_PLAIN = """\
# pip install torch transformers
from transformers import {auto}, AutoTokenizer

model = {auto}.from_pretrained({folder}, dtype="auto")
tokenizer = AutoTokenizer.from_pretrained({folder})
"""
_CHAT = """\
messages = [{"role": "user", "content": "Tell me a story."}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
"""
_TEXT = """\
inputs = tokenizer("The small house", return_tensors="pt")
"""
_WRITE = """\
output = model.generate(**inputs, max_new_tokens=40)
print(tokenizer.decode(output[0], skip_special_tokens=True))
"""
_READ = """\
print(model(**inputs)[0].shape)
"""


def loading_code(model: Path, folder: str = MODEL) -> str:
    """The lines of Python that load the checkpoint in `model`, once it lies in `folder`."""
    facts = inspect_checkpoint(model)
    kind = facts.architecture_kind
    auto = {
        "decoder": "AutoModelForCausalLM",
        "encoder-decoder": "AutoModelForSeq2SeqLM",
    }.get(str(kind), "AutoModel")
    packed = is_compressed(facts.config)
    lines = (_PACKED if packed else _PLAIN).format(folder=json.dumps(folder), auto=auto)
    lines += _CHAT if facts.has_chat_template and kind == "decoder" else _TEXT
    return lines + (_READ if auto == "AutoModel" else _WRITE)


def write_archive(folder: Path, run_id: str) -> Path:
    """Pack the run in `folder` into `RUN.zip` inside it; the one that is there is given again.

    Raises StorageError where the disk is full.
    """
    target = folder / f"{run_id}.zip"
    if target.is_file():
        return target
    partial = folder / f".{secrets.token_hex(4)}.zip.partial"
    report = json.loads((folder / REPORT).read_bytes())
    try:
        with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted((folder / MODEL).iterdir()):
                stored = file.suffix in _STORED
                how = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
                archive.write(file, f"{run_id}/{MODEL}/{file.name}", how)
            for name in (REPORT, PAGE):
                archive.write(folder / name, f"{run_id}/{name}")
            archive.writestr(f"{run_id}/README.md", read_me(report, folder / MODEL))
        partial.rename(target)
    except OSError as error:
        raise StorageError(
            f"The archive of {run_id} cannot be written ({error.strerror or error}): free some "
            "space in the home folder."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    return target


def read_me(report: Mapping[str, object], model: Path, folder: str = MODEL) -> str:
    """What it is, what was measured, and how to load it once it lies in `folder`."""
    found = report.get("verdicts")
    verdicts = [each["text"] for each in found] if isinstance(found, list) else []
    lines = "\n".join(f"- {text}" for text in verdicts)
    return (
        f"# {report['name']}, {report['recipe']}\n\n"
        f"Made with SLM Explorer from {report['model']} on {report['date']}. Measured on the "
        f"machine that report.json describes:\n\n{lines}\n\n"
        "Load it:\n\n"
        f"```python\n{loading_code(model, folder)}```\n\n"
        f"To make it again: `{report['command']}`\n\n"
        "The parent's licence holds for it too.\n"
    )
