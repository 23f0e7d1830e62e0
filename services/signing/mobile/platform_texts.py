"""What the platform itself writes on phones' screens and in messages, in three languages.

Texts on a screen go behind the platform's short name, and have 50 characters of UCS-2 with it;
messages have one part, 70 characters of UCS-2. Of a person they name nothing, of a number its end.
"""

from __future__ import annotations

from services.signing.mobile.clients import PhoneNoticeKind

# Digits of a number that a message names.
SHOWN_DIGITS = 4
FALLBACK = "kk"

# A phone's challenge, which its SIM signs.
CONFIRM_PHONE = {
    "kk": "осы нөмірді өзіңізге тіркеу",
    "ru": "привязать этот номер к вам",
    "en": "bind this number to you",
}
# That of one which is bound, and was not seen for long.
KEEP_PHONE = {
    "kk": "бұл нөмір әлі де сіздікі",
    "ru": "этот номер всё ещё ваш",
    "en": "this number is still yours",
}

NOTICES = {
    PhoneNoticeKind.ASKED: {
        "kk": "Сізге …{} нөмірін тіркеу сұралды, растау күтілуде",
        "ru": "Запрошена привязка к вам номера …{}, ждёт одобрения",
        "en": "Binding the number ...{} to you was asked for and waits for approval",
    },
    PhoneNoticeKind.PENDING: {
        "kk": "Сізге …{} нөмірі тіркелуде, SIM растауы күтілуде",
        "ru": "К вам привязывается номер …{}, ждём его SIM",
        "en": "The number ...{} is being bound to you and waits for its SIM",
    },
    PhoneNoticeKind.ACTIVE: {
        "kk": "Сізге …{} нөмірі тіркелді, енді ол қол қояды",
        "ru": "К вам привязан номер …{}, теперь он подписывает",
        "en": "The number ...{} is bound to you and signs for you now",
    },
    PhoneNoticeKind.UNBOUND: {
        "kk": "…{} нөмірі сізден ажыратылды",
        "ru": "Номер …{} от вас отвязан",
        "en": "The number ...{} is no longer bound to you",
    },
    PhoneNoticeKind.SWAPPED: {
        "kk": "…{} нөмірінің SIM картасы ауысты, ол енді қол қоймайды",
        "ru": "У номера …{} сменилась SIM, он больше не подписывает",
        "en": "The number ...{} has another SIM and signs for you no more",
    },
    PhoneNoticeKind.REBOUND: {
        "kk": "…{} нөмірі қайта тіркелді, бұрынғы тіркеу аяқталды",
        "ru": "Номер …{} привязан заново, прежняя привязка снята",
        "en": "The number ...{} was bound anew, its earlier binding has ended",
    },
    PhoneNoticeKind.REVOKED: {
        "kk": "…{} нөмірінің сертификаты аяқталды, ол қол қоймайды",
        "ru": "Сертификат номера …{} прекращён, он не подписывает",
        "en": "The certificate of the number ...{} has ended, it signs no more",
    },
}


def confirm_phone_text(language: str, *, is_bound: bool = False) -> str:
    """Return what is asked of a phone that is being bound, or that is and was not seen for long."""
    texts = KEEP_PHONE if is_bound else CONFIRM_PHONE
    return texts.get(language, texts[FALLBACK])


def notice_text(kind: PhoneNoticeKind, language: str, number: str) -> str:
    """Return what the holder's other phones are told of a phone."""
    texts = NOTICES[kind]
    return texts.get(language, texts[FALLBACK]).format(number[-SHOWN_DIGITS:])
