"""Makes moto cheaper where it, or the SDK, does again what it has done."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from unittest import mock

import botocore.session
from botocore.httpsession import create_urllib3_context
from jsonpath_ng.ext.parser import parse
from moto.stepfunctions.parser.asl.component.state.exec.state_task import lambda_eval_utils
from moto.stepfunctions.parser.asl.parse.asl_parser import AmazonStateLanguageParser
from moto.stepfunctions.parser.asl.utils import json_path
from moto.stepfunctions.parser.asl.utils.boto_client import boto_client_for

parsed_definition = cache(AmazonStateLanguageParser.parse)
parsed_path = cache(parse)


@contextmanager
def cheap_calls() -> Iterator[None]:
    """Save half of the time of a call.

    moto reloads a module and lists the SDK's files again, and each client has TLS contexts.
    """
    # That of the tests, which shares what it has read.
    files = mock.patch("moto.core.utils.create_loader", botocore.session.create_loader)
    known = mock.patch("moto.s3.models.reload", lambda module: module)
    # Nothing is sent, so clients may share it.
    context = create_urllib3_context()
    shared = mock.patch("botocore.httpsession.create_urllib3_context", return_value=context)
    with files, known, shared:
        yield


@contextmanager
def cheap_executions() -> Iterator[None]:
    """Save half of the time of an execution: moto makes a client for each task.

    It parses the definition for each execution, and each path for each state.
    """
    make = cache(boto_client_for)
    clients = mock.patch.object(
        lambda_eval_utils, "boto_client_for", lambda region, service, **_: make(region, service)
    )
    definitions = mock.patch.object(AmazonStateLanguageParser, "parse", parsed_definition)
    paths = mock.patch.object(json_path, "parse", parsed_path)
    with clients, definitions, paths:
        yield
