"""How SageMaker says that something does not exist."""

from __future__ import annotations

import re

# Most operations answer ValidationException for what does not exist, with one of these sentences,
# though the model promises ResourceNotFound (https://github.com/aws/aws-sdk/issues/165).
GONE = re.compile(
    r" failed with (?:ResourceNotFound:|ValidationException: (?:"
    r"Could not find |Requested resource not found|Cannot find Model Package|"
    r"ModelPackage \S+ does not exist))"
)
