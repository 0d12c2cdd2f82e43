"""The Advisor: which model, in which precision, for what somebody needs."""

from __future__ import annotations

import gradio as gr

from slm_explorer.catalog.advice_rules import load_rules
from slm_explorer.catalog.advisor import Wish
from slm_explorer.catalog.devices import THIS_MACHINE
from slm_explorer.errors import SlmError
from slm_explorer.services import Services
from slm_explorer.ui.advisor_view import LANGUAGES, advice_view, wish_fields
from slm_explorer.ui.components import LATEST, sent, view


class AdvisorTab:
    """`html` sends `choose` with a card's id; the page itself goes to its card in Explore."""

    def __init__(self, services: Services) -> None:
        self._services = services
        self._rules = load_rules(services.assets)
        self.html = view(
            "advisor", self._advice(Wish(), THIS_MACHINE), latest=("wish", "choose"),
            elem_id="slm-advisor",
        )  # fmt: skip
        self.html.wish(self._wish, None, self.html, **LATEST)

    def _wish(self, event: gr.EventData) -> dict[str, object]:
        plain = Wish()

        def chosen(name: str, default: str) -> str:
            value = sent(event, name)
            return value if isinstance(value, str) else default

        language = chosen("language", plain.language)
        wish = Wish(
            task=chosen("task", plain.task),
            language=language if language in LANGUAGES else plain.language,
            commercial=chosen("commercial", "no") == "yes",
            deployment=chosen("deployment", plain.deployment),
            priority=chosen("priority", plain.priority),
        )
        return self._advice(wish, chosen("device", THIS_MACHINE))

    def _advice(self, wish: Wish, device: str) -> dict[str, object]:
        fields = wish_fields(self._services.devices, self._rules, wish, device)
        try:
            advice = self._services.advise(wish, device)
        except SlmError as error:
            return advice_view(fields, self._services.catalog, None, str(error))
        return advice_view(fields, self._services.catalog, advice)
