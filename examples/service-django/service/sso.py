"""In front of django-sso's views: what they leave to the project that uses them."""

import json
from urllib.parse import urlencode

import requests
from django.conf import settings
from django.contrib import auth
from django.http import HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils.crypto import constant_time_compare
from django.utils.http import url_has_allowed_host_and_scheme
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST
from django_sso.exceptions import SSOException
from django_sso.sso_service import views

GATEWAY_SECONDS = 5
# Sign-ins that a browser may have begun at the same time, in several tabs.
MAX_PENDING = 5


def login(request):
    """Starts a sign-in. Because of `bind` the browser has to bring a code back: otherwise whoever begins a sign-in, and
    makes somebody else finish it, could take it over."""
    try:
        token = call("obtain", next_url=local_path(request.GET.get("next")), bind="code")["token"]
    except (SSOException, KeyError):
        return redirect("/?sso_broken_token=true")
    request.session["pending"] = [token, *request.session.get("pending", [])][:MAX_PENDING]
    return redirect(f"{settings.SSO['ROOT']}/login/?{urlencode({'sso': token})}")


def accept(request):
    """The browser comes back from the gateway."""
    code = request.GET.get("code", "")
    for token in request.session.get("pending", []):
        # The browser does not say which of its sign-ins the code is for.
        try:
            answer = call("get", authentication_token=token, code=code)
        except SSOException:
            continue
        # The gateway has told us about the account before it sent the browser here.
        user = auth.get_user_model().objects.filter(
            **{auth.get_user_model().USERNAME_FIELD: answer.get("user_identy")}, is_active=True
        ).first()
        if user and use_up(token, code):
            request.session.flush()
            auth.login(request, user)
            return redirect(local_path(answer.get("next_url")))
        break
    return redirect("/?sso_broken_token=true")


def use_up(token, code):
    """Uses a sign-in up. That succeeds once; who is second must not be signed in."""
    try:
        return call("make_used", authentication_token=token, code=code).get("ok") is True
    except SSOException:
        return False


def call(name, **fields):
    """A call of the gateway, with a time limit, which django-sso's calls do not have."""
    try:
        answer = requests.post(
            f"{settings.SSO['ROOT']}/sso/{name}/",
            data={"token": settings.SSO["TOKEN"], **fields},
            timeout=GATEWAY_SECONDS,
            allow_redirects=False,  # the token goes to this address and to no other
        )
        members = answer.json()
    except requests.RequestException as error:
        raise SSOException(name) from error
    # Errors are told with status 200 too.
    if answer.status_code != 200 or not isinstance(members, dict) or "error" in members:
        raise SSOException(f"{name}: {answer.status_code} {answer.text[:200]}")
    return members


def local_path(value):
    """`value` if it leads to a page of this service, "/" otherwise. django-sso redirects to any `next`."""
    # A double slash at the beginning is a host, also after "/." and "/..".
    is_plain = isinstance(value, str) and value.startswith("/") and "//" not in value.partition("?")[0]
    return value if is_plain and url_has_allowed_host_and_scheme(value, allowed_hosts=None) else "/"


@require_POST
def logout(request):
    """Signs out here and, by django-sso's signal, everywhere. Its own view also answers GET, so any page could do it."""
    auth.logout(request)
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
