//! Clearing out at sizes that take several transactions.

use doorward_core::ports::Write;
use doorward_core::ports::store::{Batch, Change, Changes, Commit};
use doorward_core::tokens::model::Revocation;
use doorward_store::SqlStore;
use doorward_store::conformance::samples::{NOW_MS, revocation};

use crate::fresh::put;

#[tokio::test]
async fn thousands_of_rows_go_and_the_rest_stays() {
    let store = SqlStore::memory().expect("it opens");
    let at = |n: u32, until_ms| Write::Revoke(Revocation { until_ms, ..revocation(&n.to_string()) });
    put(&store, (0..7_001).map(|n| at(n, NOW_MS - i64::from(n % 5))).collect()).await;
    put(&store, (7_001..10_000).map(|n| at(n, NOW_MS + 1 + i64::from(n % 5))).collect()).await;
    assert_eq!(store.prune(NOW_MS).await.expect("pruning"), 7_001);
    let mut left = 0;
    store.each_revocation(0, Box::new(|_, _, _, _| left += 1)).await.expect("a read");
    assert_eq!(left, 2_999);
}

#[tokio::test]
async fn the_newest_changes_stay_and_a_late_follower_can_tell() {
    /// As many as the store promises to keep.
    const KEPT: i64 = 65_536;
    let store = SqlStore::memory().expect("it opens");
    let extra = 5_000;
    for _ in 0..(KEPT + extra) / 2_000 {
        let some = (0..2_000).map(|_| Write::Announce(Change::Keys)).collect();
        store.commit(Batch::buffered(some)).await.expect("announcing");
    }
    let newest = store.newest_change().await.expect("a read");
    let gone = store.prune(NOW_MS).await.expect("pruning");
    assert_eq!(gone, u64::try_from(newest - KEPT).expect("more than are kept"));
    assert!(gone > 2_000, "it took several transactions: {gone}");
    assert_eq!(store.newest_change().await.expect("a read"), newest);
    let oldest = store.changes_after(0, 1).await.expect("a read")[0].0;
    assert_eq!(oldest, newest - KEPT + 1, "somebody who stood at 0 sees that numbers are missing");
    put(&store, vec![Write::Announce(Change::Keys)]).await;
    assert_eq!(store.newest_change().await.expect("a read"), newest + 1);
}
