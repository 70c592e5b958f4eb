"""Around three of django-sso's views: what they leave to the project that uses them."""

import json

from django.conf import settings
from django.contrib.auth import logout as end_session
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django_sso.sso_service import views


def login(request):
    """Starts a sign-in. django-sso takes any `next` and later redirects to it, another host's too."""
    query = request.GET.copy()
    query["next"] = local_path(query.get("next"))
    request.GET = query
    return views.login_view(request)


def local_path(value):
    """`value` if it leads to a page of this service, "/" otherwise."""
    # A double slash at the beginning is a host, also after "/." and "/..".
    is_plain = bool(value) and value.startswith("/") and "//" not in value.partition("?")[0]
    return value if is_plain and url_has_allowed_host_and_scheme(value, allowed_hosts=None) else "/"


@require_POST
def logout(request):
    """Signs out here and, by django-sso's signal, everywhere. Its own view also answers GET, so any page could do it."""
    end_session(request)
    return redirect("/")


@csrf_exempt
@require_POST
def event(request):
    """Takes an event. django-sso compares the token by `!=`, and fails for JSON that is no object."""
    try:
        members = json.loads(request.body)
        token = members["token"]
    except (ValueError, TypeError, KeyError):
        return HttpResponse(status=400)
    if not isinstance(token, str) or not constant_time_compare(token, settings.SSO["TOKEN"]):
        return JsonResponse({"error": "Token not provided or incorrect"})
    return views.event_acceptor_view(request)
