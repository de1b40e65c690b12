"""A zerio client for Python 3.8 and later, standard library only: docs/protocol.md as a program.

As a program it sends each line of its input as a message and prints one message for each:

    python3 zerio_client.py PORT PEER_ID [classic]
"""

import socket
import struct
import sys

CONTROL = 0x80000000
HELLO, WELCOME, REJECT, PING, PONG, CLOSE = range(1, 7)
MAGIC, VERSION = 0x4F49525A, 1
# magic, version, flags, bytes of the id, longest message, bytes of the credential, reserved
GREETING = struct.Struct("<IBBHIHH")


class Closed(Exception):
    """The server ended the connection: `code` and `reason` of its REJECT or CLOSE, or 0 for a bare end of stream."""

    def __init__(self, code, reason):
        super().__init__(f"{reason or 'the server closed the connection'} ({code})")
        self.code, self.reason = code, reason


class ZerioClient:
    def __init__(self, host, port, peer_id, classic=False, credential=b"", max_message_length=65536):
        self.classic, self.max_message_length, self.server_id = classic, max_message_length, ""
        self.stream = socket.create_connection((host, port))
        self.stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if classic:
            name = peer_id.encode("ascii")
            self._write(0, name)
            if self._read() != (0, name):
                raise Closed(0, "this is no zerio server")
        else:
            name = peer_id.encode("utf-8")
            greeting = GREETING.pack(MAGIC, VERSION, 0, len(name), max_message_length, len(credential), 0)
            self._write(CONTROL | HELLO << 24, greeting + name + credential)
            header, payload = self._read()
            if header == CONTROL | REJECT << 24:
                raise closed_by(payload)
            if header != CONTROL | WELCOME << 24:
                raise Closed(0, "this is no zerio server")
            _, _, _, id_bytes, self.server_max_message_length, _, _ = GREETING.unpack_from(payload)
            self.server_id = payload[GREETING.size : GREETING.size + id_bytes].decode("utf-8")

    def send(self, message, channel=0):
        self._write(channel << 24, message)

    def receive(self):
        """The next message as (channel, bytes). Answers heartbeats on the way; raises Closed at the end."""
        while True:
            header, payload = self._read()
            if not header & CONTROL:
                return header >> 24, payload
            opcode = header >> 24 & 0x7F
            if opcode == PING:
                self._write(CONTROL | PONG << 24, payload)
            elif opcode == CLOSE:
                raise closed_by(payload)
            elif opcode != PONG:
                raise Closed(1002, "unknown control frame")

    def close(self, code=1000, reason=""):
        if not self.classic:
            self._write(CONTROL | CLOSE << 24, struct.pack("<H", code) + reason.encode("utf-8"))
        self.stream.shutdown(socket.SHUT_WR)
        while self.stream.recv(65536):  # Closing with unread bytes would reset the connection.
            pass
        self.stream.close()

    # A frame is a header, whose low 24 bits are the length of the payload, and the payload.
    def _write(self, high_bits, payload):
        self.stream.sendall(struct.pack("<I", high_bits | len(payload)) + payload)

    def _read(self):
        """The next frame as (header without its length, payload)."""
        (header,) = struct.unpack("<I", self._read_exactly(4))
        length = header & 0xFFFFFF
        if length > (1024 if header & CONTROL else self.max_message_length):
            raise Closed(1003, "the server announced too long a frame")
        return header & 0xFF000000, self._read_exactly(length)

    def _read_exactly(self, size):
        data = b""
        while len(data) < size:
            piece = self.stream.recv(size - len(data))
            if not piece:
                raise Closed(0, "")
            data += piece
        return data


def closed_by(payload):
    return Closed(struct.unpack_from("<H", payload)[0], payload[2:].decode("utf-8"))


if __name__ == "__main__":
    client = ZerioClient("localhost", int(sys.argv[1]), sys.argv[2], classic="classic" in sys.argv[3:])
    for line in sys.stdin:
        client.send(line.rstrip("\n").encode("utf-8"))
        print(client.receive()[1].decode("utf-8"), flush=True)
    client.close()
