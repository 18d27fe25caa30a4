"""Ways into a Kubernetes cluster: its address, its CA and a token for it."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import boto3
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError
from botocore.signers import RequestSigner

from ecr_cleaner.aws.kubernetes import Endpoint, KubernetesApi
from ecr_cleaner.core.errors import CleanerError
from ecr_cleaner.deadline import Deadline

# Where Kubernetes mounts the credentials of a pod's service account.
SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


def in_cluster(
    environ: Mapping[str, str], cluster: str, deadline: Deadline, mount: Path = SERVICE_ACCOUNT
) -> KubernetesApi:
    """Return the API of the cluster that this process runs in, by its pod's service account.

    Raise CleanerError outside a pod, or if the pod has no service account mounted.
    """
    try:
        host, port = environ["KUBERNETES_SERVICE_HOST"], environ["KUBERNETES_SERVICE_PORT"]
        authority = (mount / "ca.crt").read_text()
    except (KeyError, OSError) as error:
        raise CleanerError(
            f"this is not a pod with a service account: {error!r}; scan-cluster runs inside a "
            "cluster (examples/in-cluster)"
        ) from error
    address = f"[{host}]" if ":" in host else host

    def token() -> str:
        # The kubelet replaces the file before the token expires.
        try:
            return (mount / "token").read_text().strip()
        except OSError as error:
            raise CleanerError(f"the token of the service account: {error}") from error

    endpoint = Endpoint(f"https://{address}:{port}", authority)
    return KubernetesApi(cluster, endpoint, token, deadline)


def authority_of(data: str) -> str:
    """Return the CA in PEM from the base64 that DescribeCluster returns; empty if it is none."""
    try:
        return b64decode(data, validate=True).decode("ascii")
    except ValueError:
        return ""


def eks_token(session: boto3.Session, meta: Any, cluster: str) -> str:
    """Return a bearer token for one EKS cluster: a presigned call of STS that names the cluster.

    ``meta`` is that of an STS client, whose endpoint is the one to sign for.

    Source: https://github.com/kubernetes-sigs/aws-iam-authenticator#api-authorization-from-outside-a-cluster
    """
    try:
        credentials = session.get_credentials()
        if credentials is None:
            raise NoCredentialsError
        service, region = meta.service_model.service_id, meta.region_name
        signer = RequestSigner(service, region, "sts", "v4", credentials, session.events)
        url = signer.generate_presigned_url(
            {
                "method": "GET",
                "url": f"{meta.endpoint_url}/?Action=GetCallerIdentity&Version=2011-06-15",
                "body": {},
                "headers": {"x-k8s-aws-id": cluster},
                "context": {},
            },
            region_name=region,
            expires_in=60,
            operation_name="",
        )
    except (BotoCoreError, ClientError) as error:
        raise CleanerError(f"no token can be made for the cluster {cluster}: {error}") from error
    return "k8s-aws-v1." + urlsafe_b64encode(url.encode()).decode().rstrip("=")
