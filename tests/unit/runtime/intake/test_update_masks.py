"""Which fields an update changes, by its mask (AIP-134)."""

from __future__ import annotations

import pytest
from google.protobuf.field_mask_pb2 import FieldMask

from qagazsyz.identity.v1 import subjects_pb2
from services.runtime.errors import InvalidArgument
from services.runtime.intake.update_masks import changed_paths

UPDATABLE = ["person.given_name", "person.family_name", "person.patronymic"]


def changed(*paths: str) -> list[str]:
    person = subjects_pb2.Person(iin="1", given_name="Ай")
    resource = subjects_pb2.Subject(name="subjects/1", person=person)
    return changed_paths(resource, FieldMask(paths=paths), updatable=UPDATABLE)


def test_without_a_mask_the_fields_that_are_set_change() -> None:
    assert changed() == ["person.given_name"]


@pytest.mark.parametrize("path", ["*", "person"])
def test_a_path_above_replaces_all_below_it(path: str) -> None:
    assert changed(path) == UPDATABLE


def test_a_mask_changes_what_it_names_set_or_not() -> None:
    assert changed("person.patronymic") == ["person.patronymic"]


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        (["nonsense"], "'nonsense' is no field"),
        ([""], "'' is no field"),
        (["person.nonsense"], "'person.nonsense' is no field"),
        (["person."], "'person.' is no field"),
        (["person.iin.more"], "'person.iin.more' is no field"),
        (["person.iin", "person.given_name"], "person.iin cannot be changed"),
        (["name"], "name cannot be changed"),
        (["organization.display_name"], "organization.display_name cannot be changed"),
        (["*", "person"], "stands alone"),
        (["*", "*"], "stands alone"),
        # The text is the caller's, and goes into logs and onto terminals.
        (["\x1b[2K"], r"'\\x1b\[2K' is no field"),
    ],
)
def test_a_path_that_cannot_change_is_named(paths: list[str], said: str) -> None:
    with pytest.raises(InvalidArgument, match=said) as refused:
        changed(*paths)
    assert refused.value.field == "update_mask.paths[0]"
