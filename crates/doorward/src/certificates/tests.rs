use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};

use super::*;
use crate::config::TlsFiles;

/// 2027-01-15.
const NOW_MS: i64 = 1_800_000_000_000;

/// A certificate until the first day of `year`, and its key.
fn pair(year: i32) -> (String, String) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (date_time_ymd(2020, 1, 1), date_time_ymd(year, 1, 1));
    (params.self_signed(&key).expect("signed").pem(), key.serialize_pem())
}

struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Puts another file in its place, as programs that renew do.
    fn put(&self, name: &str, text: &str) {
        let draft = self.file("draft");
        fs::write(&draft, text).expect("written");
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).expect("set");
        fs::rename(draft, self.file(name)).expect("renamed");
    }
}

fn begin() -> (Place, Certificates) {
    let place = Place { directory: tempfile::tempdir().expect("a directory") };
    let (certificate, key) = pair(2028);
    place.put("tls.pem", &certificate);
    place.put("tls.key", &key);
    let files = TlsFiles { certificate: place.file("tls.pem"), key: place.file("tls.key") };
    let server = Server {
        listen: ([127, 0, 0, 1], 0).into(),
        public_url: None,
        trusted_proxies: Vec::new(),
        max_connections: 16,
        leave_after_s: 0,
        tls: Some(files),
    };
    let shown = stamps(&server);
    let tls = tls::read(&server, NOW_MS).expect("good").expect("TLS");
    (place, Certificates { server, strict: true, tls, shown, seen: shown, said: None })
}

const UNTIL_2028: u64 = 1_830_297_600;
const UNTIL_2029: u64 = 1_861_920_000;

#[test]
fn a_renewal_is_taken_once_both_files_have_stood_still() {
    let (place, mut certificates) = begin();
    let tls = certificates.tls();
    let (certificate, key) = pair(2029);
    place.put("tls.pem", &certificate);
    certificates.look(NOW_MS, false);
    assert_eq!(tls.ends_at_s(), UNTIL_2028, "it may be written still");
    certificates.look(NOW_MS, false);
    assert_eq!((tls.ends_at_s(), tls.renewals()), (UNTIL_2028, (0, 1)), "its key is another's");
    place.put("tls.key", &key);
    certificates.look(NOW_MS, false);
    certificates.look(NOW_MS, false);
    assert_eq!((tls.ends_at_s(), tls.renewals()), (UNTIL_2029, (1, 1)));
    certificates.look(NOW_MS, true);
    assert_eq!(tls.renewals(), (1, 1), "nothing changed");
}

#[test]
fn whoever_asks_is_served_at_once() {
    let (place, mut certificates) = begin();
    let (certificate, key) = pair(2029);
    place.put("tls.pem", &certificate);
    place.put("tls.key", &key);
    certificates.look(NOW_MS, true);
    assert_eq!(certificates.tls().ends_at_s(), UNTIL_2029);
}

#[test]
fn what_cannot_be_shown_leaves_the_old_one_and_is_counted_once() {
    let (certificate, key) = pair(2029);
    let (over, key_of_over) = pair(2021);
    let open = |place: &Place| {
        fs::set_permissions(place.file("tls.key"), fs::Permissions::from_mode(0o644)).expect("set");
    };
    type Breaks<'a> = &'a dyn Fn(&Place);
    let cases: [(&str, Breaks<'_>); 6] = [
        ("half-written", &|place| place.put("tls.pem", &certificate[..certificate.len() / 2])),
        ("empty", &|place| place.put("tls.key", "")),
        ("gone", &|place| fs::remove_file(place.file("tls.pem")).expect("removed")),
        ("of two renewals", &|place| place.put("tls.key", &key)),
        ("over", &|place| {
            place.put("tls.pem", &over);
            place.put("tls.key", &key_of_over);
        }),
        ("open to others", &open),
    ];
    for (name, breaks) in cases {
        let (place, mut certificates) = begin();
        let tls = certificates.tls();
        breaks(&place);
        for _ in 0..4 {
            certificates.look(NOW_MS, false);
        }
        assert_eq!((tls.ends_at_s(), tls.renewals()), (UNTIL_2028, (0, 1)), "{name}");
        place.put("tls.pem", &certificate);
        place.put("tls.key", &key);
        for _ in 0..2 {
            certificates.look(NOW_MS, false);
        }
        assert_eq!((tls.ends_at_s(), tls.renewals()), (UNTIL_2029, (1, 1)), "{name}: mended");
    }
}

#[test]
fn a_certificate_of_tomorrow_is_taken_tomorrow() {
    let (place, mut certificates) = begin();
    let tls = certificates.tls();
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    (params.not_before, params.not_after) = (date_time_ymd(2027, 1, 16), date_time_ymd(2029, 1, 1));
    place.put("tls.pem", &params.self_signed(&key).expect("signed").pem());
    place.put("tls.key", &key.serialize_pem());
    for _ in 0..3 {
        certificates.look(NOW_MS, false);
    }
    assert_eq!((tls.ends_at_s(), tls.renewals()), (UNTIL_2028, (0, 1)));
    certificates.look(NOW_MS + 2 * 86_400_000, false);
    assert_eq!((tls.ends_at_s(), tls.renewals()), (UNTIL_2029, (1, 1)));
}
