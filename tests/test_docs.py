"""What the documents take from the code is not stale."""

from tests.generated_docs import PAGE, with_diagram


def test_the_state_diagram_is_the_table() -> None:
    page = PAGE.read_text()
    assert page == with_diagram(page), "run `make docs`"
