"""What a phone's screen says of an act that its SIM is to confirm, and of a sign-in.

The text is made from the method alone, so that no caller has a word in it. With the platform's
short name before it, it has at most 50 characters of UCS-2 (display_text.py).
"""

from __future__ import annotations

FALLBACK = "kk"

SIGN_IN = {"kk": "кіру", "ru": "войти", "en": "sign in"}

_IDENTITY = "/qagazsyz.identity.v1"
_SIGNING = "/qagazsyz.signing.v1"
_REGISTRY = "/qagazsyz.registry.v1"
_REQUESTS = "/qagazsyz.requests.v1"

# Every method that a person confirms, by its full name; a test compares them with the contracts.
ACTS = {
    f"{_IDENTITY}.CertificateService/IssueCertificate": {
        "kk": "сертификат шығару",
        "ru": "выпустить сертификат",
        "en": "issue a certificate",
    },
    f"{_IDENTITY}.CertificateService/ApproveCertificate": {
        "kk": "сертификатты мақұлдау",
        "ru": "одобрить сертификат",
        "en": "approve a certificate",
    },
    f"{_IDENTITY}.CertificateService/RegisterCertificate": {
        "kk": "сертификатты тіркеу",
        "ru": "зарегистрировать сертификат",
        "en": "register a certificate",
    },
    f"{_IDENTITY}.SubjectService/UpdateSubject": {
        "kk": "субъект деректерін өзгерту",
        "ru": "изменить данные субъекта",
        "en": "change the data of a subject",
    },
    f"{_IDENTITY}.SubjectService/AddMembership": {
        "kk": "ұйымға мүше қосу",
        "ru": "добавить члена организации",
        "en": "add a member of an organization",
    },
    f"{_IDENTITY}.SubjectService/ApproveMembership": {
        "kk": "ұйым мүшесін мақұлдау",
        "ru": "одобрить члена организации",
        "en": "approve a member",
    },
    f"{_IDENTITY}.SubjectService/RemoveMembership": {
        "kk": "ұйым мүшесін шығару",
        "ru": "исключить члена организации",
        "en": "remove a member",
    },
    f"{_IDENTITY}.PhoneService/ImportSims": {
        "kk": "SIM тізімін жүктеу",
        "ru": "загрузить список SIM",
        "en": "import a list of SIMs",
    },
    f"{_IDENTITY}.PhoneService/BindPhone": {
        "kk": "телефон тіркеу",
        "ru": "привязать телефон",
        "en": "bind a phone",
    },
    f"{_IDENTITY}.PhoneService/ApprovePhone": {
        "kk": "телефонды мақұлдау",
        "ru": "одобрить телефон",
        "en": "approve a phone",
    },
    f"{_SIGNING}.KeyService/CreateKey": {
        "kk": "қолтаңба кілтін жасау",
        "ru": "создать ключ подписи",
        "en": "create a signing key",
    },
    f"{_SIGNING}.KeyService/RotateKey": {
        "kk": "қолтаңба кілтін ауыстыру",
        "ru": "сменить ключ подписи",
        "en": "rotate a signing key",
    },
    f"{_SIGNING}.KeyService/EnableKeyVersion": {
        "kk": "кілт нұсқасын қосу",
        "ru": "включить версию ключа",
        "en": "enable a key version",
    },
    f"{_SIGNING}.KeyService/DestroyKeyVersion": {
        "kk": "кілт нұсқасын жою",
        "ru": "уничтожить версию ключа",
        "en": "destroy a key version",
    },
    f"{_SIGNING}.MobileSignatureService/ImportSimKeys": {
        "kk": "SIM кілттерін жүктеу",
        "ru": "загрузить ключи SIM",
        "en": "import keys of SIMs",
    },
    f"{_REGISTRY}.ConsentService/GrantConsent": {
        "kk": "деректерге келісім беру",
        "ru": "дать согласие на доступ к данным",
        "en": "grant consent to a look-up",
    },
    f"{_REGISTRY}.DocumentService/CreateDocumentType": {
        "kk": "құжат түрін жасау",
        "ru": "создать вид документа",
        "en": "create a document type",
    },
    f"{_REGISTRY}.DocumentService/UpdateDocumentType": {
        "kk": "құжат түрін өзгерту",
        "ru": "изменить вид документа",
        "en": "change a document type",
    },
    f"{_REGISTRY}.DocumentService/ApproveLegalBases": {
        "kk": "құқықтық негіздерді мақұлдау",
        "ru": "одобрить правовые основания",
        "en": "approve legal bases",
    },
    f"{_REGISTRY}.DocumentService/EraseDocument": {
        "kk": "құжат мазмұнын өшіру",
        "ru": "стереть содержание документа",
        "en": "erase the content of a document",
    },
    f"{_REQUESTS}.PublicServiceService/CreatePublicService": {
        "kk": "мемлекеттік қызмет құру",
        "ru": "создать услугу",
        "en": "create a public service",
    },
    f"{_REQUESTS}.PublicServiceService/UpdatePublicService": {
        "kk": "мемлекеттік қызметті өзгерту",
        "ru": "изменить услугу",
        "en": "change a public service",
    },
    f"{_REQUESTS}.PublicServiceService/ApprovePublicService": {
        "kk": "мемлекеттік қызметті бекіту",
        "ru": "утвердить услугу",
        "en": "approve a public service",
    },
}


def act_shown(method: str, language: str) -> str:
    """Return what the screen says of a call of "/package.Service/Method". Raises KeyError for a
    method that no person confirms."""
    return _in(ACTS[method], language)


def sign_in_shown(language: str) -> str:
    """Return what the screen says of a sign-in."""
    return _in(SIGN_IN, language)


def _in(texts: dict[str, str], language: str) -> str:
    return texts.get(language, texts[FALLBACK])
