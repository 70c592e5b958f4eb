"""A WebDAV server, WsgiDAV, that anybody may write to: who may is for Edgeward to say.

It takes a JSON object on stdin, whose `folder` is what it serves; the first line on stdout is the port.
"""

import json
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from wsgidav.wsgidav_app import WsgiDAVApp


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


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
    server = make_server("127.0.0.1", 0, app, handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()
