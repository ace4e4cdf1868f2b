"""What a name says, how values under it are judged, and where names are looked for."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest

from api.collector.redaction import Detector, Redactor
from api.collector.redaction.names import NameKind, classify

EVERY = Redactor(frozenset(Detector))


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        ("password Password userPassword new_password password_confirmation password2 pwd passwd"
         " passphrase secret client-secret token access_token refreshToken id_token api_key apikey"
         " X-Api-Key csrf_token xsrfToken private_key user[password] PHPSESSID session_token jwt"
         " forgot_password_token remember_token auth_code authorizationCode oobCode SAMLResponse"
         " samlRequest SAMLart authorisation_code", NameKind.SECRET),
        ("cvv CVC card_cvc cvv2 csc pin userPin new_pin pin_code otp sms_otp securityCode"
         " reset_code",
         NameKind.CODE),
        ("authorization Proxy-Authorization auth cookie Set-Cookie sessionCookie",
         NameKind.CREDENTIAL),
        ("card_number cardNumber cardnumber cc_number ccNum credit_card_number", NameKind.CARD),
        ("ssn user_ssn social_security_number", NameKind.SSN),
        ("iban IBAN customerIban", NameKind.IBAN),
        ("phone phoneNumber tel mobile customer_phone telefon fax whatsapp", NameKind.PHONE),
        ("ip ipAddress ip_address remote_addr client_ip x-forwarded-for", NameKind.IP),
    ],
)  # fmt: skip
def test_a_name_says_what_stands_under_it(names: str, kind: NameKind) -> None:
    assert {name: classify(name) for name in names.split()} == dict.fromkeys(names.split(), kind)


_RESEMBLING = (
    "passwordless tokens_used pinned pincode secretary author authorized authMethod cookieConsent"
    " is_password_reset token_count token_type password_strength has_password shipping spin zip"
    " sessionId visitor_id keyword key code zip_code card_type card_last4 card_number_last4"
    " phone_model isMobile mobile_width microphone hotel telemetry passenger passport recipient"
    " forgot_password utm_medium eventType"
)


@pytest.mark.parametrize("name", _RESEMBLING.split())
def test_a_name_that_only_resembles_one_says_nothing(name: str) -> None:
    assert classify(name) is None


@pytest.mark.parametrize("value", [None, True, False, "", "true", "null", "0", "***", "••••••"])
def test_flags_and_masks_under_a_sensitive_name_are_left_alone(value: Any) -> None:
    assert EVERY.redact_value({"password": value}) == ({"password": value}, 0)


def test_each_leaf_below_a_sensitive_name_is_replaced() -> None:
    value = {"token": {"type": "x", "parts": ["abc", 12, None, True]}, "other": "y"}
    expected = {
        "token": {"type": "[redacted:secret]",
                  "parts": ["[redacted:secret]", "[redacted:secret]", None, True]},
        "other": "y",
    }  # fmt: skip
    assert EVERY.redact_value(value) == (expected, 3)


def test_a_form_field_is_known_by_the_name_beside_it() -> None:
    value = [{"name": "password", "value": "hunter2"}, {"name": "colour", "value": "red"}]
    redacted, _ = EVERY.redact_value(value)
    assert redacted == [{"name": "password", "value": "[redacted:secret]"}, value[1]]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("/cb?a=1&access_token=abc&b=2", "/cb?a=1&access_token=[redacted:secret]&b=2"),
        ("/cb#access_token=abc", "/cb#access_token=[redacted:secret]"),
        ("/cb?user%5Bpassword%5D=a%26b", "/cb?user%5Bpassword%5D=[redacted:secret]"),
        ("/go?to=%2Flogin%3Ftoken%3Da%2526b%26x%3D1",
         "/go?to=%2Flogin%3Ftoken%3D[redacted:secret]%26x%3D1"),
        ("https://bob:pw@h.example/a", "https://%5Bredacted:secret%5D@h.example/a"),
        ("/s?ip=203.0.113.77&x=1", "/s?ip=203.0.113.0&x=1"),
        ("/s?phone=%2B41446681800", "/s?phone=[redacted:phone]"),
        ("Authorization: Bearer abc.def", "Authorization: [redacted:secret]"),
        ("a=1; token=abc; b=2", "a=1; token=[redacted:secret]; b=2"),
        ("password: hunter2", "password: [redacted:secret]"),
        ("Secret: a novel", "Secret: a novel"),
        ("Forgot your password?", "Forgot your password?"),
        ("/s?token=&auth=1&pin=false", "/s?token=&auth=1&pin=false"),
        ("/cb?code=4%2F0AeanS0ZxYz-1_9kQmv7&state=x", "/cb?code=[redacted:secret]&state=x"),
        ("/go?to=%2Fcb%3Fcode%3D3f9a1c0b7d52e8a64410%26b",
         "/go?to=%2Fcb%3Fcode%3D[redacted:secret]%26b"),
        ("/app?ticket=ST-1856339-aA5Yuvrxzpv8Tau1cYQ7", "/app?ticket=[redacted:secret]"),
        ("/shop?code=SUMMER-10&ticket=12345678", "/shop?code=SUMMER-10&ticket=12345678"),
        ("/cb?code=M.R3_BAY.2!Uab*cdef$ghijkl", "/cb?code=[redacted:secret]"),
        ("/shop?code=the-long-name-of-a-product", "/shop?code=the-long-name-of-a-product"),
        ("/shop?code=the-long-name-of-a-product;page=2",
         "/shop?code=the-long-name-of-a-product;page=2"),
        ("go('/shop?code=the-long-name-of-a-product',5)",
         "go('/shop?code=the-long-name-of-a-product',5)"),
        ("/shop?code=Winter%20sale%20for%20everyone", "/shop?code=Winter%20sale%20for%20everyone"),
    ],
)  # fmt: skip
def test_names_in_a_text(text: str, expected: str) -> None:
    assert EVERY.redact_value({"url": text})[0] == {"url": expected}
    body = json.dumps({"url": text})
    for written in (body, body.replace("/", "\\/"), body.replace("=", "\\u003d")):
        assert text == expected or EVERY.suspects(written.encode()), written


def test_broken_json_is_read_as_text() -> None:
    text = '{"eventType":"x","properties":{"password":"a b","pin":1234,"token":{"a":["b"'
    expected = (
        '{"eventType":"x","properties":{"password":"[redacted:secret]",'
        '"pin":[redacted:secret],"token":[redacted:secret]'
    )
    assert EVERY.redact_text(text) == (expected, 3)


def test_every_way_to_write_a_name_is_suspect() -> None:
    words = (
        "pass word", "password", "access token", "api key", "private key", "card number", "cc no",
        "social security", "security code", "one time code", "mot de passe", "auth", "cookie",
        "pin", "otp", "cvv", "iban", "ssn", "csrf", "jwt", "client secret", "phone", "tel",
        "mobile",
        "auth code", "oob code", "saml response", "reset code",
        "contact number", "whats app", "ip", "remote addr", "forwarded for", "client ip", "fax",
    )  # fmt: skip
    around = itertools.product(("", "user_", "new-", "x"), ("", "2", "_value", "Number", " no"))
    joins = ("_", "-", "", " ", ".", "[", "\u00a0")
    values = {NameKind.PHONE: "0791234567", NameKind.IP: "203.0.113.7"}
    for (before, behind), phrase, join in itertools.product(list(around), words, joins):
        for change in (str.lower, str.upper, str.title):
            name = before + join.join(change(word) for word in phrase.split()) + behind
            if kind := classify(name):
                value = values.get(kind, "hunter2 4111")
                for body in ({name: value}, {"name": name, "value": value}, f"{name}={value}"):
                    assert EVERY.suspects(json.dumps(body).encode()), body
