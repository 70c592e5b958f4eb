"""A Django service behind Edgeward that keeps the usso SDK: its settings and its middleware are those of the document.

One JSON object on stdin says `code`, an example of the document that is run as the settings, and `names`, what that
example takes as given; `middleware`, another one, may define the class that the settings name. The first line on stdout
is the port. Each answer says who Django takes the caller for.
"""

import json
import sys
import types
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import JsonResponse
from django.urls import path

OWN_SETTINGS = {
    "ALLOWED_HOSTS": ["*"],
    "DATABASES": {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
    "INSTALLED_APPS": ["django.contrib.auth", "django.contrib.contenttypes"],
    "ROOT_URLCONF": __name__,
    "SECRET_KEY": "DEV-ONLY-of-the-tests",
}


def who(request, target):
    """Who is asking, as a view of Django's sees it."""
    user = getattr(request, "user", None)
    told = None if user is None else {"pk": user.pk, "username": user.username, "email": user.email}
    return JsonResponse({"origin": "django", "user": told})


urlpatterns = [path("<path:target>", who)]


def run(name, code, names):
    """Runs an example as the module that it is in a project."""
    module = types.ModuleType(name)
    module.__dict__.update(names)
    sys.modules[name] = module
    exec(compile(code, name, "exec"), module.__dict__)
    return module


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def main():
    asked = json.loads(sys.stdin.readline())
    example = run("settings", asked["code"], asked["names"])
    settings.configure(**OWN_SETTINGS, **{name: value for name, value in vars(example).items() if name.isupper()})
    django.setup()
    if "middleware" in asked:
        run("middleware", asked["middleware"], {})
    call_command("migrate", verbosity=0)
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
