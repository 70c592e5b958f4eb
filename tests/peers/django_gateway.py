"""The manage.py of an old gateway: a Django project with the package's gateway, in the folder from which it runs."""

import os
import sys

from django.conf import settings
from django.core.management import execute_from_command_line

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": os.path.abspath("db.sqlite3"), "OPTIONS": {"timeout": 20, "transaction_mode": "IMMEDIATE"}}},
    INSTALLED_APPS=[*(f"django.contrib.{name}" for name in ("auth", "contenttypes", "sessions")), "django_sso.sso_gateway"],
    SECRET_KEY="DEV-ONLY-of-the-tests",
    USE_TZ=True,
)


if __name__ == "__main__":
    execute_from_command_line(sys.argv)
