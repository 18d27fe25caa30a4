#!/bin/sh
# Builds the image of the function and pushes it to its ECR repository. The module runs it, and it can be
# run by hand: see usage below.
#
# The script passes the registry password neither as an argument nor in the environment. It does not
# change the registry logins of the user, except that finch logs out of this registry after the push.
set -eu
umask 077
export AWS_PAGER=

usage() {
  cat <<'END'
Usage: IMAGE_URI=REGISTRY/REPOSITORY:TAG build-and-push.sh [BUILD ARGUMENT...] CONTEXT

Builds the image of CONTEXT, the directory lambda_src, and pushes it to an existing ECR repository.
If the tag exists already, it does nothing.

  IMAGE_URI           image to push, such as 123456789012.dkr.ecr.eu-central-1.amazonaws.com/tools/ecr-cleaner:1.0.0
  CONTAINER_ENGINE    docker (default), podman, finch or nerdctl
  IMAGE_ARCHITECTURE  arm64 (default) or amd64
  IMAGE_REGION        region of the registry; default: the one in IMAGE_URI

It needs the container engine and the AWS CLI with credentials that may push to the repository.
END
}

fail() {
  echo "build-and-push: $1" >&2
  exit 1
}

case ${1:-} in
-h | --help)
  usage
  exit 0
  ;;
'')
  usage >&2
  exit 2
  ;;
esac
[ -n "${IMAGE_URI:-}" ] || {
  usage >&2
  fail "IMAGE_URI is not set"
}

CONTAINER_ENGINE=${CONTAINER_ENGINE:-docker}
IMAGE_ARCHITECTURE=${IMAGE_ARCHITECTURE:-arm64}
registry=${IMAGE_URI%%/*}
repository=${IMAGE_URI#*/}
tag=${repository##*:}
repository=${repository%:*}
region=${registry#*.dkr.ecr.}
IMAGE_REGION=${IMAGE_REGION:-${region%%.*}}

require() {
  command -v "$1" >/dev/null 2>&1 ||
    fail "the command $1 was not found. $2, or set image_uri of the module to an existing image."
}

# A tag is immutable and is the hash of its sources, so an existing image is up to date. Errors of this
# call are ignored, because their cause shows again at the push.
is_pushed() {
  aws ecr describe-images --region "$IMAGE_REGION" --repository-name "$repository" \
    --image-ids "imageTag=$tag" >/dev/null 2>&1
}

build() {
  if "$CONTAINER_ENGINE" build --help 2>/dev/null | grep -q -e --provenance; then
    # With a provenance attestation, the engine pushes an image index, which Lambda does not accept.
    set -- --provenance=false "$@"
  elif [ "$CONTAINER_ENGINE" = docker ]; then
    # The legacy builder of Docker does not set BUILDPLATFORM, which the Dockerfile uses.
    platform=$(docker version --format '{{.Server.Os}}/{{.Server.Arch}}')
    set -- --build-arg "BUILDPLATFORM=$platform" "$@"
  fi
  "$CONTAINER_ENGINE" build --platform "linux/$IMAGE_ARCHITECTURE" --tag "$IMAGE_URI" "$@"
}

# Some builders ignore --platform. A function with a wrong image would fail only when it is invoked.
check_architecture() {
  built=$("$CONTAINER_ENGINE" image inspect --format '{{.Architecture}}' "$IMAGE_URI")
  [ "$built" = "$IMAGE_ARCHITECTURE" ] ||
    fail "$CONTAINER_ENGINE built an image for $built, not for $IMAGE_ARCHITECTURE. Build with BuildKit, or set architecture of the module to the architecture of this host."
}

# Write a login file for docker, podman and nerdctl, which they use instead of that of the user.
write_login() {
  token=$(aws ecr get-authorization-token --region "$IMAGE_REGION" \
    --query 'authorizationData[0].authorizationToken' --output text)
  printf '{"auths": {"%s": {"auth": "%s"}}}\n' "$registry" "$token" >"$scratch/config.json"
}

# docker finds its daemon through contexts, which are in the directory that DOCKER_CONFIG replaces.
keep_docker_context() {
  contexts=${DOCKER_CONFIG:-${HOME:-}/.docker}/contexts
  if [ "$CONTAINER_ENGINE" = docker ] && [ -d "$contexts" ]; then
    DOCKER_CONTEXT=$(docker context show)
    export DOCKER_CONTEXT
    ln -s "$contexts" "$scratch/contexts"
  fi
}

# finch stores logins in its virtual machine and does not read the login file.
push_with_finch() {
  password=$(aws ecr get-login-password --region "$IMAGE_REGION")
  printf '%s' "$password" | finch login --username AWS --password-stdin "$registry"
  pushed=0
  finch push "$IMAGE_URI" || pushed=$?
  finch logout "$registry"
  return "$pushed"
}

push() {
  if [ "$CONTAINER_ENGINE" = finch ]; then
    push_with_finch
    return
  fi
  scratch=$(mktemp -d)
  trap 'rm -rf "$scratch"' EXIT
  trap 'exit 1' HUP INT TERM
  write_login
  keep_docker_context
  DOCKER_CONFIG=$scratch REGISTRY_AUTH_FILE=$scratch/config.json "$CONTAINER_ENGINE" push "$IMAGE_URI"
}

require aws "Install the AWS CLI"
if is_pushed; then
  echo "build-and-push: $IMAGE_URI already exists in the repository"
  exit 0
fi
require "$CONTAINER_ENGINE" "Install it, set container_engine to another engine"
build "$@"
check_architecture
push
