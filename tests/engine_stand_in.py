"""Plays the container engine and the AWS CLI for the module's build script, as a command.

``install`` writes a command for each into a directory for PATH. What a push delivers is told to the
fake AWS's ECR, so that what comes after it in an apply finds the image there.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import sys
from contextlib import closing
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

ENGINES = ("docker", "podman", "finch", "nerdctl")

# What the stand-in is told through the environment.
STATE = "STAND_IN_STATE"  # directory of calls.jsonl and of the images built
BUILDER = "STAND_IN_BUILDER"  # "classic" knows no --provenance
ARCHITECTURE = "STAND_IN_ARCHITECTURE"  # what is built whatever was asked for


def install(directory: Path, commands: tuple[str, ...] = ("aws", *ENGINES)) -> dict[str, str]:
    """Write the commands into the directory and return the environment that makes them be used."""
    directory.mkdir(parents=True, exist_ok=True)
    for command in commands:
        script = directory / command
        arguments = shlex.join([sys.executable, __file__, command])
        script.write_text(f'#!/bin/sh\nexec {arguments} "$@"\n')
        script.chmod(0o755)
    path = os.pathsep.join([str(directory), os.environ["PATH"]])
    return {"PATH": path, STATE: str(directory)}


def calls(directory: Path) -> list[list[str]]:
    """What the commands were called with, in order, the command itself first."""
    log = directory / "calls.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


# -- In the process of the command -------------------------------------------------------------


def state() -> Path:
    """Where this process finds what earlier ones left."""
    return Path(os.environ[STATE])


def image_file(uri: str) -> Path:
    """Where the engine keeps the image that it built under this name."""
    return state() / f"{hashlib.sha256(uri.encode()).hexdigest()}.image"


def option(arguments: list[str], name: str) -> str:
    """Return the value that follows an option."""
    return arguments[arguments.index(name) + 1]


def ask(service: str, region: str, path: str = "/", **request: Any) -> bytes:
    """Return what the fake AWS answers, which AWS_ENDPOINT_URL names; end with its error.

    Without the SDK, which takes half a second to start. The fake AWS reads the service and the
    region from the credential, and checks no signature.
    """
    endpoint = urlsplit(os.environ["AWS_ENDPOINT_URL"])
    scope = f"{os.environ['AWS_ACCESS_KEY_ID']}/20260101/{region}/{service}/aws4_request"
    headers = {
        "Authorization": f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0",
        **request.pop("headers", {}),
    }
    connection = HTTPConnection(endpoint.hostname or "", endpoint.port, timeout=60)
    with closing(connection):
        connection.request(request.pop("method", "GET"), path, headers=headers, **request)
        answer = connection.getresponse()
        content = answer.read()
    if answer.status != HTTPStatus.OK:
        sys.exit(content.decode())
    return content


def ecr(region: str, operation: str, **parameters: Any) -> Any:
    """Call an operation of ECR."""
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": f"AmazonEC2ContainerRegistry_V20150921.{operation}",
    }
    body = json.dumps(parameters)
    return json.loads(ask("ecr", region, method="POST", headers=headers, body=body))


def token(region: str) -> str:
    """Return the token that logs in to the registry."""
    return str(ecr(region, "GetAuthorizationToken")["authorizationData"][0]["authorizationToken"])


def aws(arguments: list[str]) -> None:
    """Answer the calls of the AWS CLI that the build makes."""
    if arguments[:2] == ["s3", "cp"]:
        region = os.environ["AWS_REGION"]
        content = ask("s3", region, f"/{quote(arguments[2].removeprefix('s3://'))}")
        Path(arguments[3]).write_bytes(content)
        return
    region = option(arguments, "--region")
    if arguments[1] == "describe-images":
        tag = option(arguments, "--image-ids").removeprefix("imageTag=")
        repository = option(arguments, "--repository-name")
        ecr(region, "DescribeImages", repositoryName=repository, imageIds=[{"imageTag": tag}])
        return
    form = "password of {}" if arguments[1] == "get-login-password" else "{}"
    print(form.format(token(region)))  # noqa: T201  # a command answers on its standard output


def build(arguments: list[str]) -> None:
    """Remember that the image exists, for the architecture that was asked for."""
    context = Path(arguments[-1])
    if "--help" in arguments:
        print("" if os.environ.get(BUILDER) == "classic" else "--provenance")  # noqa: T201
        return
    if not (context / "Dockerfile").is_file():
        sys.exit(f"no Dockerfile in {context}")
    platform = option(arguments, "--platform").removeprefix("linux/")
    architecture = os.environ.get(ARCHITECTURE, platform)
    image_file(option(arguments, "--tag")).write_text(architecture)


def token_given(engine: str, registry: str) -> str:
    """Return what the engine would log in to the registry with."""
    if engine == "finch":
        return (state() / "finch.login").read_text().removeprefix("password of ")
    name = "REGISTRY_AUTH_FILE" if engine == "podman" else "DOCKER_CONFIG"
    file = Path(os.environ[name])
    if engine != "podman":
        file /= "config.json"
    auths = json.loads(file.read_text())["auths"]
    return str(auths[registry]["auth"])


def push(engine: str, uri: str) -> None:
    """Put the image into the fake ECR, as a real registry would on a push with a good password."""
    registry, _, rest = uri.partition("/")
    repository, _, tag = rest.rpartition(":")
    region = registry.split(".")[3]
    if token_given(engine, registry) != token(region):
        sys.exit("401 Unauthorized")
    config = image_file(uri).read_text().encode()
    digest = "sha256:" + hashlib.sha256(config).hexdigest()
    manifest = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": {
                "mediaType": "application/vnd.oci.image.config.v1+json",
                "size": len(config),
                "digest": digest,
            },
            "layers": [],
        }
    )
    ecr(
        region,
        "PutImage",
        repositoryName=repository,
        imageTag=tag,
        imageManifest=manifest,
        imageDigest="sha256:" + hashlib.sha256(manifest.encode()).hexdigest(),
    )


def engine(name: str, arguments: list[str]) -> None:
    """Answer the calls of a container engine that the build script makes."""
    match arguments:
        case ["build", *_]:
            build(arguments)
        case ["image", "inspect", "--format", _, uri]:
            print(image_file(uri).read_text())  # noqa: T201
        case ["push", uri]:
            push(name, uri)
        case ["login", *_]:
            (state() / "finch.login").write_text(sys.stdin.read())
        case ["logout", _]:
            (state() / "finch.login").unlink()
        case ["version", *_]:
            print("linux/amd64")  # noqa: T201
        case ["context", "show"]:
            print("elsewhere")  # noqa: T201
        case _:
            sys.exit(f"the stand-in for {name} does not know {arguments}")


def main(command: str, arguments: list[str]) -> None:
    """Note the call and answer it."""
    with (state() / "calls.jsonl").open("a") as log:
        log.write(json.dumps([command, *arguments]) + "\n")
    if command == "aws":
        aws(arguments)
    else:
        engine(command, arguments)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
