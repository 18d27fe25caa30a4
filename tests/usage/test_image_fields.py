"""The ratchet: each field of the SDK that can name a container image is read, or decided upon."""

from __future__ import annotations

import pytest

from image_fields import candidates, operations_read, reviewed, unread

WHOLE_SERVICE = "*"


@pytest.fixture(scope="module")
def left() -> dict[str, set[str]]:
    return unread()


def decided(service: str) -> set[str]:
    return {field for fields in reviewed().get(service, {}).values() for field in fields}


def test_every_field_that_can_name_an_image_is_read_or_decided_upon(
    left: dict[str, set[str]],
) -> None:
    """A field that fails here is new: read it by a row, or give the reason in image_fields.json."""
    undecided = {
        service: sorted(fields - decided(service))
        for service, fields in left.items()
        if WHOLE_SERVICE not in decided(service)
    }

    assert {service: fields for service, fields in undecided.items() if fields} == {}


def test_nothing_is_decided_upon_that_is_read_or_does_not_exist(
    left: dict[str, set[str]],
) -> None:
    for service in reviewed():
        assert decided(service) - {WHOLE_SERVICE} <= left.get(service, set())


def test_every_decision_has_a_reason_and_is_sorted() -> None:
    services = reviewed()

    assert list(services) == sorted(services)
    for reasons in services.values():
        assert all(reasons)
        assert all(fields == sorted(fields) for fields in reasons.values())


MODEL = {
    "operations": {
        "ListThings": {"output": {"shape": "Things"}},
        "CreateThing": {"output": {"shape": "Created"}},
    },
    "shapes": {
        "Things": {"type": "structure", "members": {"things": {"shape": "Many"}}},
        "Many": {"type": "list", "member": {"shape": "Thing"}},
        "Thing": {
            "type": "structure",
            "members": {
                "image": {"shape": "Text"},
                "source": {"shape": "Text", "documentation": "<p>The URI in Amazon ECR.</p>"},
                "name": {"shape": "Text", "documentation": "Any name."},
                "imageUri": {"shape": "Kind"},
                "inner": {"shape": "Thing"},
            },
        },
        "Created": {"type": "structure", "members": {"imageUri": {"shape": "Text"}}},
        "Text": {"type": "string"},
        "Kind": {"type": "string", "enum": ["A"]},
    },
}


def test_fields_are_found_by_name_and_by_documentation_in_what_is_read() -> None:
    assert candidates(MODEL) == {"Thing.image", "Thing.source"}
    assert candidates(MODEL, iter(["CreateThing"])) == {"Created.imageUri"}


def test_a_new_field_would_be_found() -> None:
    """What ECS says of its tasks would be missed if the source were not there."""
    assert "DescribeTasks" in operations_read()["ecs"]
