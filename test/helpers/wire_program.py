"""Runs a program of sends and receives with examples/clients/zerio_client.py, for test/wire/differential.test.mjs.

Input: one JSON object {port, id, classic, credential, steps}, where a step is ["send", hex, channel] or ["receive", count].
Output: one JSON object {serverId, received}, where each message received is [hex, channel].
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "examples" / "clients"))
sys.dont_write_bytecode = True
from zerio_client import Closed, ZerioClient  # noqa: E402

program = json.load(sys.stdin)
result = {"received": []}
try:
    client = ZerioClient(
        "127.0.0.1", program["port"], program["id"], program["classic"], program.get("credential", "").encode()
    )
    for step in program["steps"]:
        if step[0] == "send":
            client.send(bytes.fromhex(step[1]), step[2])
        else:
            for _ in range(step[1]):
                channel, message = client.receive()
                result["received"].append([message.hex(), channel])
    result["serverId"] = client.server_id
    client.close(4000, "done")
except Closed as closed:
    result["closed"] = [closed.code, closed.reason]
json.dump(result, sys.stdout)
