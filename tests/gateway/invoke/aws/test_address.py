from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.invoke.aws.address import invoke_url
from gateway.targets import AwsTarget

ARN = "arn:aws:lambda:eu-west-1:123456789012:function:orders"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("orders", AwsTarget("orders", "orders", None, None)),
        ("orders:live", AwsTarget("orders", "orders", "live", None)),
        ("orders:$LATEST", AwsTarget("orders", "orders", "$LATEST", None)),
        (
            "123456789012:function:orders:7",
            AwsTarget("123456789012:function:orders", "orders", "7", None),
        ),
        (ARN, AwsTarget(ARN, "orders", None, "eu-west-1")),
        (f"{ARN}:live", AwsTarget(ARN, "orders", "live", "eu-west-1")),
        (
            "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:x",
            AwsTarget(
                "arn:aws-us-gov:lambda:us-gov-west-1:123456789012:function:x",
                "x",
                None,
                "us-gov-west-1",
            ),
        ),
    ],
)
def test_every_form_of_the_name(text: str, expected: AwsTarget) -> None:
    assert AwsTarget.parse(f"aws:{text}") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a b",
        "arn:aws:lambda:eu-west-1:function:x",
        "arn:aws:s3:::bucket",
        "x:y:z",
        "a" * 65,
        "é",
    ],
)
def test_what_is_no_function_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="the name or the ARN of a Lambda function is wanted"):
        AwsTarget.parse(text)


def test_the_url_escapes_as_aws_does() -> None:
    url = invoke_url(AwsTarget.parse(f"{ARN}:$LATEST"), "https://lambda.example/")
    assert url == (
        "https://lambda.example/2015-03-31/functions/"
        "arn%3Aaws%3Alambda%3Aeu-west-1%3A123456789012%3Afunction%3Aorders/invocations"
        "?Qualifier=%24LATEST"
    )


@given(st.text(max_size=200))
def test_no_text_makes_a_url_of_another_shape(text: str) -> None:
    try:
        target = AwsTarget.parse(text)
    except ValueError:
        return
    url = invoke_url(target, "https://h")
    assert url.startswith("https://h/2015-03-31/functions/")
    assert url.count("/") == 6 and url.isascii() and " " not in url
