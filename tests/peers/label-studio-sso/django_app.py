"""The program for Django in label-studio-sso's README, as it stands there but for URL and token. Whoever opens / is signed in."""

import os
from types import SimpleNamespace
from wsgiref.simple_server import make_server

import django
import requests
from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.shortcuts import redirect
from django.urls import path

settings.configure(
    ROOT_URLCONF=__name__,
    SECRET_KEY=os.urandom(32).hex(),
    ALLOWED_HOSTS=["127.0.0.1"],
    LABEL_STUDIO_API_TOKEN=os.environ["LABEL_STUDIO_API_TOKEN"],
)
django.setup()
user = SimpleNamespace(email=os.environ["EMAIL"])


def sign_in(_request):
    # Request JWT token from Label Studio
    response = requests.post(
        f"{os.environ['LABEL_STUDIO_URL']}/api/sso/token",
        json={'email': user.email},
        headers={
            'Authorization': f'Token {settings.LABEL_STUDIO_API_TOKEN}',
            'Content-Type': 'application/json'
        }
    )

    token_data = response.json()
    token = token_data['token']
    expires_in = token_data['expires_in']

    # Set cookie and redirect
    response = redirect(f"{os.environ['LABEL_STUDIO_URL']}/")
    response.set_cookie(
        'ls_auth_token',
        token,
        httponly=True,
        secure=True,
        samesite='Strict',
        path='/',
        max_age=expires_in
    )
    return response


urlpatterns = [path("", sign_in)]

with make_server("127.0.0.1", 0, get_wsgi_application()) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
