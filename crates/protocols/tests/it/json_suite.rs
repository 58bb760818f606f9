//! JSONTestSuite: everything it calls valid is accepted and everything it calls invalid is refused.

use doorward_protocols::json::{Limits, parse};

/// Called valid, declined on purpose: which of two equal names counts depends on the reader.
const DECLINED: [&str; 2] = ["y_object_duplicated_key.json", "y_object_duplicated_key_and_value.json"];

#[test]
fn the_suite_is_followed_except_for_duplicate_members() {
    let Some(folder) = crate::vectors("json/test_parsing") else { return };
    let (mut valid, mut invalid, mut free, mut declined) = (0, 0, 0, vec![]);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for path in files {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let outcome = parse(&std::fs::read(&path).unwrap(), Limits::STRANGER);
        match name.as_bytes()[0] {
            b'y' => {
                valid += 1;
                match outcome {
                    Ok(_) => {}
                    Err(error) if error.code() == "json_duplicate_member" => declined.push(name),
                    Err(error) => panic!("{name}: {error}"),
                }
            }
            b'n' => {
                invalid += 1;
                assert!(outcome.is_err(), "{name} was accepted");
            }
            // The standard leaves these open: an answer is all that is asked.
            b'i' => free += 1,
            _ => panic!("unexpected file {name}"),
        }
    }
    assert_eq!(declined, DECLINED);
    assert_eq!((valid, invalid), (95, 188));
    assert!(free > 0);
}
