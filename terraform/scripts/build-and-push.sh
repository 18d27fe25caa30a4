#!/bin/sh
# Builds the function's image and pushes it to its ECR repository.
#
#   build-and-push.sh [BUILD ARGUMENT...] CONTEXT
#
# CONTAINER_ENGINE    docker, podman, finch or nerdctl
# IMAGE_URI           REGISTRY/REPOSITORY:TAG to push to
# IMAGE_ARCHITECTURE  amd64 or arm64
# IMAGE_REGION        region of the registry
#
# The password for the registry is passed on neither in an argument nor in the environment, and the
# user's own login to registries stays as it is.
set -eu
umask 077

registry=${IMAGE_URI%%/*}
repository=${IMAGE_URI#*/}
tag=${repository##*:}
repository=${repository%:*}
export AWS_PAGER=

fail() {
  echo "build-and-push: $1" >&2
  exit 1
}

require() {
  command -v "$1" >/dev/null 2>&1 ||
    fail "the command $1 was not found. $2, or give the module a ready image in image_uri."
}

# Tags are immutable and name their sources, so an image that is there is the right one. Whatever
# else keeps the image from being described shows at the push.
is_pushed() {
  aws ecr describe-images --region "$IMAGE_REGION" --repository-name "$repository" \
    --image-ids "imageTag=$tag" >/dev/null 2>&1
}

build() {
  if "$CONTAINER_ENGINE" build --help 2>/dev/null | grep -q -e --provenance; then
    # A provenance attestation would make the image an index, which Lambda refuses.
    set -- --provenance=false "$@"
  elif [ "$CONTAINER_ENGINE" = docker ]; then
    # Docker's builder before BuildKit does not tell the Dockerfile where it builds.
    platform=$(docker version --format '{{.Server.Os}}/{{.Server.Arch}}')
    set -- --build-arg "BUILDPLATFORM=$platform" "$@"
  fi
  "$CONTAINER_ENGINE" build --platform "linux/$IMAGE_ARCHITECTURE" --tag "$IMAGE_URI" "$@"
}

# Some builders ignore --platform, and such a function would fail only when it is started.
check_architecture() {
  built=$("$CONTAINER_ENGINE" image inspect --format '{{.Architecture}}' "$IMAGE_URI")
  [ "$built" = "$IMAGE_ARCHITECTURE" ] ||
    fail "$CONTAINER_ENGINE built an image for $built, not for $IMAGE_ARCHITECTURE. Build with BuildKit, or set the module's architecture to what this host builds."
}

# What docker, podman and nerdctl read instead of the user's own file of logins.
write_login() {
  token=$(aws ecr get-authorization-token --region "$IMAGE_REGION" \
    --query 'authorizationData[0].authorizationToken' --output text)
  printf '{"auths": {"%s": {"auth": "%s"}}}\n' "$registry" "$token" >"$scratch/config.json"
}

# docker looks for the daemon in its contexts, which are in the directory that is replaced here.
keep_docker_context() {
  contexts=${DOCKER_CONFIG:-${HOME:-}/.docker}/contexts
  if [ "$CONTAINER_ENGINE" = docker ] && [ -d "$contexts" ]; then
    DOCKER_CONTEXT=$(docker context show)
    export DOCKER_CONTEXT
    ln -s "$contexts" "$scratch/contexts"
  fi
}

# finch keeps logins inside its virtual machine and reads no other file.
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
  echo "build-and-push: $IMAGE_URI is already there"
  exit 0
fi
require "$CONTAINER_ENGINE" "Install it, name another in container_engine"
build "$@"
check_architecture
push
