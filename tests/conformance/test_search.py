from urllib.parse import quote

import pytest

from tests.conformance.lines import pins
from tests.conformance.target import Target, ids, unique


@pins("operators")
def test_the_operators_compare(target: Target) -> None:
    token = unique()
    a, b, c = (target.made(clientReferenceId=f"{token}-{name}")["id"] for name in "abc")

    def found(operator: str) -> list[str]:
        listed = target.search(f"clientReferenceId~{token} AND clientReferenceId{operator}{token}-b")
        return sorted(ids(listed))

    assert found(":") == [b]
    assert found("~") == [b]
    assert found("!") == sorted([a, c])
    assert found(">") == [c]
    assert found("<") == [a]
    assert found(">=") == sorted([b, c])
    assert found("<=") == sorted([a, b])


@pins("operators")
@pytest.mark.parametrize(("joint", "count"), [(" AND ", 0), (",", 0), (" OR ", 2)])
def test_terms_are_combined(target: Target, joint: str, count: int) -> None:
    references = [unique(), unique()]
    for reference in references:
        target.made(clientReferenceId=reference)

    listed = target.search(joint.join(f"clientReferenceId:{reference}" for reference in references))

    assert listed["count"] == count


@pins("filter-lost")
@pytest.mark.parametrize(
    "text", ["nickname:{}", "{}", "clientReferenceId", "clientReferenceId:{} x", "firstName:a=b", ":", ""]
)
def test_what_is_not_understood_lists_everything(target: Target, text: str) -> None:
    target.made()

    listed = target.list(search=text.format(unique()), take=1)

    assert listed.status_code == 200
    assert listed.json()["count"] == target.list(take=1).json()["count"] > 0


@pins("value-cut")
def test_a_value_is_cut_at_a_second_operator(target: Target) -> None:
    token = unique()
    short = target.made(clientReferenceId=token)
    target.made(clientReferenceId=f"{token}:42")

    listed = target.search(f"clientReferenceId:{token}:42")

    assert ids(listed) == [short["id"]]


@pins("decoded-twice")
def test_the_parameter_is_decoded_twice(target: Target) -> None:
    token = unique()
    made = target.made(clientReferenceId=token)

    once_more = target.search(quote(f"clientReferenceId:{token}", safe=""))

    assert ids(once_more) == [made["id"]]


@pins("email-search", "decoded-twice")
@pytest.mark.parametrize("name", ["{}", "{}+tag", "o'{}", "a=b{}", "50%25{}", "a&b{}", "é{}", "{}#?/|"])
def test_an_address_is_found_by_two_bounds(target: Target, name: str) -> None:
    address = f"{name.format(unique())}@example.com"
    made = target.made(emailAddress=address)
    value = quote(address, safe="")

    listed = target.search(f'emailAddress>="{value}" AND emailAddress<="{value}"')

    assert ids(listed) == [made["id"]]


@pins("many-references")
def test_25_references_are_asked_in_one_request(target: Target) -> None:
    made = [target.made(clientReferenceId=unique()) for _ in range(25)]
    terms = [f"clientReferenceId:{row['client_reference_id']}" for row in made]

    listed = target.search(" OR ".join(terms), take=25)

    assert sorted(ids(listed)) == sorted(row["id"] for row in made)
    assert listed["count"] == 25
