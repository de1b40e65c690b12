"""A device in Python for examples/telemetry/collector.mjs, with the standard library and examples/clients/zerio_client.py only.

    python3 examples/python/device.py PORT [NAME] [READINGS]
"""

import pathlib
import random
import struct
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "clients"))
from zerio_client import ZerioClient  # noqa: E402

# The layout of examples/telemetry/messages.mjs: sequence, metric, value.
READING = struct.Struct("<IId")
TEMPERATURE = 0


def main(port, name="device-python", readings="10"):
    client = ZerioClient("127.0.0.1", int(port), name)
    for sequence in range(int(readings)):
        client.send(READING.pack(sequence, TEMPERATURE, 20 + random.random()))
        time.sleep(0.01)
    client.close()
    print(f"{readings} readings sent to {client.server_id}")


if __name__ == "__main__":
    main(*sys.argv[1:])
