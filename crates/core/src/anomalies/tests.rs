use super::*;
use crate::ports::locations::Place;

const NOW: i64 = 1_800_000_000_000;
const MINUTE: i64 = 60_000;

/// London, New York, and an address that is only known to be in Europe.
struct Atlas;

impl Locations for Atlas {
    fn place(&self, address: IpAddr) -> Option<Place> {
        let (latitude, longitude, within_km) = match address.to_string().as_str() {
            "192.0.2.1" => (51.5, -0.1, 20.0),
            "192.0.2.2" => (51.6, 0.4, 20.0),
            "198.51.100.1" => (40.7, -74.0, 20.0),
            "203.0.113.1" => (50.0, 10.0, 2_000.0),
            _ => return None,
        };
        Some(Place { latitude, longitude, within_km })
    }
}

fn login(address: &str, user_agent: &str, ago_ms: i64) -> PastLogin {
    PastLogin { address: Some(address.into()), user_agent: Some(user_agent.into()), at_ms: NOW - ago_ms }
}

fn judge(what: What, address: &str, user_agent: &str, before: &[PastLogin]) -> Vec<(&'static str, String)> {
    let measures = Measures { stuffing: 3, ..Measures::default() };
    let sight = Sight {
        what,
        now_ms: NOW,
        address: Some(address.parse().expect("an address")),
        user_agent: Some(user_agent),
        before,
        measures: &measures,
        locations: &Atlas,
    };
    Anomalies::default().judge(&sight).into_iter().map(|found| (found.rule, found.reason)).collect()
}

const LOG_IN: What =
    What::LogIn { failed: Tally { accounts_from_here: 0, networks_at_account: 0, is_new: false } };
const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";

#[test]
fn nothing_is_odd_about_the_first_log_in_or_one_like_the_last() {
    assert_eq!(judge(LOG_IN, "192.0.2.1", FIREFOX, &[]), []);
    assert_eq!(judge(LOG_IN, "192.0.2.1", FIREFOX, &[login("192.0.2.1", FIREFOX, MINUTE)]), []);
}

#[test]
fn an_update_is_no_new_device_but_another_browser_is() {
    let before = [login("192.0.2.1", FIREFOX, MINUTE)];
    assert_eq!(judge(LOG_IN, "192.0.2.1", &FIREFOX.replace("128", "131"), &before), []);
    let found = judge(LOG_IN, "192.0.2.1", "curl/8.5.0", &before);
    assert_eq!(found, [("new_device", "the first log-in with curl/8.5.0; known: 1".to_owned())]);
}

#[test]
fn what_a_client_calls_itself_reaches_the_log_without_control_characters_and_shortened() {
    let before = [login("192.0.2.1", FIREFOX, MINUTE)];
    let found = judge(LOG_IN, "192.0.2.1", &format!("evil\u{1b}[2J\n{}", "x".repeat(500)), &before);
    assert!(!found[0].1.contains(char::is_control) && found[0].1.len() < 250, "{found:?}");
}

#[test]
fn crossing_an_ocean_takes_hours() {
    let at = |ago_ms| judge(LOG_IN, "198.51.100.1", FIREFOX, &[login("192.0.2.1", FIREFOX, ago_ms)]);
    let found = at(30 * MINUTE);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].0, "impossible_travel");
    assert!(found[0].1.starts_with("at least 55"), "London to New York is 5,570 km: {}", found[0].1);
    assert!(found[0].1.contains("30 min ago at 192.0.2.1"), "{}", found[0].1);
    assert_eq!(at(8 * 60 * MINUTE), [], "a flight");
    assert!(!at(-MINUTE).is_empty(), "a clock that was set back makes nobody faster");
}

#[test]
fn what_locating_may_be_wrong_by_is_no_travel() {
    let at = |address| judge(LOG_IN, address, FIREFOX, &[login("192.0.2.1", FIREFOX, 1)]);
    assert_eq!(at("192.0.2.2"), [], "next town");
    assert_eq!(at("203.0.113.1"), [], "somewhere in Europe");
    assert_eq!(at("10.0.0.1"), [], "nobody knows where");
}

#[test]
fn an_address_without_a_place_does_not_hide_the_one_before_it() {
    let before = [login("10.0.0.1", FIREFOX, MINUTE), login("192.0.2.1", FIREFOX, 30 * MINUTE)];
    assert_eq!(judge(LOG_IN, "198.51.100.1", FIREFOX, &before)[0].0, "impossible_travel");
}

#[test]
fn a_network_that_tries_many_accounts_is_told_once_and_its_success_always() {
    let failed = |accounts_from_here, networks_at_account, is_new| Tally {
        accounts_from_here,
        networks_at_account,
        is_new,
    };
    let rules = |what| judge(what, "192.0.2.1", FIREFOX, &[]).into_iter().map(|(rule, _)| rule).collect();
    let failure = |tally| -> Vec<_> { rules(What::FailedLogIn { failed: tally }) };
    let success = |tally| -> Vec<_> { rules(What::LogIn { failed: tally }) };
    assert_eq!(failure(failed(2, 1, true)), [""; 0]);
    assert_eq!(failure(failed(3, 1, true)), ["credential_stuffing"]);
    assert_eq!(failure(failed(3, 1, false)), [""; 0], "the same account again");
    assert_eq!(failure(failed(4, 1, true)), [""; 0], "told already");
    assert_eq!(failure(failed(1, 3, true)), ["credential_stuffing"], "many networks at one account");
    assert_eq!(success(failed(2, 0, false)), [""; 0]);
    assert_eq!(success(failed(9, 0, false)), ["credential_stuffing"]);
    assert_eq!(success(failed(0, 9, false)), [""; 0], "strangers must not keep an owner out");
}

#[test]
fn a_policy_of_ignore_keeps_a_rule_from_looking_and_block_marks_what_it_finds() {
    let measures = Measures::default();
    let before = [login("192.0.2.1", FIREFOX, MINUTE)];
    let sight = Sight {
        what: LOG_IN,
        now_ms: NOW,
        address: None,
        user_agent: None,
        before: &before,
        measures: &measures,
        locations: &Nowhere,
    };
    let under = |policy| {
        let policies = [("new_device", policy)].into();
        Anomalies { policies, ..Anomalies::default() }.judge(&sight)
    };
    assert_eq!(under(Policy::Ignore), []);
    assert!(!under(Policy::Notify)[0].blocks);
    assert!(under(Policy::Block)[0].blocks);
}

#[test]
fn every_file_of_a_rule_has_a_row() {
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/src/anomalies")).expect("the room");
    let mut files: Vec<String> = files
        .map(|file| file.expect("a file").path().file_stem().expect("a name").to_string_lossy().into_owned())
        .filter(|name| !["mod", "tests", "failed"].contains(&name.as_str()))
        .collect();
    files.sort();
    let mut rows: Vec<_> = BUILTIN.iter().map(|rule| rule.name().to_owned()).collect();
    rows.sort();
    assert_eq!(files, rows);
}
