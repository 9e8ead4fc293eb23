"""Asks the web process whether it is ready: exit code 0 when it is. For the container's health
check; a host name that is not ours would be refused, so the site's own is sent."""

import http.client
import sys

import config


def main() -> int:
    host = config.load().trusted_hosts.split(",")[0]
    connection = http.client.HTTPConnection("127.0.0.1", 8000, timeout=5)
    connection.request("GET", "/readyz", headers={"Host": host})
    return 0 if connection.getresponse().status == http.HTTPStatus.OK else 1


if __name__ == "__main__":
    sys.exit(main())
