//! Generated pages are what the code says now.

use crate::{hold, root, text};

#[test]
fn generated_pages_are_up_to_date() {
    let pages = xtask::generate::pages(&root()).expect("the sources look as expected");
    assert!(!pages.is_empty(), "there are generated pages");
    let old = pages.iter().filter(|(path, wanted)| {
        !root().join(path).is_file() || text(path).as_deref() != Some(wanted.as_str())
    });
    hold(&old.map(|(path, _)| (*path).to_owned()).collect::<Vec<_>>(), "run `cargo xtask generate`");
}
