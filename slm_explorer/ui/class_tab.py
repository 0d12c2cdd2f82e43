"""The class: the teacher's screen and the students'. A browser keeps who it is, and says so with
every event; the server keeps no screen's state, so that a reload loses nothing.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, suppress

import gradio as gr

from slm_explorer.classroom.codes import join_link, reachable_address
from slm_explorer.classroom.export import class_csv
from slm_explorer.errors import InvalidRequest, SlmError
from slm_explorer.services import Services
from slm_explorer.types import Event, Failed
from slm_explorer.ui.class_view import (
    View,
    door_view,
    qr_rows,
    student_view,
    talk_view,
    teacher_view,
    versioned,
)
from slm_explorer.ui.components import EVERY, QUIET, sent, view
from slm_explorer.ui.meters_hours import csv_file
from slm_explorer.ui.meters_tab import Strip
from slm_explorer.ui.models import ModelList
from slm_explorer.ui.runs import Runs
from slm_explorer.ui.stream import coalesce

# Every student has one answer at a time, so this many are answered or wait at once; others wait
# for a place of these.
CONCURRENT_ANSWERS = 64
_TEACHERS = ("end", "renew", "allow", "chat", "push", "change", "remove", "drop", "export")


class ClassTab:
    """`look` is a screen's question for news, `act` everything that somebody does, with what in
    `do`; `ask` is a student's question, answered in the view below.
    """

    def __init__(self, services: Services, models: ModelList, strip: Strip) -> None:
        self._services = services
        self._classroom = services.classroom
        self._models = models
        self._strip = strip
        settings = services.settings
        # Whoever sits at this machine may begin a class; elsewhere the command line does.
        self._trusted = settings.trusted
        self._reachable = reachable_address(settings.host, settings.port)
        self._qr: tuple[str, list[str]] = ("", [])
        self._runs = Runs()
        self.room = view("classroom", {}, sends=("look", "act", "ask"), elem_id="slm-classroom")
        self.talk = view(
            "classtalk", talk_view(()), sends=("halt", "clear"), elem_id="slm-classtalk"
        )
        self.room.look(
            self._look, None, [self.room, self.talk, strip.html],
            **QUIET,
        )  # fmt: skip
        self.room.act(self._act, None, [self.room, self.talk], **EVERY)
        self.room.ask(
            self._ask, None, self.talk, show_progress="hidden", api_visibility="private",
            concurrency_limit=CONCURRENT_ANSWERS,
        )  # fmt: skip
        self.talk.halt(self._halt, None, None, **EVERY)
        self.talk.clear(self._clear, None, self.talk, **EVERY)

    def _look(self, request: gr.Request, event: gr.EventData) -> tuple[object, object, object]:
        """News for whoever the browser says it is; nothing where the screen is up to date."""
        now = self._screen(request, event)
        if now["version"] == sent(event, "seen"):
            room: object = gr.skip()
        else:
            room = now
        first = sent(event, "seen") == "" and now["screen"] == "student"
        talk = talk_view(self._classroom.turns(sent(event, "token"))) if first else gr.skip()
        strip = self._strip.read() if now["screen"] != "student" else gr.skip()
        return room, talk, strip

    def _act(self, request: gr.Request, event: gr.EventData) -> tuple[object, object]:
        """Do it, and show the screen after it. A refusal is said on it."""
        do, more = sent(event, "do"), {}
        try:
            if do in _TEACHERS:
                more = self._teach(str(do), event)
            elif do in ("start", "enter", "join"):
                return self._arrive(str(do), request, event)
            elif do == "leave":
                self._classroom.leave(sent(event, "token"))
                return {**self._screen(request, event), "notice": ""}, talk_view(())
            elif do == "reply":
                self._classroom.reply(
                    sent(event, "token"), sent(event, "number"), sent(event, "text"),
                    sent(event, "choice"),
                )  # fmt: skip
            elif do == "vote":
                self._classroom.vote(
                    sent(event, "token"), sent(event, "number"), sent(event, "letter")
                )
            more["notice"] = ""
        except SlmError as error:
            more = {"notice": str(error)}
        return {**self._screen(request, event), **more}, gr.skip()

    def _arrive(self, do: str, request: gr.Request, event: gr.EventData) -> tuple[object, object]:
        """Become the teacher or a student; the browser is told its secret, this once."""
        session, address = request.session_hash or "", _address(request)
        if do == "join":
            token = self._classroom.join(sent(event, "code"), sent(event, "name"), address)
            now = versioned(student_view(self._classroom.student_state(token)))
            return {**now, "token": token, "notice": ""}, talk_view(())
        key = sent(event, "typed")
        if do == "start":
            if not self._trusted:
                raise InvalidRequest("Only the host of this page may begin a class.")
            key = self._classroom.open()
        self._classroom.enter(key, session)
        return {**self._teacher(key, event), "key": key, "notice": ""}, talk_view(())

    def _teach(self, do: str, event: gr.EventData) -> View:
        """One action of the teacher; the service checks the key."""
        room, key = self._classroom, sent(event, "key")
        if do == "end":
            room.close(key)
        elif do == "renew":
            room.renew(key)
        elif do == "allow":
            wanted = sent(event, "models")
            offered = self._offered()
            ids = wanted if isinstance(wanted, list) else []
            room.allow(key, {model: offered[model] for model in ids if model in offered})
        elif do == "chat":
            room.set_chat(key, sent(event, "on") is True)
        elif do == "push":
            room.push(
                key, sent(event, "kind"), sent(event, "text"), sent(event, "choices"),
                sent(event, "vote") is True,
            )  # fmt: skip
        elif do == "change":
            room.change(key, sent(event, "number"), sent(event, "setting"), sent(event, "on"))
        elif do == "remove":
            room.remove(key, sent(event, "student"))
        elif do == "drop":
            room.drop_reply(key, sent(event, "number"), sent(event, "student"))
        else:
            text = class_csv(room.teacher_state(key).results, room.votes(key))
            return {"file": csv_file("class", text, time.time())}
        return {}

    def _screen(self, request: gr.Request, event: gr.EventData) -> View:
        """The teacher's screen for the key, a student's for a token, else the door."""
        key, token = sent(event, "key"), sent(event, "token")
        try:
            if key:
                self._classroom.enter(key, request.session_hash or "")
                return self._teacher(key, event)
            if token:
                return versioned(student_view(self._classroom.student_state(token)))
        except InvalidRequest:
            # The class has ended, or they were sent out: the browser forgets what it held.
            pass
        door = door_view(
            running=self._classroom.running,
            may_start=self._trusted,
            here_only=self._reachable is None,
        )
        return {**versioned(door), "refused": key or token or ""}

    def _teacher(self, key: object, event: gr.EventData) -> View:
        state = self._classroom.teacher_state(key)
        link = join_link(state.code, sent(event, "origin"), self._reachable)
        if link is not None and self._qr[0] != link:
            self._qr = (link, qr_rows(link))
        return versioned(teacher_view(state, self._offered(), link, self._qr[1] if link else []))

    def _offered(self) -> dict[str, str]:
        """Every model that can chat here, names by id."""
        self._models.refresh()
        return {choice.id: choice.name for choice in self._models.choices("chat").values()}

    # A student's chat.

    def closed(self, session: str) -> None:
        """A browser tab has gone: its answer stops, also where it waits and nothing is sent."""
        self._runs.stop(session)

    async def _ask(self, request: gr.Request, event: gr.EventData) -> AsyncIterator[View]:
        token, session, notice = sent(event, "token"), request.session_hash or "", ""
        try:
            run = self._runs.start(session, (0,))
        except InvalidRequest as error:
            yield self._talk(token, str(error))
            return
        cancel = run.cancels[0]

        def events() -> Iterator[Event]:
            return self._classroom.ask(
                token, sent(event, "model"), sent(event, "text"), sent(event, "push"), cancel
            )

        try:
            async with aclosing(coalesce({0: events}, together=True)) as batches:
                async for batch in batches:
                    for _, each in batch:
                        if isinstance(each, Failed) and each.kind == "InvalidRequest":
                            notice = each.error
                    yield self._talk(token, notice)
            yield self._talk(token, notice)
        finally:
            self._runs.finish(session, run)

    def _talk(self, token: object, notice: str) -> View:
        try:
            return talk_view(self._classroom.turns(token), notice)
        except InvalidRequest as error:
            return talk_view((), notice or str(error))

    def _halt(self, event: gr.EventData) -> None:
        # Where the class has ended, its answers have too.
        with suppress(InvalidRequest):
            self._classroom.stop(sent(event, "token"))

    def _clear(self, event: gr.EventData) -> View:
        token = sent(event, "token")
        try:
            self._classroom.clear(token)
        except InvalidRequest as error:
            return self._talk(token, str(error))
        return talk_view(())


def _address(request: gr.Request) -> str:
    return request.client.host if request.client else ""
