"""NIST's Public Key Interoperability Test Suite (PKITS, version 1.0.1): its cases of paths and of
revocation, with the outcome that its document expects.

A row: the section of the document (with the subpart, if there are several), whether the path is to
be accepted, the end certificate, then the policy inputs: acceptable NIST test policies by number,
and initial-explicit-policy, initial-policy-mapping-inhibit, initial-any-policy-inhibit.

Certificates and lists are those of cryptography_vectors. As in the directory that the suite comes
with, all of them are at hand in every case.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from services.identity.validation.path_engine import PolicyInputs

_POLICY_ARC = "2.16.840.1.101.3.2.1.48."


@dataclass(frozen=True, slots=True)
class PkitsCase:
    """One case of the suite."""

    section: str
    accepted: bool
    name: str
    policies: PolicyInputs

    @property
    def certificate(self) -> bytes:
        """The end certificate, DER."""
        return (folder() / "certs" / f"{self.name}EE.crt").read_bytes()


def folder() -> Path:
    """Where the suite's certificates and lists are."""
    spec = find_spec("cryptography_vectors")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "x509" / "PKITS_data"


def _case(row: str) -> PkitsCase:
    section, outcome, name, *inputs = row.split()
    numbers = next((each[9:].split(",") for each in inputs if each.startswith("policies=")), [])
    return PkitsCase(
        section,
        {"pass": True, "fail": False}[outcome],
        name,
        PolicyInputs(
            frozenset(_POLICY_ARC + number for number in numbers),
            explicit="explicit" in inputs,
            inhibit_mapping="no-mapping" in inputs,
            inhibit_any="no-any" in inputs,
        ),
    )


_ROWS = """
4.1.1 pass ValidCertificatePathTest1
4.1.2 fail InvalidCASignatureTest2
4.1.3 fail InvalidEESignatureTest3
4.1.4 pass ValidDSASignaturesTest4
4.1.5 pass ValidDSAParameterInheritanceTest5
4.1.6 fail InvalidDSASignatureTest6
4.2.1 fail InvalidCAnotBeforeDateTest1
4.2.2 fail InvalidEEnotBeforeDateTest2
4.2.3 pass Validpre2000UTCnotBeforeDateTest3
4.2.4 pass ValidGeneralizedTimenotBeforeDateTest4
4.2.5 fail InvalidCAnotAfterDateTest5
4.2.6 fail InvalidEEnotAfterDateTest6
4.2.7 fail Invalidpre2000UTCEEnotAfterDateTest7
4.2.8 pass ValidGeneralizedTimenotAfterDateTest8
4.3.1 fail InvalidNameChainingTest1
4.3.2 fail InvalidNameChainingOrderTest2
4.3.3 pass ValidNameChainingWhitespaceTest3
4.3.4 pass ValidNameChainingWhitespaceTest4
4.3.5 pass ValidNameChainingCapitalizationTest5
4.3.6 pass ValidNameUIDsTest6
4.3.7 pass ValidRFC3280MandatoryAttributeTypesTest7
4.3.8 pass ValidRFC3280OptionalAttributeTypesTest8
4.3.9 pass ValidUTF8StringEncodedNamesTest9
4.3.10 pass ValidRolloverfromPrintableStringtoUTF8StringTest10
4.3.11 pass ValidUTF8StringCaseInsensitiveMatchTest11
4.4.1 fail InvalidMissingCRLTest1
4.4.2 fail InvalidRevokedCATest2
4.4.3 fail InvalidRevokedEETest3
4.4.4 fail InvalidBadCRLSignatureTest4
4.4.5 fail InvalidBadCRLIssuerNameTest5
4.4.6 fail InvalidWrongCRLTest6
4.4.7 pass ValidTwoCRLsTest7
4.4.8 fail InvalidUnknownCRLEntryExtensionTest8
4.4.9 fail InvalidUnknownCRLExtensionTest9
4.4.10 fail InvalidUnknownCRLExtensionTest10
4.4.11 fail InvalidOldCRLnextUpdateTest11
4.4.12 fail Invalidpre2000CRLnextUpdateTest12
4.4.13 pass ValidGeneralizedTimeCRLnextUpdateTest13
4.4.14 pass ValidNegativeSerialNumberTest14
4.4.15 fail InvalidNegativeSerialNumberTest15
4.4.16 pass ValidLongSerialNumberTest16
4.4.17 pass ValidLongSerialNumberTest17
4.4.18 fail InvalidLongSerialNumberTest18
4.4.19 pass ValidSeparateCertificateandCRLKeysTest19
4.4.20 fail InvalidSeparateCertificateandCRLKeysTest20
4.4.21 fail InvalidSeparateCertificateandCRLKeysTest21
4.5.1 pass ValidBasicSelfIssuedOldWithNewTest1
4.5.2 fail InvalidBasicSelfIssuedOldWithNewTest2
4.5.3 pass ValidBasicSelfIssuedNewWithOldTest3
4.5.4 pass ValidBasicSelfIssuedNewWithOldTest4
4.5.5 fail InvalidBasicSelfIssuedNewWithOldTest5
4.5.6 pass ValidBasicSelfIssuedCRLSigningKeyTest6
4.5.7 fail InvalidBasicSelfIssuedCRLSigningKeyTest7
4.5.8 fail InvalidBasicSelfIssuedCRLSigningKeyTest8
4.6.1 fail InvalidMissingbasicConstraintsTest1
4.6.2 fail InvalidcAFalseTest2
4.6.3 fail InvalidcAFalseTest3
4.6.4 pass ValidbasicConstraintsNotCriticalTest4
4.6.5 fail InvalidpathLenConstraintTest5
4.6.6 fail InvalidpathLenConstraintTest6
4.6.7 pass ValidpathLenConstraintTest7
4.6.8 pass ValidpathLenConstraintTest8
4.6.9 fail InvalidpathLenConstraintTest9
4.6.10 fail InvalidpathLenConstraintTest10
4.6.11 fail InvalidpathLenConstraintTest11
4.6.12 fail InvalidpathLenConstraintTest12
4.6.13 pass ValidpathLenConstraintTest13
4.6.14 pass ValidpathLenConstraintTest14
4.6.15 pass ValidSelfIssuedpathLenConstraintTest15
4.6.16 fail InvalidSelfIssuedpathLenConstraintTest16
4.6.17 pass ValidSelfIssuedpathLenConstraintTest17
4.7.1 fail InvalidkeyUsageCriticalkeyCertSignFalseTest1
4.7.2 fail InvalidkeyUsageNotCriticalkeyCertSignFalseTest2
4.7.3 pass ValidkeyUsageNotCriticalTest3
4.7.4 fail InvalidkeyUsageCriticalcRLSignFalseTest4
4.7.5 fail InvalidkeyUsageNotCriticalcRLSignFalseTest5
4.8.1.1 pass ValidCertificatePathTest1 explicit
4.8.1.2 pass ValidCertificatePathTest1 policies=1 explicit
4.8.1.3 fail ValidCertificatePathTest1 policies=2 explicit
4.8.1.4 pass ValidCertificatePathTest1 policies=1,2 explicit
4.8.2.1 pass AllCertificatesNoPoliciesTest2
4.8.2.2 fail AllCertificatesNoPoliciesTest2 explicit
4.8.3.1 pass DifferentPoliciesTest3
4.8.3.2 fail DifferentPoliciesTest3 explicit
4.8.3.3 fail DifferentPoliciesTest3 policies=1,2 explicit
4.8.4 fail DifferentPoliciesTest4
4.8.5 fail DifferentPoliciesTest5
4.8.6.1 pass OverlappingPoliciesTest6
4.8.6.2 pass OverlappingPoliciesTest6 policies=1
4.8.6.3 fail OverlappingPoliciesTest6 policies=2
4.8.7 fail DifferentPoliciesTest7
4.8.8 fail DifferentPoliciesTest8
4.8.9 fail DifferentPoliciesTest9
4.8.10.1 pass AllCertificatesSamePoliciesTest10
4.8.10.2 pass AllCertificatesSamePoliciesTest10 policies=1
4.8.10.3 pass AllCertificatesSamePoliciesTest10 policies=2
4.8.11.1 pass AllCertificatesanyPolicyTest11
4.8.11.2 pass AllCertificatesanyPolicyTest11 policies=1
4.8.12 fail DifferentPoliciesTest12
4.8.13.1 pass AllCertificatesSamePoliciesTest13 policies=1
4.8.13.2 pass AllCertificatesSamePoliciesTest13 policies=2
4.8.13.3 pass AllCertificatesSamePoliciesTest13 policies=3
4.8.14.1 pass AnyPolicyTest14 policies=1
4.8.14.2 fail AnyPolicyTest14 policies=2
4.8.15 pass UserNoticeQualifierTest15
4.8.16 pass UserNoticeQualifierTest16
4.8.17 pass UserNoticeQualifierTest17
4.8.18.1 pass UserNoticeQualifierTest18 policies=1
4.8.18.2 pass UserNoticeQualifierTest18 policies=2
4.8.19 pass UserNoticeQualifierTest19
4.8.20 pass CPSPointerQualifierTest20
4.9.1 pass ValidrequireExplicitPolicyTest1
4.9.2 pass ValidrequireExplicitPolicyTest2
4.9.3 fail InvalidrequireExplicitPolicyTest3
4.9.4 pass ValidrequireExplicitPolicyTest4
4.9.5 fail InvalidrequireExplicitPolicyTest5
4.9.6 pass ValidSelfIssuedrequireExplicitPolicyTest6
4.9.7 fail InvalidSelfIssuedrequireExplicitPolicyTest7
4.9.8 fail InvalidSelfIssuedrequireExplicitPolicyTest8
4.10.1.1 pass ValidPolicyMappingTest1 policies=1
4.10.1.2 fail ValidPolicyMappingTest1 policies=2
4.10.1.3 fail ValidPolicyMappingTest1 no-mapping
4.10.2.1 fail InvalidPolicyMappingTest2
4.10.2.2 fail InvalidPolicyMappingTest2 no-mapping
4.10.3.1 fail ValidPolicyMappingTest3 policies=1
4.10.3.2 pass ValidPolicyMappingTest3 policies=2
4.10.4 fail InvalidPolicyMappingTest4
4.10.5.1 pass ValidPolicyMappingTest5 policies=1
4.10.5.2 fail ValidPolicyMappingTest5 policies=6
4.10.6.1 pass ValidPolicyMappingTest6 policies=1
4.10.6.2 fail ValidPolicyMappingTest6 policies=6
4.10.7 fail InvalidMappingFromanyPolicyTest7
4.10.8 fail InvalidMappingToanyPolicyTest8
4.10.9 pass ValidPolicyMappingTest9
4.10.10 fail InvalidPolicyMappingTest10
4.10.11 pass ValidPolicyMappingTest11
4.10.12.1 pass ValidPolicyMappingTest12 policies=1
4.10.12.2 pass ValidPolicyMappingTest12 policies=2
4.10.13 pass ValidPolicyMappingTest13
4.10.14 pass ValidPolicyMappingTest14
4.11.1 fail InvalidinhibitPolicyMappingTest1
4.11.2 pass ValidinhibitPolicyMappingTest2
4.11.3 fail InvalidinhibitPolicyMappingTest3
4.11.4 pass ValidinhibitPolicyMappingTest4
4.11.5 fail InvalidinhibitPolicyMappingTest5
4.11.6 fail InvalidinhibitPolicyMappingTest6
4.11.7 pass ValidSelfIssuedinhibitPolicyMappingTest7
4.11.8 fail InvalidSelfIssuedinhibitPolicyMappingTest8
4.11.9 fail InvalidSelfIssuedinhibitPolicyMappingTest9
4.11.10 fail InvalidSelfIssuedinhibitPolicyMappingTest10
4.11.11 fail InvalidSelfIssuedinhibitPolicyMappingTest11
4.12.1 fail InvalidinhibitAnyPolicyTest1
4.12.2 pass ValidinhibitAnyPolicyTest2
4.12.3.1 pass inhibitAnyPolicyTest3
4.12.3.2 fail inhibitAnyPolicyTest3 no-any
4.12.4 fail InvalidinhibitAnyPolicyTest4
4.12.5 fail InvalidinhibitAnyPolicyTest5
4.12.6 fail InvalidinhibitAnyPolicyTest6
4.12.7 pass ValidSelfIssuedinhibitAnyPolicyTest7
4.12.8 fail InvalidSelfIssuedinhibitAnyPolicyTest8
4.12.9 pass ValidSelfIssuedinhibitAnyPolicyTest9
4.12.10 fail InvalidSelfIssuedinhibitAnyPolicyTest10
4.13.1 pass ValidDNnameConstraintsTest1
4.13.2 fail InvalidDNnameConstraintsTest2
4.13.3 fail InvalidDNnameConstraintsTest3
4.13.4 pass ValidDNnameConstraintsTest4
4.13.5 pass ValidDNnameConstraintsTest5
4.13.6 pass ValidDNnameConstraintsTest6
4.13.7 fail InvalidDNnameConstraintsTest7
4.13.8 fail InvalidDNnameConstraintsTest8
4.13.9 fail InvalidDNnameConstraintsTest9
4.13.10 fail InvalidDNnameConstraintsTest10
4.13.11 pass ValidDNnameConstraintsTest11
4.13.12 fail InvalidDNnameConstraintsTest12
4.13.13 fail InvalidDNnameConstraintsTest13
4.13.14 pass ValidDNnameConstraintsTest14
4.13.15 fail InvalidDNnameConstraintsTest15
4.13.16 fail InvalidDNnameConstraintsTest16
4.13.17 fail InvalidDNnameConstraintsTest17
4.13.18 pass ValidDNnameConstraintsTest18
4.13.19 pass ValidDNnameConstraintsTest19
4.13.20 fail InvalidDNnameConstraintsTest20
4.13.21 pass ValidRFC822nameConstraintsTest21
4.13.22 fail InvalidRFC822nameConstraintsTest22
4.13.23 pass ValidRFC822nameConstraintsTest23
4.13.24 fail InvalidRFC822nameConstraintsTest24
4.13.25 pass ValidRFC822nameConstraintsTest25
4.13.26 fail InvalidRFC822nameConstraintsTest26
4.13.27 pass ValidDNandRFC822nameConstraintsTest27
4.13.28 fail InvalidDNandRFC822nameConstraintsTest28
4.13.29 fail InvalidDNandRFC822nameConstraintsTest29
4.13.30 pass ValidDNSnameConstraintsTest30
4.13.31 fail InvalidDNSnameConstraintsTest31
4.13.32 pass ValidDNSnameConstraintsTest32
4.13.33 fail InvalidDNSnameConstraintsTest33
4.13.34 pass ValidURInameConstraintsTest34
4.13.35 fail InvalidURInameConstraintsTest35
4.13.36 pass ValidURInameConstraintsTest36
4.13.37 fail InvalidURInameConstraintsTest37
4.13.38 fail InvalidDNSnameConstraintsTest38
4.14.1 pass ValiddistributionPointTest1
4.14.2 fail InvaliddistributionPointTest2
4.14.3 fail InvaliddistributionPointTest3
4.14.4 pass ValiddistributionPointTest4
4.14.5 pass ValiddistributionPointTest5
4.14.6 fail InvaliddistributionPointTest6
4.14.7 pass ValiddistributionPointTest7
4.14.8 fail InvaliddistributionPointTest8
4.14.9 fail InvaliddistributionPointTest9
4.14.10 pass ValidNoissuingDistributionPointTest10
4.14.11 fail InvalidonlyContainsUserCertsTest11
4.14.12 fail InvalidonlyContainsCACertsTest12
4.14.13 pass ValidonlyContainsCACertsTest13
4.14.14 fail InvalidonlyContainsAttributeCertsTest14
4.14.15 fail InvalidonlySomeReasonsTest15
4.14.16 fail InvalidonlySomeReasonsTest16
4.14.17 fail InvalidonlySomeReasonsTest17
4.14.18 pass ValidonlySomeReasonsTest18
4.14.19 pass ValidonlySomeReasonsTest19
4.14.20 fail InvalidonlySomeReasonsTest20
4.14.21 fail InvalidonlySomeReasonsTest21
4.14.22 pass ValidIDPwithindirectCRLTest22
4.14.23 fail InvalidIDPwithindirectCRLTest23
4.14.24 pass ValidIDPwithindirectCRLTest24
4.14.25 pass ValidIDPwithindirectCRLTest25
4.14.26 fail InvalidIDPwithindirectCRLTest26
4.14.27 fail InvalidcRLIssuerTest27
4.14.28 pass ValidcRLIssuerTest28
4.14.29 pass ValidcRLIssuerTest29
4.14.30 pass ValidcRLIssuerTest30
4.14.31 fail InvalidcRLIssuerTest31
4.14.32 fail InvalidcRLIssuerTest32
4.14.33 pass ValidcRLIssuerTest33
4.14.34 fail InvalidcRLIssuerTest34
4.14.35 fail InvalidcRLIssuerTest35
4.15.1 fail InvaliddeltaCRLIndicatorNoBaseTest1
4.15.2 pass ValiddeltaCRLTest2
4.15.3 fail InvaliddeltaCRLTest3
4.15.4 fail InvaliddeltaCRLTest4
4.15.5 pass ValiddeltaCRLTest5
4.15.6 fail InvaliddeltaCRLTest6
4.15.7 pass ValiddeltaCRLTest7
4.15.8 pass ValiddeltaCRLTest8
4.15.9 fail InvaliddeltaCRLTest9
4.15.10 fail InvaliddeltaCRLTest10
4.16.1 pass ValidUnknownNotCriticalCertificateExtensionTest1
4.16.2 fail InvalidUnknownCriticalCertificateExtensionTest2
"""

CASES = [_case(row) for row in _ROWS.strip().splitlines()]
# Must be accepted, and are refused on purpose, with the reason.
REFUSED = {
    "4.1.4": "DSA",
    "4.1.5": "DSA, with parameters inherited from the issuer",
}
