"""The class as the page and the command line use it: who may do what, and what models answer.

A class lives in memory and ends with the app. The teacher's key opens what is the teacher's; a
student's token, which only their browser has, opens their own place and no other.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping

from slm_explorer.chat import Ask, ChatService
from slm_explorer.classroom.answers import (
    ANSWER_TOKENS,
    advance_turn,
    as_students_see,
    conversation,
    ended_turn,
    watch,
)
from slm_explorer.classroom.codes import new_key, same
from slm_explorer.classroom.limits import WrongTries
from slm_explorer.classroom.room import MAX_TURNS, Room, Student, checked
from slm_explorer.classroom.seats import Seats
from slm_explorer.classroom.types import ModelAnswer, Seat, StudentState, TeacherState, Turn
from slm_explorer.errors import InvalidRequest
from slm_explorer.runtime.manager import ModelManager
from slm_explorer.types import Done, Event, Failed, GenerationStats, Sampling

MAX_QUESTION_CHARS = 2000
NO_CLASS = "There is no class now: ask your teacher."
NOT_THE_KEY = "That is not the teacher's key of this class."
BUSY = (
    "A class is running, and its questions go through the Class tab: join it there. "
    "The teacher's own page may use everything."
)


class ClassService:
    """One class at a time, from any thread. InvalidRequest: what a caller may not, or did wrong."""

    def __init__(
        self,
        chat: ChatService,
        manager: ModelManager,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._chat = chat
        self._manager = manager
        self._clock = clock
        self._lock = threading.RLock()
        self._key = ""
        self._room: Room | None = None
        self._seats = Seats(chat, manager)
        self._watching = threading.Event()
        self._teachers: set[str] = set()
        self._wrong = WrongTries()

    # The class itself.

    @property
    def running(self) -> bool:
        return self._room is not None

    def open(self) -> str:
        """Begin a class; returns the teacher's key. A second one at a time is refused."""
        with self._lock:
            if self._room is not None:
                raise InvalidRequest(
                    "A class is running already: its teacher's key opens it, here too."
                )
            self._key = new_key()
            self._room = Room(self._clock)
            return self._key

    def close(self, key: object) -> None:
        """End the class: everything of it is forgotten, and its models may be unloaded."""
        with self._lock:
            self._teachers_room(key).stop_answers()
            self._forget()

    def renew(self, key: object) -> None:
        """The next class: all students are out, with a new code; key and models stay."""
        with self._lock:
            self._teachers_room(key).stop_answers()
            self._watching.set()
            self._room = Room(self._clock)

    def shut_down(self) -> None:
        with self._lock:
            if self._room is not None:
                self._room.stop_answers()
            self._forget()

    def _forget(self) -> None:
        self._watching.set()
        self._room = None
        self._key = ""
        self._teachers.clear()
        self._wrong = WrongTries()
        self._seats.release()
        self._seats = Seats(self._chat, self._manager)

    def admit(self, session: str) -> None:
        """Refuse a browser session the rest of the app while a class runs, unless its page has
        shown the teacher's key: models and cores are the class's.
        """
        with self._lock:
            if self._room is not None and session not in self._teachers:
                raise InvalidRequest(BUSY)

    # What the teacher may.

    def enter(self, key: object, session: str) -> None:
        """Check a key, and let that browser session use the rest of the app too. Tries are not
        counted, or a student behind the same address could lock the teacher out.
        """
        with self._lock:
            self._teachers_room(key)
            self._teachers.add(session)

    def allow(self, key: object, models: Mapping[str, str]) -> None:
        """What students may ask: names by id. They are loaded at once, and held."""
        with self._lock:
            self._teachers_room(key)
            self._seats.allow(models)

    def set_chat(self, key: object, on: bool) -> None:
        """May students chat freely? Off also stops what is being answered."""
        with self._lock:
            room = self._teachers_room(key)
            room.chat_open = on
            if not on:
                room.stop_answers()

    def push(
        self, key: object, kind: object, text: object, choices: object = (), vote: bool = False
    ) -> int:
        """Send something to every screen; its number. `choices` for a question, `vote` to hide
        the names of a "watch" and let the class vote at once.
        """
        with self._lock:
            room = self._teachers_room(key)
            push = room.push(kind, text, choices, self._seats.models())
            self._watching.set()
            self._watching = threading.Event()
            if push.kind == "watch":
                if vote and len(push.answers) > 1:
                    push = room.hide_names(push)

                def show(answer: ModelAnswer) -> None:
                    with self._lock:
                        room.update_answer(push.number, answer)

                work = (self._chat, push, self._watching, show)
                threading.Thread(target=watch, args=work, daemon=True, name="class watch").start()
            return push.number

    def change(self, key: object, number: object, setting: object, on: object) -> None:
        """Switch "voting", "revealed" or "open" of a push."""
        with self._lock:
            self._teachers_room(key).change(number, setting, on)

    def remove(self, key: object, student: object) -> None:
        with self._lock:
            self._teachers_room(key).remove(student)

    def drop_reply(self, key: object, number: object, student: object) -> None:
        with self._lock:
            self._teachers_room(key).drop_reply(number, student)

    def teacher_state(self, key: object) -> TeacherState:
        with self._lock:
            room = self._teachers_room(key)
            return TeacherState(
                room.code, room.chat_open, self._seats.all(), room.rows(), room.results()
            )

    def votes(self, key: object) -> tuple[tuple[int, str, str], ...]:
        """(push, student, letter) of every vote: for the export."""
        with self._lock:
            return self._teachers_room(key).votes()

    # What a student may.

    def join(self, code: object, name: object, address: str) -> str:
        """A place in the class; returns its token, for this browser only."""
        with self._lock:
            room = self._open_room()
            if wait := self._wrong.wait_s(address, self._clock()):
                raise InvalidRequest(f"Too many wrong codes: wait {wait:.0f} s and look again.")
            if not same(code, room.code):
                self._wrong.note(address, self._clock())
                raise InvalidRequest("That is not the code of this class: look at the screen.")
            return room.join(name).token

    def leave(self, token: object) -> None:
        with self._lock:
            room = self._open_room()
            room.remove(room.student(token).id)

    def knows(self, token: object) -> bool:
        with self._lock:
            return self._room is not None and self._room.find(token) is not None

    def student_state(self, token: object) -> StudentState:
        """What this student sees; it also notes that they look."""
        with self._lock:
            room = self._open_room()
            student = room.student(token)
            student.seen_at = self._clock()
            push = room.current()
            reply, vote = room.own(student)
            votes = None
            if push is not None and push.revealed and push.answers:
                votes = room.results()[0].votes
            seats, shown = self._seats.all(), as_students_see(push) if push else None
            return StudentState(student.name, room.chat_open, seats, shown, reply, vote, votes)

    def reply(self, token: object, number: object, text: object, choice: object = None) -> None:
        with self._lock:
            room = self._open_room()
            room.reply(room.student(token, click=True), number, text, choice)

    def vote(self, token: object, number: object, letter: object) -> None:
        with self._lock:
            room = self._open_room()
            room.vote(room.student(token, click=True), number, letter)

    def turns(self, token: object) -> tuple[Turn, ...]:
        with self._lock:
            return tuple(self._open_room().student(token).turns)

    def clear(self, token: object) -> None:
        with self._lock:
            student = self._open_room().student(token, click=True)
            if student.cancel is not None:
                raise InvalidRequest("Your question is still being answered: stop it first.")
            student.turns.clear()

    def stop(self, token: object) -> None:
        """Stop the student's own answer; nothing to stop is fine."""
        with self._lock:
            cancel = self._open_room().student(token).cancel
        if cancel is not None:
            cancel.set()

    def ask(
        self, token: object, model: object, text: object, push: object, cancel: threading.Event
    ) -> Iterator[Event]:
        """Answer a student's question, and keep it in their chat. Blocking; exactly one Done or
        Failed ends it; setting `cancel`, or closing it, stops the answer within one token.
        """
        try:
            student, ask, seat = self._begin(token, model, text, push, cancel)
        except InvalidRequest as error:
            yield Failed(str(error), "InvalidRequest")
            return
        last: Event | None = None
        try:
            for event in self._chat.stream(ask, cancel):
                last = event
                self._advance(student, seat, event)
                yield event
        finally:
            with self._lock:
                # What has ended was let go in _advance; the student may have asked again since.
                if not isinstance(last, Done | Failed):
                    student.cancel = None
                    if student.turns:
                        student.turns[-1] = ended_turn(student.turns[-1], "It was stopped.")

    def _begin(
        self, token: object, model: object, text: object, push: object, cancel: threading.Event
    ) -> tuple[Student, Ask, Seat]:
        with self._lock:
            room = self._open_room()
            student = room.student(token)
            if not room.chat_open:
                raise InvalidRequest("The teacher has closed the chat for now.")
            words = checked("Your question", text, MAX_QUESTION_CHARS)
            seat = self._seats.ready(model)
            if student.cancel is not None:
                raise InvalidRequest("Your last question is still being answered: wait for it.")
            if wait := student.asks.take(self._clock()):
                raise InvalidRequest(f"You ask very quickly: wait {wait:.0f} s.")
            room.note_asked(student, push)
            messages = conversation(student.turns, words)
            student.turns.append(Turn(words, seat.model, seat.name))
            del student.turns[:-MAX_TURNS]
            student.cancel = cancel
            ask = Ask(
                model=seat.model,
                messages=messages,
                sampling=Sampling(max_tokens=ANSWER_TOKENS),
                visitor=student.visitor,
            )
            return student, ask, seat

    def _advance(self, student: Student, seat: Seat, event: Event) -> None:
        with self._lock:
            if student.turns:
                student.turns[-1] = advance_turn(student.turns[-1], event)
            if isinstance(event, Done | Failed):
                student.cancel = None
            if isinstance(event, Done) and isinstance(event.stats, GenerationStats):
                queue_s = event.stats.queue_s
                # Who found the model idle has not waited, and says nothing of those who must.
                if seat.busy and queue_s is not None:
                    self._seats.note_wait(seat.model, seat.waiting, queue_s)

    def _open_room(self) -> Room:
        if self._room is None:
            raise InvalidRequest(NO_CLASS)
        return self._room

    def _teachers_room(self, key: object) -> Room:
        room = self._open_room()
        if not same(key, self._key):
            raise InvalidRequest(NOT_THE_KEY)
        return room
