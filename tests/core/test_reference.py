"""Which image a consumer means by what it wrote."""

from __future__ import annotations

import json
import string
from pathlib import Path

import botocore
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ecr_cleaner.core.model import ImageReference, Registry
from ecr_cleaner.core.reference import DNS_SUFFIXES, DUAL_STACK_SUFFIXES, parse

HOST = "111122223333.dkr.ecr.eu-west-1.amazonaws.com"
HERE = Registry("111122223333", "eu-west-1")
HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"


def latest(registry: Registry = HERE, repository: str = "app") -> ImageReference:
    return ImageReference(registry, repository, tag="latest")


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        # One image, spelled ten ways: each names exactly the image in its own registry.
        (f"{HOST}/app:v1", ImageReference(HERE, "app", tag="v1")),
        (f"{HOST}/app@{DIGEST}", ImageReference(HERE, "app", digest=DIGEST)),
        (f"{HOST}/app:v1@{DIGEST}", ImageReference(HERE, "app", digest=DIGEST)),
        (f"{HOST}/app", latest()),
        ("111122223333.dkr-ecr.eu-west-1.on.aws/app", latest()),
        ("111122223333.dkr.ecr-fips.us-east-1.amazonaws.com/app",
         latest(Registry("111122223333", "us-east-1"))),
        ("111122223333.dkr.ecr.cn-north-1.amazonaws.com.cn/app",
         latest(Registry("111122223333", "cn-north-1"))),
        (f"{HOST}/team/backend/app", latest(repository="team/backend/app")),
        ("999988887777.dkr.ecr.eu-west-1.amazonaws.com/app",
         latest(Registry("999988887777", "eu-west-1"))),
        ("111122223333.dkr.ecr.us-west-2.amazonaws.com/app",
         latest(Registry("111122223333", "us-west-2"))),
        # More spellings of hosts.
        ("111122223333.dkr-ecr-fips.us-east-1.on.aws/app",
         latest(Registry("111122223333", "us-east-1"))),
        ("111122223333.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn/app",
         latest(Registry("111122223333", "cn-north-1"))),
        ("111122223333.dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu/app",
         latest(Registry("111122223333", "eusc-de-east-1"))),
        ("111122223333.dkr.ecr.eusc-de-east-1.amazonaws.eu/app",
         latest(Registry("111122223333", "eusc-de-east-1"))),
        ("111122223333.dkr.ecr.us-iso-east-1.c2s.ic.gov/app",
         latest(Registry("111122223333", "us-iso-east-1"))),
        (f"https://{HOST}/app", latest()),
        (f"docker://{HOST}/app", latest()),
        (f"{HOST.upper()}/app", latest()),
        (f"{HOST}:443/app", latest()),
        (f"{HOST}./app", latest()),
        (f"  {HOST}/app\n", latest()),
        # A name is a whole name.
        (f"{HOST}/app-prod", latest(repository="app-prod")),
        (f"{HOST}/team/app", latest(repository="team/app")),
        # Digests and tags.
        (f"{HOST}/app@sha512:{HEX * 2}", ImageReference(HERE, "app", digest=f"sha512:{HEX * 2}")),
        (f"{HOST}/app@blake3+b64:aGk=", ImageReference(HERE, "app", digest="blake3+b64:aGk=")),
        (f"{HOST}/app:_under.score-1", ImageReference(HERE, "app", tag="_under.score-1")),
        (f"{HOST}/app:{'t' * 128}", ImageReference(HERE, "app", tag="t" * 128)),
        # What cannot be understood below a known repository means all of it.
        (f"{HOST}/app:", ImageReference(HERE, "app")),
        (f"{HOST}/app:-v1", ImageReference(HERE, "app")),
        (f"{HOST}/app:{'t' * 129}", ImageReference(HERE, "app")),
        (f"{HOST}/app:a:b", ImageReference(HERE, "app")),
        (f"{HOST}/app:${{TAG}}", ImageReference(HERE, "app")),
        (f"{HOST}/app@", ImageReference(HERE, "app")),
        (f"{HOST}/app@sha256:abc", ImageReference(HERE, "app")),
        (f"{HOST}/app@{DIGEST.upper()}", ImageReference(HERE, "app")),
        (f"{HOST}/app:v1@latest", ImageReference(HERE, "app")),
    ],
)  # fmt: skip
def test_a_reference_names_exactly_what_its_text_says(text: str, meant: ImageReference) -> None:
    assert parse(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        "scratch",
        "nginx",
        "nginx:1.27",
        "library/nginx",
        "docker.io/library/nginx:latest",
        "public.ecr.aws/lambda/python:3.13",
        "ghcr.io/team/app:v1",
        "localhost:5000/app",
        HOST,
        f"{HOST}/",
        f"{HOST}/:v1",
        f"{HOST}/@{DIGEST}",
        f"x{HOST}/app",
        f"{HOST}.example.com/app",
        "11112222333.dkr.ecr.eu-west-1.amazonaws.com/app",
        "1111222233334.dkr.ecr.eu-west-1.amazonaws.com/app",
        "111122223333.dkr.ecr..amazonaws.com/app",
        "111122223333.dkr.ecr.eu-west-1.amazonaws.org/app",
        "111122223333.dkr-ecr.eu-west-1.amazonaws.com/app",
        "111122223333.dkr.ecr.eu-west-1.on.aws/app",
        "111122223333Xdkr.ecr.eu-west-1.amazonaws.com/app",
    ],
)
def test_what_is_not_in_private_ecr_is_no_reference_and_no_error(text: str) -> None:
    assert parse(text) is None


@given(st.text())
@example(f"{HOST}/\ud800:\x00@:")
def test_arbitrary_text_never_raises(text: str) -> None:
    parse(text)
    parse(f"{HOST}/app{text}")


COMPONENTS = st.sampled_from(["app", "app-prod", "a.b", "my_team", "0", "x--y"])
TAG_SIGNS = string.ascii_letters + string.digits + "_.-"
HOST_FORMATS = [
    f"{{}}.{registry}{fips}.{{}}.{suffix}"
    for registry, suffixes in (("dkr.ecr", DNS_SUFFIXES), ("dkr-ecr", DUAL_STACK_SUFFIXES))
    for fips in ("", "-fips")
    for suffix in suffixes
]
HOSTS = st.tuples(
    st.sampled_from(HOST_FORMATS),
    st.integers(0, 10**12 - 1).map("{:012}".format),
    st.sampled_from(["eu-west-1", "us-gov-west-1", "cn-north-1", "ap-southeast-7"]),
)


@given(
    host=HOSTS,
    name=st.lists(COMPONENTS, min_size=1, max_size=3).map("/".join),
    tag=st.none() | st.text(TAG_SIGNS, min_size=1, max_size=128).filter(lambda t: t[0] not in ".-"),
    digest=st.none() | st.binary(min_size=32, max_size=32).map(lambda b: f"sha256:{b.hex()}"),
)
def test_a_built_reference_comes_back_as_it_was(
    host: tuple[str, str, str], name: str, tag: str | None, digest: str | None
) -> None:
    form, account, region = host
    text = f"{form.format(account, region)}/{name}"
    text += f":{tag}" if tag else ""
    text += f"@{digest}" if digest else ""
    meant_tag = None if digest else tag or "latest"
    assert parse(text) == ImageReference(Registry(account, region), name, meant_tag, digest)


def test_the_dns_suffixes_are_those_of_every_partition_that_the_sdk_knows() -> None:
    data = json.loads((Path(botocore.__file__).parent / "data/partitions.json").read_text())
    assert {one["outputs"]["dnsSuffix"] for one in data["partitions"]} == set(DNS_SUFFIXES)
