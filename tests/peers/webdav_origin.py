"""A WebDAV server, WsgiDAV, that anybody may write to: who may is for Edgeward to say.

It takes a JSON object on stdin, whose `folder` is what it serves; the first line on stdout is the port.
"""

import json
import sys

from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp


if __name__ == "__main__":
    app = WsgiDAVApp(
        {
            "provider_mapping": {"/": json.loads(sys.stdin.readline())["folder"]},
            "simple_dc": {"user_mapping": {"*": True}},
            "lock_storage": True,
            "property_manager": True,
            "logging": {"enable": False},
        }
    )
    server = wsgi.Server(("127.0.0.1", 0), app)
    server.prepare()
    print(server.bind_addr[1], flush=True)
    server.serve()
