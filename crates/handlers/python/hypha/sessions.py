"""Calls of ours that are not answered yet, and functions that others were handed with a message: what answers come to."""

import uuid

#: Most sessions: the oldest that nobody waits in goes when there is one more.
MOST = 4096


class Session:
    """One call of ours, or one answer that holds functions. Only `target`, `workspace/client`, may speak in it."""

    def __init__(self, sessions, target):
        self.sessions = sessions
        self.id = uuid.uuid4().hex
        self.target = target
        self.kept = {}
        self.answer = None
        self.timer = None
        self.timeout_s = None
        self.what = ""

    def keep(self, name, function):
        self.kept[name] = function
        # Before the message goes out, so that whoever calls it at once finds it.
        self.sessions.held[self.id] = self
        return f"{self.id}.{name}"

    def wait(self, loop, what, timeout_s):
        """What the call will be answered with."""
        self.answer, self.what, self.timeout_s = loop.create_future(), what, timeout_s
        # Somebody who does not look at what a call raised has decided so.
        self.answer.add_done_callback(lambda answer: answer.cancelled() or answer.exception())
        self.sessions.held[self.id] = self
        self.answer.add_done_callback(lambda _: self.end())
        self.beat()
        return self.answer

    def beat(self):
        """The other side works on it: its time begins anew."""
        if self.timer is not None:
            self.timer.cancel()
        if self.timeout_s is not None and self.answer is not None and not self.answer.done():
            self.timer = self.answer.get_loop().call_later(self.timeout_s, self.late)

    def late(self):
        self.settle(TimeoutError(f"Method call timed out: {self.what}"))

    def settle(self, value):
        """Ends the call: with an exception, or with what it is answered."""
        if self.answer is None or self.answer.done():
            return
        if isinstance(value, BaseException):
            self.answer.set_exception(value)
        else:
            self.answer.set_result(value)

    def end(self):
        if self.timer is not None:
            self.timer.cancel()
        self.sessions.held.pop(self.id, None)


class Sessions:
    def __init__(self):
        self.held = {}

    def begin(self, target):
        if len(self.held) >= MOST:
            idle = next((session for session in self.held.values() if session.answer is None), None)
            if idle is None:
                raise RuntimeError(f"{MOST} calls wait for their answers")
            idle.end()
        return Session(self, target)

    def of(self, id_, sender):
        """The session that a message is for, if its sender may speak in it."""
        session = self.held.get(id_)
        if session is None:
            raise KeyError(f"Session not found: {id_}")
        if session.target != sender:
            raise PermissionError("Access denied: the session is another's")
        return session

    def end_with(self, target, why):
        """Whoever was called is gone; `None` for everybody."""
        for session in list(self.held.values()):
            if target is None or session.target == target:
                session.settle(ConnectionError(why))
                session.end()
