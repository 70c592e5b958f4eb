"""Asks the real packages: reads cases from standard input, prints their verdicts as a JSON list."""

import json
import sys

from more_sso.permissions import Permission
from usso.authorization import check_access, parse_scope


def scope(case):
    """What usso says of somebody with these scopes who wants `action:path?filter`."""
    action, path, filters = parse_scope(case["access"])
    return check_access(case["scopes"], "/".join(path), action or None, filters=[filters])


def claim(case):
    """What more-sso-auth says of somebody with these claims."""
    return Permission(case["claims"], case["path"], case.get("value")).has_access()


cases = json.load(sys.stdin)
json.dump([(scope if "access" in case else claim)(case) for case in cases], sys.stdout)
