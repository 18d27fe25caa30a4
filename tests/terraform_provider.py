"""Terraform's AWS provider as one process for many commands, with the schemas that are used.

Terraform starts the provider several times in each command and reads the schemas of all its 1,500
resource types: 9 s of a processor for a `validate`. Here the provider runs once for all files of
tests in a process, and a proxy passes Terraform's calls on to it. The proxy removes from the answer
to GetSchema what the project does not use. Terraform refuses a resource type without a schema, so
nothing goes untested by it.

Source: https://developer.hashicorp.com/terraform/internals/debugging and
https://github.com/hashicorp/terraform/blob/main/docs/plugin-protocol/tfplugin5.proto
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

PROJECT = Path(__file__).resolve().parent.parent
ADDRESS = "registry.terraform.io/hashicorp/aws"
REATTACH = "TF_REATTACH_PROVIDERS"

PROVIDER = "/tfplugin5.Provider/"
GET_SCHEMA = f"{PROVIDER}GetSchema"
CONFIGURE = f"{PROVIDER}Configure"

# Fields of GetProviderSchema.Response that map the name of a type to its schema.
SCHEMAS_BY_TYPE = {"resource_schemas": 2, "data_source_schemas": 3, "ephemeral_resource_schemas": 8}

# An answer with all schemas has 5 MB.
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
CALLS_AT_ONCE = 32


class ProviderError(Exception):
    """The provider ended before it said where it listens."""


class Providers:
    """Processes of the provider, for one proxy after another: starting one takes seconds."""

    def __init__(self, start: Callable[[], grpc.Channel], types: frozenset[str]) -> None:
        self._start = start
        self._types = types
        self._started: list[grpc.Channel] = []
        self._schemas = b""

    def process(self, number: int) -> grpc.Channel:
        """Return a connection to the process of this number, which is started if it is new."""
        while len(self._started) <= number:
            self._started.append(self._start())
        return self._started[number]

    def schemas(self, request: bytes) -> bytes:
        """Return the schemas that the project uses."""
        if not self._schemas:
            self._schemas = only_types(_call(self.process(0), GET_SCHEMA, request), self._types)
        return self._schemas


@contextmanager
def running_providers(binary: Path, environ: Mapping[str, str]) -> Iterator[Providers]:
    """Keep the processes that are started until the end.

    ``environ`` is their environment: the endpoint, region and credentials.
    """
    with ExitStack() as stack:
        yield Providers(lambda: stack.enter_context(_running(binary, environ)), _types_in(PROJECT))


@contextmanager
def shared_provider(providers: Providers) -> Iterator[dict[str, str]]:
    """Yield the environment that lets Terraform use the provider."""
    with ThreadPoolExecutor(CALLS_AT_ONCE) as pool, ExitStack() as stack:
        proxy = _Proxy(providers)
        server = grpc.server(pool, handlers=[proxy], options=UNLIMITED)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        stack.callback(lambda: server.stop(grace=None).wait())
        listening = {
            "Protocol": "grpc",
            "ProtocolVersion": 5,
            "Pid": os.getpid(),
            # Terraform does not stop such a process.
            "Test": True,
            "Addr": {"Network": "tcp", "String": f"127.0.0.1:{port}"},
        }
        yield {REATTACH: json.dumps({ADDRESS: listening})}


@contextmanager
def _running(binary: Path, environ: Mapping[str, str]) -> Iterator[grpc.Channel]:
    """Start the provider; yield a connection to it."""
    with subprocess.Popen(
        [binary, "-debug"],
        env={**os.environ, **environ, "TF_LOG": "off", "TF_LOG_SDK": "off"},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        try:
            with grpc.insecure_channel(f"unix:{_socket(process)}", options=UNLIMITED) as channel:
                yield channel
        finally:
            process.send_signal(signal.SIGINT)


def _socket(process: subprocess.Popen[str]) -> str:
    for line in process.stdout or ():
        name, _, value = line.strip().partition("=")
        if name == REATTACH:
            (listening,) = json.loads(value.strip("'")).values()
            return str(listening["Addr"]["String"])
    message = "the provider ended before it said where it listens"
    raise ProviderError(message)


class _Proxy(grpc.GenericRpcHandler):
    """Passes calls on to the provider: to one process for each configuration of it.

    Terraform opens a connection for each `provider` block, and a process has one configuration at a
    time. The next proxy configures it again.
    """

    def __init__(self, providers: Providers) -> None:
        self._providers = providers
        self._lock = Lock()
        self._by_configuration: dict[bytes, grpc.Channel] = {}
        self._by_connection: dict[str, grpc.Channel] = {}

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        """Return what handles a call. The services of the plugin library are optional: None."""
        method = str(details.method)
        if not method.startswith(PROVIDER):
            return None

        def handle(request: bytes, context: grpc.ServicerContext) -> bytes:
            try:
                if method == GET_SCHEMA:
                    return self._get_schema(request)
                return _call(self._process(method, request, context.peer()), method, request)
            except grpc.RpcError as error:
                return context.abort(error.code(), error.details() or "")

        return grpc.unary_unary_rpc_method_handler(handle)

    def _get_schema(self, request: bytes) -> bytes:
        with self._lock:
            return self._providers.schemas(request)

    def _process(self, method: str, request: bytes, connection: str) -> grpc.Channel:
        with self._lock:
            if method == CONFIGURE:
                self._by_connection[connection] = self._configured(request)
            # Validation needs no configuration.
            return self._by_connection.get(connection) or self._providers.process(0)

    def _configured(self, configuration: bytes) -> grpc.Channel:
        if configuration not in self._by_configuration:
            unused = self._providers.process(len(self._by_configuration))
            self._by_configuration[configuration] = unused
        return self._by_configuration[configuration]


def _call(channel: grpc.Channel, method: str, request: bytes) -> bytes:
    call: Any = channel.unary_unary(method)
    return bytes(call(request))


# -- Schemas -----------------------------------------------------------------------------------


def _types_in(project: Path) -> frozenset[str]:
    """Return the names of the types that the module and its examples mention."""
    files = (file for room in ("terraform", "examples") for file in (project / room).rglob("*.tf"))
    return frozenset(name for file in files for name in re.findall(r"aws_\w+", file.read_text()))


def only_types(answer: bytes, types: frozenset[str]) -> bytes:
    """Return an answer to GetSchema without the schemas of other types."""
    response = _SchemaResponse.FromString(answer)
    for name in SCHEMAS_BY_TYPE:
        kept = [entry for entry in getattr(response, name) if entry.key in types]
        response.ClearField(name)
        getattr(response, name).extend(kept)
    serialized: bytes = response.SerializeToString()
    return serialized


def _schema_response() -> Any:
    """Return the class of the answer: the names of the types; the rest is kept as it is."""
    file = descriptor_pb2.FileDescriptorProto(name="schemas.proto", package="schemas")
    field = descriptor_pb2.FieldDescriptorProto
    entry = file.message_type.add(name="Entry")
    entry.field.add(name="key", number=1, type=field.TYPE_STRING, label=field.LABEL_OPTIONAL)
    response = file.message_type.add(name="Response")
    for name, number in SCHEMAS_BY_TYPE.items():
        response.field.add(
            name=name,
            number=number,
            type=field.TYPE_MESSAGE,
            type_name=".schemas.Entry",
            label=field.LABEL_REPEATED,
        )
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("schemas.Response"))


_SchemaResponse = _schema_response()
