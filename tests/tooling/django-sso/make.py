"""Makes the files beside it: what a gateway of one version of the package django-sso has, as `dumpdata` and as SQL.

    python -m venv venv && venv/bin/pip install django-sso==3.0.2 Django==5.2.19 requests bcrypt argon2-cffi
    venv/bin/python make.py 3.0.2

The same with 1.1.4 and 1.0.0. Each run makes new salts and tokens. The SQL is the whole database, without the rows of
Django's own that an import does not read.
"""

import importlib.util
import pathlib
import sqlite3
import sys
import tempfile

import django
from django.conf import settings
from django.core.management import call_command

VERSION = sys.argv[1]
FOLDER = pathlib.Path(__file__).parent
GATEWAY = "sso_gateway" if importlib.util.find_spec("django_sso.sso_gateway") else "gate"
# Neither form needs them, and they are most of it.
LEFT_OUT = ("contenttypes.contenttype", "auth.permission")

with tempfile.TemporaryDirectory() as folder:
    database = f"{folder}/db.sqlite3"
    settings.configure(
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": database}},
        INSTALLED_APPS=["django.contrib.auth", "django.contrib.contenttypes", f"django_sso.{GATEWAY}"],
        PASSWORD_HASHERS=[
            f"django.contrib.auth.hashers.{name}PasswordHasher" for name in ("PBKDF2", "Argon2", "BCryptSHA256", "Scrypt")
        ],
        SECRET_KEY="DEV-ONLY-of-the-tests",
        USE_TZ=True,
    )
    django.setup()
    # The gateway tells its services of each new user; here it has nobody to tell.
    import requests

    requests.post = lambda *_, **__: type("Answer", (), {"status_code": 200, "text": "", "json": lambda _: {"ok": True}})()
    call_command("migrate", verbosity=0)

    from django.apps import apps
    from django.contrib.auth.hashers import make_password
    from django.contrib.auth.models import Group, User

    def person(username, email, hasher="pbkdf2_sha256", groups=(), **fields):
        password = make_password(None if hasher is None else f"the password of {username}", hasher=hasher or "default")
        user = User.objects.create(username=username, email=email, password=password, **fields)
        user.groups.set(Group.objects.get_or_create(name=name)[0] for name in groups)

    person("ann", "Ann.Lee@example.com", groups=["editors", "Night shift"], first_name="Ann", last_name="Lee", is_staff=True)
    person("sam", "sam@example.com", "scrypt", groups=["editors"])
    person("bea", "bea@example.com", "bcrypt_sha256", is_superuser=True, is_staff=True)
    person("arg", "arg@example.com", "argon2")
    person("una", "una@example.com", None)
    person("idle", "idle@example.com", is_active=False, groups=["staff"])
    person("nobody", "")
    person("two", "two@example.com")
    person("twice", "TWO@example.com")
    person("other@example.com", "someone@example.com")

    services = apps.get_model(GATEWAY, "Service").objects
    services.create(name="Wiki", base_url="https://wiki.example.com/", enabled=True)
    services.create(name="Shop", base_url="https://shop.example.com/a", enabled=True)
    services.create(name="Old one", base_url="https://old.example.com", enabled=False)
    services.create(name="Plain", base_url="http://plain.example.com", enabled=True)
    services.create(name="Short", base_url="https://short.example.com", enabled=True, token="a-short-token")

    call_command("dumpdata", indent=1, output=str(FOLDER / f"{VERSION}.json"), exclude=LEFT_OUT)
    with sqlite3.connect(database) as connection:
        connection.executescript("DELETE FROM auth_permission; DELETE FROM django_content_type;")
        (FOLDER / f"{VERSION}.sql").write_text("\n".join(connection.iterdump()) + "\n")
