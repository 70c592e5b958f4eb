"""Runs the guide's program for Flask or Django (custom-jwt/app.py, views.py): its text, with URL and secret put in.

What the guide leaves to the application is here: who is signed in, by HTTP basic authentication.
"""

import base64
import json
import os
import re
import sys
from pathlib import Path
from types import SimpleNamespace
from wsgiref.simple_server import WSGIRequestHandler, make_server

USERS = json.loads(os.environ["USERS"])


def program(name):
    text = (Path(__file__).parent / "custom-jwt" / name).read_text()
    for constant, variable in (("JWT_SECRET", "JWT_SSO_SECRET"), ("LABEL_STUDIO_URL", "LABEL_STUDIO_URL")):
        text = re.sub(f"^{constant} = .*$", f"{constant} = {os.environ[variable]!r}", text, flags=re.M)
    # Not "__main__": the port of the program may be taken.
    names = {"__name__": name.removesuffix(".py")}
    exec(compile(text, name, "exec"), names)
    return names


def user_of(authorization):
    scheme, _, text = (authorization or "").partition(" ")
    return USERS.get(base64.b64decode(text).decode().split(":")[0]) if scheme == "Basic" else None


def flask_app():
    from flask import request

    names = program("app.py")
    names["get_current_user"] = lambda: user_of(request.headers.get("Authorization"))
    return names["app"]


def django_app():
    import django
    from django.conf import settings
    from django.core.wsgi import get_wsgi_application
    from django.urls import path

    def signed_in(get_response):
        def handle(request):
            user = user_of(request.headers.get("Authorization"))
            request.user = SimpleNamespace(is_authenticated=user is not None, **(user or {}))
            return get_response(request)

        return handle

    this = sys.modules[__name__]
    this.signed_in = signed_in
    this.urlpatterns = []
    settings.configure(
        ROOT_URLCONF=__name__,
        SECRET_KEY=os.urandom(32).hex(),
        ALLOWED_HOSTS=["127.0.0.1"],
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth"],
        MIDDLEWARE=[f"{__name__}.signed_in"],
        LOGIN_URL="/login",
    )
    django.setup()
    views = program("views.py")
    this.urlpatterns += [
        path("label-studio", views["label_studio_redirect"]),
        path("api/label-studio-token", views["label_studio_token_api"]),
    ]
    return get_wsgi_application()


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


application = {"flask": flask_app, "django": django_app}[sys.argv[1]]()
with make_server("127.0.0.1", 0, application, handler_class=Quiet) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
