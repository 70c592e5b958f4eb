"""A Django service that people enter through the gateway, with one version of the package django-sso as it is.

One JSON object on stdin: `port`, `database` (a file), `root` (the gateway) and `token`. The first line on stdout tells
that the service listens. It answers one request at a time, so it stands still if the gateway calls it back while it waits
for the gateway.

    /              says who is signed in
    /reports/<n>/  a page for people who are signed in
    /people/       all accounts, for the tests
"""

import importlib.util
import json
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.decorators import login_required
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, JsonResponse
from django.urls import include, path
from django.utils.html import format_html

# The lines before 1.1.0 have another name, and are another protocol.
IS_FIRST_LINE = importlib.util.find_spec("django_sso.sso_service") is None
APP = "django_sso.service" if IS_FIRST_LINE else "django_sso.sso_service"

# The package 1.0.0 forgot its templates; these two it needs, and later versions have them.
FORGOTTEN = {
    "django_sso/redirect_to_sso.html": """<meta http-equiv="refresh" content="0; url='{{ redirect_url }}'">""",
    "django_sso/token_validation_error.html": "SSO token validation error",
}


def home(request):
    if not request.user.is_authenticated:
        return HttpResponse("<p>You are not signed in.</p>")
    user = request.user
    flags = (" (staff)" if user.is_staff else "") + (" (superuser)" if user.is_superuser else "")
    signed_in = format_html("<p>Signed in as <b>{}</b>{}.</p>", user.get_username(), flags)
    return HttpResponse(signed_in + """<form action="/logout/"><button>Sign out</button></form>""")


@login_required
def report(request, report):
    return HttpResponse(format_html("<h1>Report {}</h1><p>For <b>{}</b>.</p>", report, request.user.get_username()))


def people(request):
    columns = ("username", "email", "is_active", "is_staff", "is_superuser", "password")
    return JsonResponse({user["username"]: user for user in get_user_model().objects.values(*columns)})


def configure(asked):
    sso = {"SSO_ROOT": asked["root"], "SSO_TOKEN": asked["token"], "SSO": {"ROOT": asked["root"], "TOKEN": asked["token"]}}
    loaders = [("django.template.loaders.locmem.Loader", FORGOTTEN)] if IS_FIRST_LINE else []
    processors = [f"django.{name}" for name in ("template.context_processors.request", "contrib.auth.context_processors.auth", "contrib.messages.context_processors.messages")]
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": asked["database"], "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"}}},
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        INSTALLED_APPS=[*(f"django.contrib.{name}" for name in ("admin", "auth", "contenttypes", "sessions", "messages")), APP],
        LOGIN_URL="/login/",
        MIDDLEWARE=[
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.middleware.csrf.CsrfViewMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "django.contrib.messages.middleware.MessageMiddleware",
        ],
        ROOT_URLCONF=__name__,
        SECRET_KEY="DEV-ONLY-of-the-tests",
        TEMPLATES=[
            {
                "BACKEND": "django.template.backends.django.DjangoTemplates",
                "OPTIONS": {"context_processors": processors, "loaders": [*loaders, "django.template.loaders.app_directories.Loader"]},
            }
        ],
        **sso,
    )


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def main():
    asked = json.loads(sys.stdin.readline())
    configure(asked)
    django.setup()
    urlpatterns.extend(
        [
            path("", home),
            path("reports/<int:report>/", report),
            path("people/", people),
            path("admin/", admin.site.urls),
            path("", include(f"{APP}.urls")),
        ]
    )
    call_command("migrate", verbosity=0)
    server = make_server("127.0.0.1", asked["port"], get_wsgi_application(), handler_class=Quiet)
    print("listening", flush=True)
    server.serve_forever()


urlpatterns = []

if __name__ == "__main__":
    main()
