use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, date_time_ymd};

use super::*;

/// 2027-01-15, within the certificates' time.
const NOON: i64 = 1_800_000_000_000;
const DAY_MS: i64 = 86_400_000;

fn pem(kind: &str, der: &[u8]) -> String {
    pem::encode(&pem::Pem::new(kind, der))
}

/// A certificate that signed itself, valid in 2027.
fn certificate(key: &KeyPair) -> String {
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(2027, 1, 1);
    params.not_after = date_time_ymd(2028, 1, 1);
    params.self_signed(key).expect("signed").pem()
}

fn error(certificate: &str, key: &str, now_ms: i64) -> Option<TlsError> {
    Tls::from_pem(certificate.as_bytes(), key.as_bytes(), now_ms).err()
}

#[test]
fn keys_are_read_in_each_of_their_forms() {
    let ecdsa = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let rsa = KeyPair::generate_for(&PKCS_RSA_SHA256).expect("a key");
    // PKCS#8 wraps the older forms behind a head of a length that its kind of key fixes (RFC 5208 §5).
    let sec1 = pem("EC PRIVATE KEY", &ecdsa.serialized_der()[29..]);
    let pkcs1 = pem("RSA PRIVATE KEY", &rsa.serialized_der()[26..]);
    for (name, certificate, key) in [
        ("PKCS#8, ECDSA", certificate(&ecdsa), KeyPair::serialize_pem(&ecdsa)),
        ("PKCS#8, RSA", certificate(&rsa), KeyPair::serialize_pem(&rsa)),
        ("SEC1", certificate(&ecdsa), sec1),
        ("PKCS#1", certificate(&rsa), pkcs1),
        (
            "text around it",
            format!("subject=x\n{}", certificate(&ecdsa)),
            format!("\n# mine\n{}", KeyPair::serialize_pem(&ecdsa)),
        ),
    ] {
        assert_eq!(error(&certificate, &key, NOON), None, "{name}");
    }
}

#[test]
fn what_is_no_identity_is_refused_with_whose_fault_it_is() {
    let [key, other] = [(); 2].map(|()| KeyPair::generate().expect("a key"));
    let (good, private_key) = (certificate(&key), KeyPair::serialize_pem(&key));
    let encrypted = pem("ENCRYPTED PRIVATE KEY", &[0x30, 0]);
    let garbage = pem("CERTIFICATE", b"garbage");
    let long = good.repeat(MAX_CHAIN + 1);
    type Expected = fn(&TlsError) -> bool;
    let cases: &[(&str, &str, &str, Expected)] = &[
        ("no certificate", "", &private_key, |e| *e == TlsError::NoCertificate),
        ("a key as certificate", &private_key, &private_key, |e| *e == TlsError::NoCertificate),
        ("garbage as certificate", &garbage, &private_key, |e| matches!(e, TlsError::BadCertificate(_))),
        ("a broken frame", &good[..good.len() - 20], &private_key, |e| {
            matches!(e, TlsError::BadCertificate(_))
        }),
        ("too long a chain", &long, &private_key, |e| matches!(e, TlsError::BadCertificate(_))),
        ("no key", &good, "", |e| *e == TlsError::NoKey),
        ("a certificate as key", &good, &good, |e| *e == TlsError::NoKey),
        ("an encrypted key", &good, &encrypted, |e| *e == TlsError::NoKey),
        ("garbage as key", &good, &pem("PRIVATE KEY", b"garbage"), |e| *e == TlsError::BadKey),
        ("another's key", &good, &KeyPair::serialize_pem(&other), |e| *e == TlsError::KeyOfAnother),
    ];
    for (name, certificate, key, is_expected) in cases {
        let error = error(certificate, key, NOON).unwrap_or_else(|| unreachable!("{name}: taken"));
        assert!(is_expected(&error), "{name}: {error:?}");
        let is_about_key = name.ends_with("key") && !name.starts_with("a key");
        assert_eq!(error.is_about_key(), is_about_key, "{name}");
    }
}

#[test]
fn a_certificate_is_refused_before_and_after_its_time() {
    let key = KeyPair::generate().expect("a key");
    let (certificate, key) = (certificate(&key), KeyPair::serialize_pem(&key));
    let at = |now_ms| error(&certificate, &key, now_ms);
    // 2027-01-01 and 2028-01-01.
    let (begin, end) = (1_798_761_600_000, 1_830_297_600_000);
    assert_eq!(at(begin - 2 * DAY_MS), Some(TlsError::NotYet { days: 2 }));
    assert_eq!(at(begin - 1000), Some(TlsError::NotYet { days: 1 }));
    assert_eq!([at(begin), at(end)], [None, None], "both ends are within (RFC 5280 §4.1.2.5)");
    assert_eq!(at(end + 1000), Some(TlsError::Expired { days: 0 }));
    assert_eq!(at(end + 3 * DAY_MS), Some(TlsError::Expired { days: 3 }));
}

#[test]
fn neither_debug_nor_errors_show_a_key() {
    let key = KeyPair::generate().expect("a key");
    let tls = Tls::from_pem(certificate(&key).as_bytes(), KeyPair::serialize_pem(&key).as_bytes(), NOON)
        .expect("good");
    assert_eq!(format!("{tls:?}"), "Tls(…)");
}

#[tokio::test]
async fn a_handshake_that_does_not_come_is_not_waited_for() {
    let key = KeyPair::generate().expect("a key");
    let tls =
        Tls::from_pem(certificate(&key).as_bytes(), key.serialize_pem().as_bytes(), NOON).expect("good");
    let (ours, _silent) = tokio::io::duplex(64);
    let outcome = tls.accept(ours, Duration::from_millis(20)).await;
    assert_eq!(outcome.err().map(|error| error.kind()), Some(io::ErrorKind::TimedOut));
}

#[test]
fn a_renewal_is_shown_by_every_clone_and_its_end_is_known() {
    let key = KeyPair::generate().expect("a key");
    let at = |year: i32| {
        let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
        (params.not_before, params.not_after) = (date_time_ymd(2026, 1, 1), date_time_ymd(year, 1, 1));
        let made = params.self_signed(&key).expect("signed").pem();
        Tls::from_pem(made.as_bytes(), key.serialize_pem().as_bytes(), NOON).expect("good")
    };
    let (shown, renewal) = (at(2028), at(2029));
    let clone = shown.clone();
    assert_eq!((clone.ends_at_s(), clone.renewals()), (1_830_297_600, (0, 0)));
    shown.renew(&renewal);
    shown.count_refusal();
    assert_eq!((clone.ends_at_s(), clone.renewals()), (1_861_920_000, (1, 1)));
    assert!(Arc::ptr_eq(&clone.0.identity.read().config, &renewal.0.identity.read().config));
}
