"""A FastAPI service behind Edgeward that keeps the usso SDK: its code is that of the document.

One JSON object on stdin says `code`, an example of the document that makes `app`, and `names`, what that example takes as
given. The first line on stdout is the port.
"""

import json
import socket
import sys
import types

import uvicorn


def main():
    asked = json.loads(sys.stdin.readline())
    # FastAPI resolves annotations in the module of a function.
    module = types.ModuleType("service")
    module.__dict__.update(asked["names"])
    sys.modules["service"] = module
    exec(compile(asked["code"], "service", "exec"), module.__dict__)
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(module.app, log_level="error", lifespan="off")).run(sockets=[listener])


if __name__ == "__main__":
    main()
