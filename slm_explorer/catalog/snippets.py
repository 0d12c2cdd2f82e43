"""The few lines of Python that use a model without this app, with plain transformers."""

from __future__ import annotations

import json

from slm_explorer.catalog.cards import Card
from slm_explorer.tasks import Task

_CHAT = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({model})
model = AutoModelForCausalLM.from_pretrained({model}, dtype="auto")
messages = [{{"role": "user", "content": "Why is the sky blue?"}}]
inputs = tokenizer.apply_chat_template(
    messages, add_generation_prompt=True, return_dict=True, return_tensors="pt"
)
output = model.generate(**inputs, max_new_tokens=100)
answer = output[0, inputs["input_ids"].shape[1] :]
print(tokenizer.decode(answer, skip_special_tokens=True))
"""
_COMPLETE = """\
from transformers import AutoModelForCausalLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({model})
model = AutoModelForCausalLM.from_pretrained({model}, dtype="auto")
# A base model: it goes on with a text and follows no instructions.
inputs = tokenizer("The capital of France is", return_tensors="pt")
output = model.generate(inputs["input_ids"], max_new_tokens=20)
print(tokenizer.decode(output[0], skip_special_tokens=True))
"""
_TEXT_TO_TEXT = """\
from transformers import AutoModelForSeq2SeqLM, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({model})
model = AutoModelForSeq2SeqLM.from_pretrained({model}, dtype="auto")
inputs = tokenizer({prompt}, return_tensors="pt")
output = model.generate(inputs["input_ids"], max_new_tokens=60)
print(tokenizer.decode(output[0], skip_special_tokens=True))
"""
_FILL_MASK = """\
from transformers import pipeline

fill = pipeline("fill-mask", model={model})
text = f"Paris is the capital of {{fill.tokenizer.mask_token}}."
for guess in fill(text):
    print(f"{{guess['score']:.3f}}  {{guess['token_str']}}")
"""
_CLASSIFY = """\
from transformers import pipeline

classify = pipeline("text-classification", model={model}, top_k=None)
for label in classify(["I did not expect to like it, but I did."])[0]:
    print(f"{{label['score']:.3f}}  {{label['label']}}")
"""
_SIMILARITY = """\
import torch
from transformers import AutoModel, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({model})
model = AutoModel.from_pretrained({model})
vectors = []
for text in ("The cat sleeps.", "A cat is asleep.", "Stocks fell today."):
    inputs = tokenizer(text, return_tensors="pt")
    inputs.pop("token_type_ids", None)  # a single text; not every model knows them
    with torch.no_grad():
        vectors.append(model(**inputs).last_hidden_state.mean(1)[0])
vectors = torch.nn.functional.normalize(torch.stack(vectors), dim=-1)
print(vectors @ vectors.T)  # cosine similarities
"""
_ANSWER = """\
import torch
from transformers import AutoModelForQuestionAnswering, AutoTokenizer

tokenizer = AutoTokenizer.from_pretrained({model})
model = AutoModelForQuestionAnswering.from_pretrained({model})
question, context = "Where does the owl live?", "The fox has a den. The owl lives in a mill."
inputs = tokenizer(question, context, return_tensors="pt")
with torch.no_grad():
    output = model(**inputs)
first, last = output.start_logits.argmax(), output.end_logits.argmax()
print(tokenizer.decode(inputs["input_ids"][0, first : last + 1]))
"""
_OF_TASK: dict[Task, str] = {
    "text-to-text": _TEXT_TO_TEXT,
    "fill-mask": _FILL_MASK,
    "text-classification": _CLASSIFY,
    "sentence-similarity": _SIMILARITY,
    "question-answering": _ANSWER,
}


def snippet(card: Card, task: Task, model: str | None = None) -> str:
    """Python that does `task` with the card's model, or with the folder or Hub id `model`.

    Runs as it is where transformers and torch are installed and the model can be had.
    """
    template = _OF_TASK.get(task) or (_CHAT if card.chat_template else _COMPLETE)
    # T5 was trained on prefixed tasks, its instruction-tuned children on plain requests, and the
    # shipped one on prefixes of its own.
    prompt = (
        "Translate to German: The house is small."
        if card.instruction_tuned
        else "translate English to German: The house is small."
    )
    if card.shipped:
        prompt = "in words: 4217"
    shipped = f"assets/sprouts/{card.id}"
    name = model or (shipped if card.shipped else card.hub_id) or card.id
    return template.format(model=json.dumps(name), prompt=json.dumps(prompt))
