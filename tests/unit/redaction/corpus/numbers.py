"""Numbers of documented test ranges, or made so that their check digits hold."""

from __future__ import annotations

import random

import phonenumbers

TEST_CARDS = (
    # Stripe, Adyen, PayPal, Braintree and Worldpay document these for tests.
    "4111111111111111", "4242424242424242", "4012888888881881", "4000056655665556",
    "4917610000000000", "5555555555554444", "5105105105105100", "5200828282828210",
    "2223003122003222", "2223000048400011", "2720992593319364", "378282246310005",
    "371449635398431", "378734493671000", "341111111111111", "6011111111111117",
    "6011000990139424", "6011981111111113", "6500000000000002", "30569309025904",
    "38520000023237", "36227206271667", "3530111333300000", "3566002020360505",
    "6200000000000005", "6250946000000016", "6205500000000000004", "6759649826438453",
    "6304000000000000", "6799990100000000019",
)  # fmt: skip

_ISSUERS: dict[str, tuple[tuple[str, ...], tuple[int, ...]]] = {
    "visa": (("4",), (16,)),
    "mastercard": (("51", "52", "53", "54", "55"), (16,)),
    "mastercard2": (("2221", "2300", "2450", "2585", "2699", "2720"), (16,)),
    "amex": (("34", "37"), (15,)),
    "discover": (("6011", "644", "648", "649", "65"), (16,)),
    "diners": (("300", "303", "305", "36", "38", "39"), (14,)),
    "jcb": (("3528", "3540", "3566", "3589"), (16,)),
    "unionpay": (("6212", "6222", "6228", "6258", "6282"), (16, 17, 18, 19)),
    "maestro": (("5018", "5020", "5038", "6304", "6759", "6761", "6763"), (16, 18, 19)),
}


def luhn_digit(digits: str) -> str:
    """The check digit that ISO/IEC 7812 puts behind these digits."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        n = int(digit) * (2 if place % 2 == 0 else 1)
        total += n - 9 if n > 9 else n
    return str(-total % 10)


def digits(rng: random.Random, count: int) -> str:
    return "".join(rng.choice("0123456789") for _ in range(count))


def card(rng: random.Random) -> tuple[str, str]:
    """Issuer and number; one in four is a documented test card."""
    if rng.random() < 0.25:
        number = rng.choice([n for n in TEST_CARDS if luhn_digit(n[:-1]) == n[-1]])
        return "test", number
    issuer = rng.choice(list(_ISSUERS))
    prefixes, lengths = _ISSUERS[issuer]
    prefix, length = rng.choice(prefixes), rng.choice(lengths)
    body = prefix + digits(rng, length - len(prefix) - 1)
    return issuer, body + luhn_digit(body)


def grouped_card(number: str, separator: str) -> str:
    """As it stands on the card: 4-4-4-4, 4-6-5, 4-6-4, 4-4-4-4-3."""
    if len(number) == 15:
        sizes = [4, 6, 5]
    elif len(number) == 14:
        sizes = [4, 6, 4]
    else:
        sizes = [4] * (len(number) // 4) + ([len(number) % 4] if len(number) % 4 else [])
    parts, at = [], 0
    for size in sizes:
        parts.append(number[at : at + size])
        at += size
    return separator.join(parts)


def ssn(rng: random.Random, separator: str = "-") -> str:
    area = rng.choice([n for n in range(1, 900) if n != 666])
    return separator.join(
        (f"{area:03}", f"{rng.randrange(1, 100):02}", f"{rng.randrange(1, 10000):04}")
    )


_BBANS = {
    "DE": "18n", "CH": "5n12c", "AT": "16n", "FR": "10n11c2n", "IT": "1a10n12c", "ES": "20n",
    "GB": "4a14n", "NL": "4a10n", "BE": "12n", "PL": "24n", "SE": "20n", "NO": "11n", "DK": "14n",
    "FI": "14n", "PT": "21n", "IE": "4a14n", "LU": "3n13c", "CZ": "20n", "GR": "7n16c",
    "HU": "24n", "RO": "4a16c", "TR": "6n16c", "SA": "2n18c", "AE": "19n", "BR": "23n1a1c",
    "MT": "4a5n18c", "LI": "5n12c", "HR": "17n", "SK": "20n", "EE": "16n", "LT": "16n", "IL": "19n",
}  # fmt: skip


def iban(rng: random.Random) -> str:
    """An IBAN whose structure is its country's and whose check digits hold (ISO 13616)."""
    country = rng.choice(list(_BBANS))
    structure, bban, count = _BBANS[country], "", ""
    for char in structure:
        if char.isdigit():
            count += char
            continue
        alphabet = {
            "n": "0123456789",
            "a": "ABCDEFGHIJKLMNOPQRSTUVWXYZ",
            "c": "0123456789" if rng.random() < 0.7 else "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ",
        }[char]
        bban += "".join(rng.choice(alphabet) for _ in range(int(count)))
        count = ""
    numeric = "".join(str(int(c, 36)) for c in bban + country + "00")
    return f"{country}{98 - int(numeric) % 97:02}{bban}"


def grouped_iban(number: str, separator: str = " ") -> str:
    return separator.join(number[i : i + 4] for i in range(0, len(number), 4))


_REGIONS = (
    "CH", "DE", "AT", "FR", "IT", "ES", "GB", "NL", "BE", "SE", "NO", "DK", "FI", "PL", "PT", "IE",
    "CZ", "GR", "HU", "RO", "TR", "UA", "RU", "US", "US", "US", "CA", "MX", "BR", "AR", "CL", "CO",
    "AU", "NZ", "JP", "KR", "CN", "HK", "TW", "SG", "MY", "TH", "VN", "ID", "PH", "IN", "PK", "BD",
    "IL", "AE", "SA", "EG", "ZA", "NG", "KE", "MA", "IR", "LU",
)  # fmt: skip


def phone(rng: random.Random, regions: tuple[str, ...] = _REGIONS) -> phonenumbers.PhoneNumber:
    """A valid number: libphonenumber's example for a region, its last digits changed."""
    while True:
        kind = rng.choice(
            (phonenumbers.PhoneNumberType.MOBILE, phonenumbers.PhoneNumberType.FIXED_LINE)
        )
        example = phonenumbers.example_number_for_type(rng.choice(regions), kind)
        if example is None:
            continue
        text = phonenumbers.format_number(example, phonenumbers.PhoneNumberFormat.E164)
        changed = phonenumbers.parse(text[:-4] + digits(rng, 4))
        if phonenumbers.is_valid_number(changed):
            return changed
