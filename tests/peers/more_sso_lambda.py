"""Functions behind an API Gateway, as an origin: their code is that of a document.

One JSON object on stdin says `code`, the parts of the document one after another, `names`, what they take as given, and
`format`, the payload's version. `/` calls `lambda_handler`, any other path the function of that name. The first line on
stdout is the port. A request becomes the event that API Gateway makes of it, and what the function answers the response.
"""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

FUNCTIONS = {}


def event_1_0(method, path, headers):
    """As a REST API calls a function; header names come as the client wrote them, through CloudFront as here."""
    headers = {name.title(): value for name, value in headers}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "pathParameters": {"proxy": path.lstrip("/")},
        "requestContext": {"resourcePath": "/{proxy+}", "httpMethod": method, "path": path, "stage": "prod"},
        "body": None,
        "isBase64Encoded": False,
    }


def event_2_0(method, path, headers):
    """As an HTTP API calls a function; header names are in small letters."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "",
        "headers": {name.lower(): value for name, value in headers},
        "requestContext": {"http": {"method": method, "path": path, "protocol": "HTTP/1.1"}, "stage": "$default"},
        "isBase64Encoded": False,
    }


class ApiGateway(BaseHTTPRequestHandler):
    def do_GET(self):
        path = urlsplit(self.path).path
        function = FUNCTIONS["code"][path.strip("/") or "lambda_handler"]
        try:
            answer = function(FUNCTIONS["event"](self.command, path, self.headers.items()), None)
        except Exception as error:  # API Gateway tells nobody what a function died of; the test wants to know.
            answer = {"statusCode": 500, "headers": {"x-error": type(error).__name__}, "body": json.dumps({"message": "Internal Server Error"})}
        body = answer.get("body", "").encode()
        self.send_response(answer["statusCode"])
        for name, value in {**answer.get("headers", {}), "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def main():
    asked = json.loads(sys.stdin.readline())
    scope = dict(asked["names"])
    for code in asked["code"]:
        exec(compile(code, "function", "exec"), scope)
    FUNCTIONS.update(code=scope, event={"1.0": event_1_0, "2.0": event_2_0}[asked["format"]])
    server = ThreadingHTTPServer(("127.0.0.1", 0), ApiGateway)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
