"""A Django application with forms that knows nothing of a proxy: Django's defaults, and only its own host allowed.

It takes a JSON object on stdin, which may be empty; the first line on stdout is the port.
"""

import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect, JsonResponse
from django.middleware.csrf import get_token
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["127.0.0.1"],
    MIDDLEWARE=["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware", "django.middleware.csrf.CsrfViewMiddleware"],
    ROOT_URLCONF=__name__,
    SECRET_KEY="DEV-ONLY-of-the-tests",
)


def form(request):
    """The form, and what was sent with it."""
    if request.method == "POST":
        return JsonResponse({"sent": request.POST["text"]})
    return HttpResponse(get_token(request))


def away(request):
    """An absolute redirect, and a cookie for the host that Django sees."""
    response = HttpResponseRedirect(request.build_absolute_uri("/form?a=b"))
    response.set_cookie("theme", "dark", domain=request.get_host().split(":")[0])
    return response


urlpatterns = [path("signed-in", form), path("form", form), path("away", away), path("slash/", form)]


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


if __name__ == "__main__":
    sys.stdin.readline()
    server = make_server("127.0.0.1", 0, get_wsgi_application(), handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()
