"""The Python packages as peers: a JSON request a line on stdin, a JSON answer a line on stdout.

Nothing here is of Edgeward: the packages make and check tokens as they do anywhere else.
"""

import base64
import json
import sys

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from prometheus_client.parser import text_string_to_metric_families
from standardwebhooks.webhooks import Webhook
from usso_jwt.sign import create_jwt_header, generate_jwt

KEYS = {}

MAKE = {
    "RS": lambda: rsa.generate_private_key(65537, 2048),
    "PS": lambda: rsa.generate_private_key(65537, 2048),
    "ES256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "ES384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ES512": lambda: ec.generate_private_key(ec.SECP521R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate,
}


def key(alg, kid):
    """A new key pair; its public half as the JWK that PyJWT writes, and as PEM."""
    private = (MAKE.get(alg) or MAKE[alg[:2]])()
    KEYS[kid] = private
    public = private.public_key()
    writer = jwt.get_algorithm_by_name(alg)
    jwk = json.loads(writer.to_jwk(public))
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"jwk": {**jwk, "kid": kid, "alg": alg, "use": "sig"}, "pem": pem.decode()}


def mint(by, alg, claims, kid=None, secret=None):
    """A token by PyJWT or by usso."""
    private = secret or KEYS[kid]
    if by == "pyjwt":
        return jwt.encode(claims, private, algorithm=alg, headers={"kid": kid} if kid else None)
    if secret:
        private = {"kty": "oct", "k": base64.urlsafe_b64encode(secret.encode()).rstrip(b"=").decode()}
    else:
        private = private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return generate_jwt(create_jwt_header(alg, kid), claims, private, alg)


def verify_pyjwt(token, jwks_url, audience, issuer, alg):
    """PyJWT with its own client for key sets."""
    signing = jwt.PyJWKClient(jwks_url).get_signing_key_from_jwt(token)
    return jwt.decode(token, signing.key, algorithms=[alg], audience=audience, issuer=issuer)


def verify_webhook(secret, payload, headers):
    """What a receiver of Standard Webhooks reads, or the name of the error with which it refuses."""
    try:
        return {"event": Webhook(secret).verify(payload, headers)}
    except Exception as error:
        return {"refused": f"{type(error).__name__}: {error}"}


def scraped(text):
    """What Prometheus reads: of each metric its name and type, and its series."""
    return [
        {"name": one.name, "type": one.type, "help": one.documentation, "samples": [[s.name, s.labels, s.value] for s in one.samples]}
        for one in text_string_to_metric_families(text)
    ]


def run(code, names):
    """Runs an example of the documents and answers what it calls `user`."""
    scope = dict(names)
    exec(compile(code, "example", "exec"), scope)
    user = scope["user"]
    return user if isinstance(user, dict) else user.claims


def refused(code, names):
    """The name of the error with which an example of the documents refuses."""
    try:
        run(code, names)
    except Exception as error:
        return type(error).__name__
    return None


def main():
    calls = {"key": key, "mint": mint, "verify_pyjwt": verify_pyjwt, "verify_webhook": verify_webhook, "scraped": scraped, "run": run, "refused": refused}
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = {"answer": calls[request.pop("call")](**request)}
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer, default=str), flush=True)


if __name__ == "__main__":
    main()
