"""Messages that come in parts, of everybody who sends some: `message_cache` of the service that each end of Hypha's RPC has."""

import time

#: Largest part that we send, and what a frame may be larger than that.
PART = 256 << 10
SLACK = 1 << 10
#: Most bytes and messages of one sender, of all of them, and parts of one message.
MOST_BYTES = 16 << 20
MOST_MESSAGES = 16
MOST_BYTES_OF_ALL = 128 << 20
MOST_PARTS = 256
#: How long one may take.
PATIENCE_S = 120.0


class Parts:
    """By sender and key, so that nobody adds to another's message."""

    def __init__(self, clock=time.monotonic):
        self.clock = clock
        self.messages = {}
        self.bytes = 0

    def create(self, sender, key, overwrite=False):
        self.drop(lambda own, begun: self.clock() - begun > PATIENCE_S)
        if not isinstance(key, str) or len(key) > 256:
            raise ValueError("a key is a text of at most 256 characters")
        if (sender, key) in self.messages:
            if not overwrite:
                raise ValueError("there is a message of this key")
            self.remove(sender, key)
        if sum(own[0] == sender for own in self.messages) >= MOST_MESSAGES:
            raise ValueError("too many messages that are not whole")
        self.messages[sender, key] = (self.clock(), {})

    def put(self, sender, key, index, data):
        parts = self.of(sender, key)
        index = len(parts) if index is None else index
        if not isinstance(data, bytes) or not isinstance(index, int) or not 0 <= index < MOST_PARTS:
            raise ValueError(f"a part is bytes, and there are at most {MOST_PARTS}")
        more = len(data) - len(parts.get(index, b""))
        held = sum(len(part) for own, (_, parts) in self.messages.items() if own[0] == sender for part in parts.values())
        if held + more > MOST_BYTES or self.bytes + more > MOST_BYTES_OF_ALL:
            raise ValueError("messages in parts take too much room")
        parts[index] = data
        self.bytes += more

    def take(self, sender, key):
        parts = self.of(sender, key)
        self.remove(sender, key)
        if sorted(parts) != list(range(len(parts))):
            raise ValueError("a part of the message is missing")
        return b"".join(parts[index] for index in range(len(parts)))

    def remove(self, sender, key):
        parts = self.of(sender, key)
        del self.messages[sender, key]
        self.bytes -= sum(map(len, parts.values()))

    def of(self, sender, key):
        if (sender, key) not in self.messages:
            raise KeyError(f"Message with key {key} does not exist")
        return self.messages[sender, key][1]

    def drop(self, unwanted):
        """Forgets messages by who sends them and when they began."""
        for own, (begun, _) in list(self.messages.items()):
            if unwanted(own[0], begun):
                self.remove(*own)
