use proptest::prelude::*;

use super::*;

const PASSWORD: &str = "correct horse battery";
/// As Hypha's sample makes it: `sha256(password + salt)`, the salt being the text of 32 random bytes.
const SALT: &str = "7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f";
const SHA256: &str = "92843e147f0401ceb58764d9d0eff27ec1e066a4d15a8bef534ee49d5dbca1e5";

fn salted(output: &str, salt: &str, place: SaltPlace) -> Result<ForeignHash, HashFault> {
    ForeignHash::salted_sha256(hex(output)?, salt.into(), place)
}

/// Made by the libraries that the names say, of [`PASSWORD`].
const MADE: &[(&str, &str)] = &[
    ("bcrypt 2b", "$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS"),
    ("bcrypt 2a", "$2a$05$NVCao1AMnNvDKAehyo6z8eKD.8GRDUQ4riz3NHZfiAPQxyC/W71Dy"),
    ("bcrypt, Django", "bcrypt$$2b$04$GbnIvuBy0NCvhLtCHdEx5O8gICBWWlY.l4AqIjY7.AQUQKV6nrxya"),
    (
        "argon2id",
        "$argon2id$v=19$m=64,t=2,p=2$c2FsdHNhbHQxMjM0NTY3OA$V9eKFTd3ROVHNDNF804jdemKmX4JQ3raxuiyXDqOXLI",
    ),
    (
        "argon2i",
        "$argon2i$v=19$m=64,t=2,p=2$c2FsdHNhbHQxMjM0NTY3OA$r7YywQ8eXc98mOxPLDbvG8+GoqsyMIYSOciu0KMuGH8",
    ),
    (
        "argon2d",
        "$argon2d$v=19$m=64,t=2,p=2$c2FsdHNhbHQxMjM0NTY3OA$BZ648uhxpTnrSewSsY62fYWJw4qrTrph7ahiKyZas0Q",
    ),
    (
        "argon2i 1.0",
        "$argon2i$v=16$m=64,t=2,p=2$c2FsdHNhbHQxMjM0NTY3OA$X1xXJXZaWAkrH/JRixGi2p4oUR0xFeAkPhianOM7pGw",
    ),
    (
        "argon2id, Django",
        "argon2$argon2id$v=19$m=102400,t=2,p=8$c2FsdHlzYWx0c2FsdA$9Z8MrNR3GWS4Xim5V2G3MQ9z9AAXGz9/eesB5QnEoks",
    ),
    ("scrypt, passlib", "$scrypt$ln=10,r=8,p=1$c2FsdHlzYWx0$xEZEWJU4tJ41VUKKZ/E/9xGweZNAk3dkVIrT5fwXjq4"),
    (
        "scrypt, Werkzeug",
        "scrypt:1024:8:1$pIKdUEeNRiv8s1oX$2bfef0584b9ff79880ae5dd09cef22a228a109507945eb381af7276ba527754bbe050addc75f59a056fbf2a25d850847604666bd2b8880db4f026c368320272a",
    ),
    (
        "scrypt, Django",
        "scrypt$1024$saltysaltsalt$8$5$KXkZs8TYC8QMGod7pRc9Ym/V7B+40dX727x79/D+VGaTVZ6ri8eXyx4HFiV0WWj9Q2XcMP5yenZSC3TkxMkmXg==",
    ),
    (
        "PBKDF2 SHA-256, passlib",
        "$pbkdf2-sha256$1000$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvz9xKZihQ03KmTZTWR8gDAo",
    ),
    (
        "PBKDF2 SHA-512, passlib",
        "$pbkdf2-sha512$1000$.//.c2FsdHk$RFYSgiCtv3AiO/dwztuQ1ZngQFfMx5IdUwMSv3OZo0dy0K5XS4covcw6YxoHJkLlMY5eSv32qXA6EUktvl5kEA",
    ),
    ("PBKDF2 SHA-1, passlib", "$pbkdf2$1000$c2FsdHlzYWx0$DYHG5E2sByQI.8Vb0SFU/7G14f8"),
    (
        "PBKDF2 SHA-512, PHC",
        "$pbkdf2-sha512$i=1000,l=64$YXV0aDBzYWx0$by0tyxKUtijNYKS/oO8zqNbhKjdHz64lRiABy9oX0WODI8CxB4U7aNC5N/Togg1Rwf3jek0oyBXTwk7YUfXFzQ",
    ),
    (
        "PBKDF2 SHA-256, Werkzeug",
        "pbkdf2:sha256:1000$pqU42igGjMOvkE52$cb671f2d825330a8cdc45bf4500f99b1517e1f2689962b01241a64605a339d2b",
    ),
    (
        "PBKDF2 SHA-256, Django",
        "pbkdf2_sha256$1000$saltysaltsalt$uXm04jR3Zm5t5LACBLHoXyDWxEt/mXc4LDpOTHMQEmU=",
    ),
    ("PBKDF2 SHA-1, Django", "pbkdf2_sha1$1000$saltysaltsalt$r26BrXHLiiJXIqbSzGxVVwja9xE="),
];

#[test]
fn what_other_libraries_made_is_verified_and_has_one_spelling() {
    for (name, text) in MADE {
        let read = ForeignHash::read(text).unwrap_or_else(|fault| panic!("{name}: {fault:?}"));
        assert!(read.matches(PASSWORD.as_bytes()), "{name}");
        for wrong in ["correct horse batterz", "", "correct horse battery\0", "Correct horse battery"] {
            assert!(!read.matches(wrong.as_bytes()), "{name}: {wrong:?}");
        }
        let kept = read.to_text().expect("none of them is bare");
        let again = ForeignHash::read(&kept).unwrap_or_else(|fault| panic!("{name}: {kept}: {fault:?}"));
        assert_eq!(again.to_text().as_ref(), Some(&kept), "{name}");
        assert!(again.matches(PASSWORD.as_bytes()), "{name}: {kept}");
        assert!(!format!("{read:?}").contains(&text[text.len() - 8..]), "{name}: a hash is not shown");
    }
}

#[test]
fn bcrypt_reads_72_bytes_and_not_past_a_zero() {
    let hash =
        ForeignHash::read("$2b$04$bzjNTkUhgRpjuvLePaVg5uWMKepuThzkvtbmtPVR.5tjl0XumqLZC").expect("reads");
    let long = PASSWORD.repeat(5);
    assert!(hash.matches(&long.as_bytes()[..72]) && hash.matches(long.as_bytes()), "as the other system did");
    assert!(!hash.matches(&long.as_bytes()[..71]));
    let with_zero = format!("{PASSWORD}\0and more");
    assert!(!ForeignHash::read(MADE[0].1).expect("reads").matches(with_zero.as_bytes()));
}

#[test]
fn a_bare_sha256_is_kept_under_argon2id_alone() {
    let bare = salted(SHA256, SALT, SaltPlace::Behind).expect("reads");
    assert!(bare.matches(PASSWORD.as_bytes()) && !bare.matches(b"x"));
    assert!(bare.to_text().is_none(), "it has no spelling of its own");
    let before = salted(SHA256, SALT, SaltPlace::Before).expect("reads");
    assert!(!before.matches(PASSWORD.as_bytes()), "the salt stands elsewhere");
    let (inside, made) = bare.under().expect("bare");
    assert_eq!(inside.expose().len(), 32);
    let argon2 = argon2::Argon2::new(
        Algorithm::Argon2id,
        Version::V0x13,
        Params::new(64, 1, 1, None).expect("allowed"),
    );
    let phc =
        argon2::password_hash::PasswordHasher::hash_password_with_salt(&argon2, inside.expose(), &[7; 16])
            .expect("hashed")
            .to_string();
    let kept = made(&phc).expect("kept");
    let text = kept.to_text().expect("spelled");
    assert!(text.starts_with("$sha256-suffix$") && !text.contains(SHA256), "{text}");
    let again = ForeignHash::read(&text).expect("reads back");
    assert!(again.matches(PASSWORD.as_bytes()) && !again.matches(b"x") && again.costs_like_ours());
    assert!(again.under().is_none());
    for bad in ["92", "", "zz843e147f0401ceb58764d9d0eff27ec1e066a4d15a8bef534ee49d5dbca1e5", &SHA256[2..]] {
        assert!(salted(bad, "s", SaltPlace::Behind).is_err(), "{bad:?}");
    }
    assert!(salted(SHA256, &"s".repeat(257), SaltPlace::Behind).is_err());
}

#[test]
fn what_would_cost_minutes_or_gigabytes_is_refused_when_it_is_read() {
    let (salt, out) = ("c2FsdHlzYWx0", "mFrNkv5iSGH91rz48G6wvz9xKZihQ03KmTZTWR8gDAo");
    let bcrypt = |cost: &str| format!("$2b${cost}$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS");
    let costly = [
        bcrypt("31"),
        bcrypt("15"),
        format!("$scrypt$ln=30,r=8,p=1${salt}${out}"),
        format!("$scrypt$ln=255,r=8,p=1${salt}${out}"),
        format!("$scrypt$ln=256,r=8,p=1${salt}${out}"),
        format!("$scrypt$ln=18,r=8,p=1${salt}${out}"),
        format!("$scrypt$ln=17,r=8,p=5${salt}${out}"),
        format!("$scrypt$ln=10,r=4294967295,p=1${salt}${out}"),
        format!("$scrypt$ln=10,r=4294967295,p=4294967295${salt}${out}"),
        format!("$scrypt$ln=10,r=1,p=1000000${salt}${out}"),
        format!("scrypt:1073741824:8:1${salt}$00112233445566778899aabbccddeeff"),
        format!("$argon2id$v=19$m=67108864,t=1,p=1${salt}${out}"),
        format!("$argon2id$v=19$m=131072,t=5,p=1${salt}${out}"),
        format!("$argon2id$v=19$m=64,t=4294967295,p=1${salt}${out}"),
        format!("$argon2id$v=19$m=1024,t=1,p=17${salt}${out}"),
        format!("$argon2id$v=19$m=99999999999,t=1,p=1${salt}${out}"),
        format!("$pbkdf2-sha256$i=2000001${salt}${out}"),
        format!("$pbkdf2-sha256$99999999999${salt}${out}"),
        format!("pbkdf2_sha1$1900000$salt${}", "A".repeat(84)),
        format!("$sha256-suffix${salt}$argon2id$v=19$m=67108864,t=1,p=1${salt}${out}"),
    ];
    for text in costly {
        assert_eq!(ForeignHash::read(&text).err(), Some(HashFault::TooCostly), "{text}");
    }
    for text in [
        format!("$pbkdf2-sha256$i=999${salt}${out}"),
        format!("pbkdf2:sha256:1${salt}${}", "00".repeat(32)),
        format!("$scrypt$ln=9,r=8,p=1${salt}${out}"),
    ] {
        assert_eq!(ForeignHash::read(&text).err(), Some(HashFault::TooWeak), "{text}");
    }
}

#[test]
fn what_is_no_hash_is_refused_and_nothing_cut_is_taken_for_one() {
    for (text, fault) in [
        ("", HashFault::Unsupported),
        ("plain password", HashFault::Malformed),
        ("5f4dcc3b5aa765d61d8327deb882cf99", HashFault::Unsupported),
        ("$1$salt$qJH7.N4xYta3aEG/dfqo/0", HashFault::Unsupported),
        ("$6$salt$hash", HashFault::Unsupported),
        ("$2x$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", HashFault::Unsupported),
        ("$2b$4$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", HashFault::Malformed),
        ("$2b$03$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", HashFault::Malformed),
        ("$2b$04$abcdefghijklmnopqrstuu", HashFault::Malformed),
        ("$2", HashFault::Malformed),
        ("$2é", HashFault::Malformed),
        ("$argon2xx$v=19$m=64,t=1,p=1$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Unsupported),
        ("$argon2id$v=20$m=64,t=1,p=1$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Unsupported),
        ("$argon2id$v=19$m=64,t=1,p=1,keyid=x$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Malformed),
        ("$argon2id$v=19$m=4,t=1,p=1$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Malformed),
        ("$argon2id$v=19$m=64,t=0,p=1$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Malformed),
        ("$argon2id$v=19$m=64,t=1,p=1$c2E$mFrNkv5iSGH91rz48G6wvw", HashFault::Malformed),
        ("$argon2id$v=19$m=64,t=1,p=1$c2FsdHlzYWx0$mFrN", HashFault::Malformed),
        ("$argon2id$v=19$m=64,t=1,p=1$c2FsdHlzYWx0", HashFault::Malformed),
        ("$argon2id$v=19$m=+64,t=1,p=1$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Malformed),
        ("$pbkdf2-md5$i=1000$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Unsupported),
        ("$pbkdf2-sha256$i=1000,l=99$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Malformed),
        ("$pbkdf2-sha256$i=1000$$mFrNkv5iSGH91rz48G6wvw", HashFault::Malformed),
        ("$scrypt$ln=10,r=0,p=1$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw", HashFault::Malformed),
        ("scrypt:1000:8:1$salt$00112233445566778899aabbccddeeff", HashFault::Malformed),
        (
            "$sha256-middle$c2FsdA$argon2id$v=19$m=64,t=1,p=1$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw",
            HashFault::Malformed,
        ),
        (
            "$sha256-suffix$c2FsdA$argon2i$v=19$m=64,t=1,p=1$c2FsdHlzYWx0$mFrNkv5iSGH91rz48G6wvw",
            HashFault::Malformed,
        ),
        ("bcrypt_sha256$$2b$12$x", HashFault::Unsupported),
        ("imported:$2b$04$abcdefghijklmnopqrstuuqREtd3VJD2QVZbuFskFSLk6eRIrQoOS", HashFault::Unsupported),
    ] {
        assert_eq!(ForeignHash::read(text).err(), Some(fault), "{text}");
    }
    for (name, text) in MADE {
        for cut in (0..text.len()).step_by(7) {
            // An output may be shorter than its function's; one that was cut never matches.
            let matched = ForeignHash::read(&text[..cut])
                .is_ok_and(|hash| hash.to_text() == ForeignHash::read(text).expect("good").to_text());
            assert!(!matched, "{name} cut at {cut}");
        }
        assert!(
            ForeignHash::read(&format!("{text}\n")).is_err()
                && ForeignHash::read(&format!(" {text}")).is_err()
        );
    }
    assert_eq!(ForeignHash::read(&"$2b$".repeat(1000)).err(), Some(HashFault::Malformed));
}

proptest! {
    #[test]
    fn whatever_is_read_is_within_the_bounds_and_reads_back(
        start in prop::sample::select(vec![
            "", "$2b$", "$argon2id$v=19$", "argon2$argon2i$", "$scrypt$ln=", "scrypt:", "scrypt$", "$pbkdf2-sha256$i=", "$pbkdf2$", "pbkdf2_sha1$",
            "pbkdf2:sha512:", "$sha256-suffix$",
        ]),
        rest in "[$,:=a-zA-Z0-9./+é\\x00-]{0,120}",
        which in 0..MADE.len(),
        at in any::<prop::sample::Index>(),
        change in any::<char>(),
    ) {
        let text = MADE[which].1;
        let place = at.index(text.len());
        let changed = format!("{}{change}{}", &text[..place], &text[place + 1..]);
        for text in [format!("{start}{rest}"), changed] {
            if let Ok(read) = ForeignHash::read(&text) {
                let kept = read.to_text().expect("what is read is never bare");
                prop_assert!(kept.len() <= 2 * MAX_TEXT);
                let again = ForeignHash::read(&kept).map(|again| again.to_text());
                prop_assert_eq!(again, Ok(Some(kept)));
            }
        }
    }
}
