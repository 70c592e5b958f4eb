"""An OpenID provider of another make: Django with django-oauth-toolkit, its login form and its page that asks for consent.

One JSON object on stdin says `port`, `names_issuer` (whether responses have `iss`, RFC 9207), `redirects` (name of a client →
its redirect URI), `secret` of all clients, and `people`. The client `trusted` needs no consent; `hmac` gets ID tokens that are signed with its secret. The first line on
stdout is the port. The claims are those of a validator as the package's documentation writes one.
"""

import json
import sys
from wsgiref.simple_server import WSGIRequestHandler, make_server

import django
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from django.conf import settings
from django.core.management import call_command
from django.core.wsgi import get_wsgi_application
from django.urls import include, path

APPS = [*(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions")), "oauth2_provider"]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
]
LOGIN = "<h1>Log in</h1><form method='post'>{% csrf_token %}{{ form }}<button>Log in</button></form>"
LOADERS = [
    ("django.template.loaders.locmem.Loader", {"registration/login.html": LOGIN}),
    "django.template.loaders.app_directories.Loader",
]
CONTEXT = ["django.template.context_processors.request", "django.contrib.auth.context_processors.auth"]
TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": {"loaders": LOADERS, "context_processors": CONTEXT}}]

urlpatterns = []


def validator():
    from oauth2_provider.oauth2_validators import OAuth2Validator

    class Validator(OAuth2Validator):
        oidc_claim_scope = {**OAuth2Validator.oidc_claim_scope, "roles": "profile"}

        def get_additional_claims(self, request):
            user = request.user
            return {
                "given_name": user.first_name,
                "preferred_username": user.username,
                "email": user.email,
                "email_verified": not user.groups.filter(name="unverified").exists(),
                "roles": [group.name for group in user.groups.order_by("name")],
            }

    return Validator


def pem():
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return key.private_bytes(*form).decode()


def configure(port, names_issuer):
    settings.configure(
        ALLOWED_HOSTS=["127.0.0.1"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        INSTALLED_APPS=APPS,
        MIDDLEWARE=MIDDLEWARE,
        OAUTH2_PROVIDER={
            "OIDC_ENABLED": True,
            "OIDC_ISS_ENDPOINT": f"http://127.0.0.1:{port}/o",
            "OIDC_RSA_PRIVATE_KEY": pem(),
            "OAUTH2_VALIDATOR_CLASS": f"{__name__}.Validator",
            "SCOPES": {"openid": "Know who you are", "profile": "Read your name", "email": "Read your address"},
            "COMPLIANT_BCP_RFC9700_AUTHZ_RESPONSE_ISS": names_issuer,
        },
        # The tests ask for speed, not for hashes that are hard to break.
        PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"],
        ROOT_URLCONF=__name__,
        SECRET_KEY="DEV-ONLY-of-the-tests",
        TEMPLATES=TEMPLATES,
        USE_TZ=True,
    )
    django.setup()
    call_command("migrate", verbosity=0)
    # Both need Django to be set up.
    globals()["Validator"] = validator()
    urlpatterns.extend([path("accounts/", include("django.contrib.auth.urls")), path("o/", include("oauth2_provider.urls"))])


def fill(redirects, secret, people):
    from django.contrib.auth.models import Group, User
    from oauth2_provider.models import Application

    for name, redirect in redirects.items():
        Application.objects.create(
            name=name,
            client_id=name,
            client_secret=secret,
            client_type=Application.CLIENT_CONFIDENTIAL,
            authorization_grant_type=Application.GRANT_AUTHORIZATION_CODE,
            redirect_uris=redirect,
            skip_authorization=name == "trusted",
            algorithm=Application.HS256_ALGORITHM if name == "hmac" else Application.RS256_ALGORITHM,
            # A secret that is hashed cannot sign.
            hash_client_secret=name != "hmac",
        )
    for person in people:
        groups = person.pop("groups")
        user = User.objects.create_user(**person)
        user.groups.set([Group.objects.get_or_create(name=name)[0] for name in groups])


class Quiet(WSGIRequestHandler):
    def log_message(self, *_):
        pass


def main():
    asked = json.loads(sys.stdin.readline())
    port = asked.pop("port")
    configure(port, asked.pop("names_issuer"))
    fill(**asked)
    server = make_server("127.0.0.1", port, get_wsgi_application(), handler_class=Quiet)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
