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
# Refusals that the next attempt may not meet: going away, the id is taken, the server is full, too many handshakes.
PASSING = (0, 1001, 1014, 1016, 1017)


class Closed(Exception):
    """The server ended the connection: `code` and `reason` of its REJECT or CLOSE, or 0 for a bare end of stream."""

    def __init__(self, code, reason):
        super().__init__(f"{reason or 'the server closed the connection'} ({code})")
        self.code, self.reason = code, reason


class ZerioClient:
    """One connection. Use it from one thread; a program that is silent for long must call receive(), which answers heartbeats."""

    def __init__(self, host, port, peer_id, classic=False, credential=b"", max_message_length=65536):
        self.host, self.port, self.peer_id, self.classic = host, port, peer_id, classic
        self.credential, self.max_message_length, self.server_id = credential, max_message_length, ""
        self.connect()

    def connect(self):
        self.stream = socket.create_connection((self.host, self.port), 5)
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self.classic:
            name = self.peer_id.encode("ascii")
            self._write(0, name)
            if self._read() != (0, name):
                raise Closed(1002, "this is no zerio server")
        else:
            self.stream.sendall(hello(self.peer_id, self.credential, self.max_message_length))
            header, payload = self._read()
            if header == CONTROL | REJECT << 24:
                raise closed_by(payload)
            if header != CONTROL | WELCOME << 24:
                raise Closed(1002, "this is no zerio server")
            _, _, _, id_bytes, self.server_max_message_length, _, _ = GREETING.unpack_from(payload)
            self.server_id = payload[GREETING.size : GREETING.size + id_bytes].decode("utf-8")
        self.stream.settimeout(None)

    def reconnect(self, patience=30.0):
        """Connects again, after 50 ms, then after twice as long, up to 2 s; raises a lasting refusal, and the last failure at the end."""
        self.stream.close()
        until, pause = time.monotonic() + patience, 0.05
        while True:
            time.sleep(pause * random.uniform(0.5, 1))
            try:
                return self.connect()
            except (Closed, OSError) as error:
                self.stream.close()
                if isinstance(error, Closed) and error.code not in PASSING or time.monotonic() > until:
                    raise
            pause = min(2.0, 2 * pause)

    def send(self, message, channel=0):
        self._write(channel << 24, message)

    def receive(self):
        """The next message as (channel, bytes). Answers heartbeats on the way; raises Closed at the end."""
        while True:
            header, payload = self._read()
            if not header & CONTROL:
                return header >> 24, payload
            opcode = header >> 24 & 0x7F
            if opcode == PING and len(payload) == 8:
                self._write(CONTROL | PONG << 24, payload)
            elif opcode == CLOSE:
                raise closed_by(payload)
            elif opcode != PONG or len(payload) != 8:
                raise Closed(1002, "unknown control frame")

    def close(self, code=1000, reason=""):
        if not self.classic:
            self._write(CONTROL | CLOSE << 24, struct.pack("<H", code) + reason.encode("utf-8"))
        self.stream.shutdown(socket.SHUT_WR)
        while self.stream.recv(65536):  # Closing with unread bytes would reset the connection.
            pass
        self.stream.close()

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
    return struct.pack("<I", high_bits | len(payload)) + payload


def read_frame(read_exactly, max_message_length):
    """The next frame as (header without its length, payload)."""
    (header,) = struct.unpack("<I", read_exactly(4))
    length = header & 0xFFFFFF
    if length > (1024 if header & CONTROL else max_message_length):
        raise Closed(1002 if header & CONTROL else 1003, "the server announced too long a frame")
    return header & 0xFF000000, read_exactly(length)


def hello(peer_id, credential, max_message_length):
    name = peer_id.encode("utf-8")
    greeting = GREETING.pack(MAGIC, VERSION, 0, len(name), max_message_length, len(credential), 0)
    return frame(CONTROL | HELLO << 24, greeting + name + credential)


def closed_by(payload):
    if not 2 <= len(payload) <= 258:
        return Closed(1002, "malformed farewell")
    return Closed(struct.unpack_from("<H", payload)[0], payload[2:].decode("utf-8"))


class Replay(ZerioClient):
    """A client whose server is a string of bytes."""

    def __init__(self, data):
        self.data, self.max_message_length = data, 65536

    def _read_exactly(self, size):
        data, self.data = self.data[:size], self.data[size:]
        return data


def check_vectors(path):
    with open(path, encoding="utf-8") as file:
        vectors = json.load(file)
    for vector in vectors:
        data = bytes.fromhex(vector["bytes"])
        if "high" in vector:
            high, payload = vector["high"], bytes.fromhex(vector["payload"])
            assert frame(high, payload) == data, vector["name"]
            assert Replay(data)._read() == (high, payload), vector["name"]
        elif "id" in vector:
            assert hello(vector["id"], vector["credential"].encode(), vector["longest"]) == data, vector["name"]
        else:
            try:
                Replay(data).receive()
            except Closed as closed:
                assert closed.code == vector["code"], vector["name"]
            else:
                raise AssertionError(vector["name"])
    print(f"{len(vectors)} vectors agree")


def converse(client, lines):
    for line in lines:
        while True:
            try:
                client.send(line.rstrip("\n").encode("utf-8"))
                print(client.receive()[1].decode("utf-8"), flush=True)
                break
            except (Closed, OSError):
                # The answer did not come, so the message may be lost: it is sent again.
                client.reconnect()
    client.close()


if __name__ == "__main__":
    if sys.argv[1] == "vectors":
        check_vectors(sys.argv[2])
    else:
        converse(ZerioClient("localhost", int(sys.argv[1]), sys.argv[2], classic="classic" in sys.argv[3:]), sys.stdin)
