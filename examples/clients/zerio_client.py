"""A zerio client for Python 3.8 and later, standard library only: docs/protocol.md as a program.

As a program it sends each line of its input as a message, prints one message for each, and connects again when the connection ends:

    python3 zerio_client.py PORT PEER_ID [classic]
    python3 zerio_client.py vectors test/wire/vectors.json
"""

import json
import random
import socket
import struct
import sys
import time

CONTROL = 0x80000000
HELLO, WELCOME, REJECT, PING, PONG, CLOSE = range(1, 7)
MAGIC, VERSION = 0x4F49525A, 1
# magic, version, flags, bytes of the id, longest message, bytes of the credential, bytes of the extensions
GREETING = struct.Struct("<IBBHIHH")
SESSION = 1  # The extension that this client never asks for.
MESSAGE_MAX, CONTROL_MAX = 0xFFFFFF, 1024
# Ends that the next attempt may not meet: end of stream, going away, no verdict in time, the id is taken, the server is full, too many
# handshakes, silence.
PASSING = (0, 1001, 1010, 1014, 1016, 1017, 1019, 1023)


class Closed(Exception):
    """The connection is over: `code` and `reason` of the server's REJECT or CLOSE, 0 for a bare end of stream, 2004 for no WELCOME."""

    def __init__(self, code, reason):
        super().__init__(f"{reason or 'the server closed the connection'} ({code})")
        self.code, self.reason = code, reason


class Violation(Closed):
    """The server broke the protocol. `code` is the one of this client's CLOSE."""


class ZerioClient:
    """One connection. Use it from one thread; a program that is silent for long must call receive(), which answers heartbeats."""

    def __init__(self, host, port, peer_id, classic=False, credential=b"", max_message_length=65536):
        self.host, self.port, self.peer_id, self.classic = host, port, peer_id, classic
        self.credential, self.max_message_length = credential, max_message_length
        self.server_id, self.server_max_message_length, self.pause = "", MESSAGE_MAX, 0.05
        self.connect()

    def connect(self):
        self.stream = socket.create_connection((self.host, self.port), 5)
        try:
            self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.classic:
                self._write(0, self.peer_id.encode("ascii"))
            else:
                self.stream.sendall(hello(self.peer_id, self.credential, self.max_message_length))
            self._take_answer()
            self.stream.settimeout(None)
        except Exception:
            self.stream.close()
            raise

    def reconnect(self, patience=30.0):
        """Connects again after a pause, which is longer each time, up to 2 s, until a message comes. Raises an end that lasts at once,
        and the last failure when `patience` is over."""
        self.stream.close()
        until = time.monotonic() + patience
        while True:
            time.sleep(self.pause * random.uniform(0.5, 1))
            self.pause = min(2.0, 2 * self.pause)
            try:
                return self.connect()
            except (Closed, OSError) as error:
                if not is_passing(error) or time.monotonic() > until:
                    raise

    def send(self, message, channel=0):
        if not 0 <= channel <= (0 if self.classic else 127):
            raise ValueError(f"there is no channel {channel}")
        if len(message) > self.server_max_message_length:
            raise ValueError(f"the server accepts {self.server_max_message_length} bytes, and the message has {len(message)}")
        self._write(channel << 24, message)

    def receive(self):
        """The next message as (channel, bytes). Answers heartbeats on the way; raises Closed at the end."""
        try:
            message = self._next()
        except Violation as violation:
            self.close(violation.code)
            raise
        except Closed:
            self.stream.close()
            raise
        self.pause = 0.05
        return message

    def close(self, code=1000, reason=""):
        try:
            self.stream.settimeout(5)
            if not self.classic:
                self._write(CONTROL | CLOSE << 24, struct.pack("<H", code) + reason.encode("utf-8"))
            self.stream.shutdown(socket.SHUT_WR)
            while self.stream.recv(65536):  # Closing with unread bytes would reset the connection.
                pass
        except OSError:
            pass  # The server has gone already.
        finally:
            self.stream.close()

    def _take_answer(self):
        """Reads the answer to the first frame. Nothing is sent to a server whose answer is wrong."""
        try:
            header, payload = self._read()
            if self.classic:
                if (header, payload) != (0, self.peer_id.encode("ascii")):
                    raise Violation(1002, "the answer is another id")
            elif header == CONTROL | REJECT << 24:
                raise closed_by(payload)
            elif header != CONTROL | WELCOME << 24:
                raise Violation(1002, "the answer is no WELCOME")
            else:
                self.server_id, self.server_max_message_length = read_welcome(payload)
        except Violation as violation:
            raise Closed(2004, f"this is no zerio server: {violation.reason}") from None

    def _next(self):
        while True:
            header, payload = self._read()
            if self.classic and header:
                raise Violation(1002 if header & CONTROL else 1003, "a classic frame has neither a channel nor a control bit")
            if not header & CONTROL:
                return header >> 24, payload
            opcode = header >> 24 & 0x7F
            if opcode == PING and len(payload) == 8:
                self._write(CONTROL | PONG << 24, payload)
            elif opcode == CLOSE:
                raise closed_by(payload)
            elif opcode != PONG or len(payload) != 8:
                raise Violation(1002, "a control frame that is unknown or malformed")

    def _write(self, high_bits, payload):
        self.stream.sendall(frame(high_bits, payload))

    def _read(self):
        return read_frame(self._read_exactly, self.max_message_length)

    def _read_exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.stream.recv(size - len(data))
            if not piece:
                raise Closed(0, "")
            data += piece
        return data


# A frame is a header, whose low 24 bits are the length of the payload, and the payload.
def frame(high_bits, payload):
    if len(payload) > (CONTROL_MAX if high_bits & CONTROL else MESSAGE_MAX):
        raise ValueError(f"{len(payload)} bytes are too long for a frame")
    return struct.pack("<I", high_bits | len(payload)) + payload


def read_frame(read_exactly, max_message_length):
    """The next frame as (header without its length, payload)."""
    (header,) = struct.unpack("<I", read_exactly(4))
    length = header & 0xFFFFFF
    if length > (CONTROL_MAX if header & CONTROL else max_message_length):
        raise Violation(1002 if header & CONTROL else 1003, "the server announced too long a frame")
    return header & 0xFF000000, read_exactly(length)


def hello(peer_id, credential, max_message_length):
    name = peer_id.encode("utf-8")
    greeting = GREETING.pack(MAGIC, VERSION, 0, len(name), max_message_length, len(credential), 0)
    return frame(CONTROL | HELLO << 24, greeting + name + credential)


def read_welcome(payload):
    """The server's id, and the longest message that it accepts."""
    if len(payload) < GREETING.size:
        raise Violation(1002, "too short a WELCOME")
    magic, version, flags, id_bytes, longest, credential_bytes, extensions_bytes = GREETING.unpack_from(payload)
    if (magic, version, flags) != (MAGIC, VERSION, 0) or longest > MESSAGE_MAX:
        raise Violation(1002, "a WELCOME of another protocol")
    if len(payload) != GREETING.size + id_bytes + credential_bytes + extensions_bytes:
        raise Violation(1002, "a WELCOME whose lengths do not add up")
    if not 1 <= id_bytes <= 255 or credential_bytes > 512 or extensions_bytes > 512:
        raise Violation(1002, "a WELCOME with too long a field, or without an id")
    check_extensions(payload[len(payload) - extensions_bytes :])
    server_id = text(payload[GREETING.size : GREETING.size + id_bytes])
    if any(character < " " or "\x7f" <= character <= "\x9f" for character in server_id):
        raise Violation(1002, "a server id with a control character")
    return server_id, longest


def check_extensions(data):
    types = {SESSION}
    while data:
        kind, size = struct.unpack_from("<HH", data) if len(data) >= 4 else (SESSION, 0)
        if kind in types or len(data) < 4 + size:
            raise Violation(1002, "an extension that is cut, there twice, or not asked for")
        types.add(kind)
        data = data[4 + size :]


def closed_by(payload):
    """What the server's REJECT or CLOSE says."""
    if not 2 <= len(payload) <= 258:
        return Violation(1002, "a farewell of a wrong length")
    (code,) = struct.unpack_from("<H", payload)
    if 2000 <= code <= 2999:
        return Violation(1002, f"a farewell with the code {code}, which must not be sent")
    return Closed(code, text(payload[2:]))


def text(data):
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise Violation(1002, "a text that is not UTF-8") from None


def is_passing(error):
    return isinstance(error, OSError) or error.code in PASSING


class Replay(ZerioClient):
    """A client whose server is a string of bytes."""

    def __init__(self, data):
        self.data, self.classic, self.max_message_length = data, False, 65536

    def _read_exactly(self, size):
        data, self.data = self.data[:size], self.data[size:]
        return data


def end_of(action, *arguments):
    """The code with which the connection ends, or 0 if it goes on."""
    try:
        action(*arguments)
    except Closed as closed:
        return closed.code
    return 0


def agrees(vector):
    data = bytes.fromhex(vector["bytes"])
    replay = Replay(data)
    if "high" in vector:
        high, payload = vector["high"], bytes.fromhex(vector["payload"])
        read = replay._read() if high & CONTROL else replay._next()
        return frame(high, payload) == data and read == (high if high & CONTROL else high >> 24, payload)
    if "id" in vector:
        return hello(vector["id"], vector["credential"].encode(), vector["longest"]) == data
    if "start" in vector:
        return end_of(replay._take_answer) == vector["start"]
    if "send" in vector:
        replay._take_answer()
        try:
            replay.send(bytes(vector["send"]), vector["channel"])
        except ValueError:
            return True
        return False
    return end_of(replay._next) == vector["code"]


def check_vectors(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    for vector in vectors:
        if not agrees(vector):
            sys.exit(f"the client disagrees with the vector: {vector['name']}")
    print(f"{len(vectors)} vectors agree")


def ask(client, message):
    while True:
        try:
            client.send(message)
            return client.receive()[1]
        except (Closed, OSError) as error:
            if not is_passing(error):
                raise
            # The answer did not come, so the message may be lost: it is sent again.
            client.reconnect()


def converse(client, lines):
    for line in lines:
        print(ask(client, line.rstrip("\n").encode("utf-8")).decode("utf-8"), flush=True)
    client.close()


if __name__ == "__main__":
    if sys.argv[1] == "vectors":
        check_vectors(sys.argv[2])
    else:
        try:
            converse(ZerioClient("localhost", int(sys.argv[1]), sys.argv[2], classic="classic" in sys.argv[3:]), sys.stdin)
        except (Closed, OSError, ValueError) as error:
            sys.exit(str(error))
