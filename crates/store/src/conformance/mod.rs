//! What every backend keeps, as tests that any backend can run.
//!
//! Three tiers, because they fail for different reasons. *Behaviour* (`identity`, `tokens`, `agents`, `workspaces`, `audit`):
//! what is written comes back, and expectations hold; it needs a database that runs our SQL. *Transactions*: a
//! batch is whole or absent; it needs real rollback. *Parallelism*: of many writers at once one wins and nobody's
//! work is lost; it needs real isolation, and is run over several handles on one store.
//!
//! A backend takes part with a function that opens `n` handles on one new, empty store, each as independent of
//! the others as two processes would be:
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use doorward_store::SqlStore;
//! use doorward_store::conformance::Handle;
//!
//! fn open_fresh(handles: usize) -> Vec<Handle> {
//!     let store = SqlStore::memory().expect("a temporary store opens");
//!     (0..handles).map(|_| Arc::new(store.clone()) as Handle).collect()
//! }
//!
//! doorward_store::conformance!(open_fresh);
//! ```
//!
//! Every rule becomes a test of its own name, and fails by a panic that says what was broken.

pub mod agents;
pub mod artifacts;
pub mod audit;
pub mod chains;
pub mod deliveries;
pub mod documents;
pub mod filters;
pub mod identities;
pub mod identity;
pub mod parallelism;
pub mod postgres;
pub mod samples;
pub mod tokens;
pub mod transactions;
pub mod workspaces;

use std::sync::Arc;

use doorward_core::ports::store::{Batch, Store};
use doorward_core::ports::{Conflict, StoreError, Write};

/// A handle on a store.
pub type Handle = Arc<dyn Store>;

/// Opens this many handles on one store that nobody has written to.
pub type Open<'a> = &'a (dyn Fn(usize) -> Vec<Handle> + Sync);

/// Runs the whole suite: a `#[tokio::test]` for each rule. Takes a function from a number of handles to that many
/// on a new store ([`conformance::Open`](crate::conformance::Open)).
#[macro_export]
macro_rules! conformance {
    ($open:expr) => {
        $crate::conformance! { @cases $open;
            identity: a_user_comes_back_as_written,
            identity: a_login_name_finds_its_user_and_no_other,
            identity: login_names_are_one_space,
            identity: a_phone_number_is_one_accounts,
            identity: users_are_counted_and_paged_from_the_newest,
            identity: a_password_can_be_dropped,
            identity: an_update_needs_the_version_it_read,
            identity: an_update_frees_old_names_and_roles,
            identity: a_deleted_user_takes_everything_along,
            identity: pages_of_users_are_complete_and_ordered,
            identity: a_password_is_replaced,
            identity: a_session_comes_back_and_ends_once,
            identity: a_touch_never_moves_back_or_revives,
            identity: live_sessions_are_listed_newest_first,
            identity: log_ins_are_remembered_after_their_end,
            identities: an_identity_opens_one_account,
            identities: identities_are_their_owners,
            identities: the_last_way_in_is_known,
            identities: a_hostile_subject_is_only_text,
            identity: an_api_key_is_found_by_mac_and_id,
            identity: an_api_key_is_revoked_once,
            identity: api_keys_are_paged_by_owner,
            tokens: a_family_advances_from_its_counter_alone,
            tokens: families_end_by_id_and_by_session,
            tokens: sealed_keys_come_newest_first,
            tokens: only_the_first_key_of_a_purpose_is_first,
            tokens: a_revocation_never_moves_back,
            tokens: a_code_is_spent_once_in_time,
            tokens: the_change_feed_tells_everything_in_order,
            tokens: pruning_keeps_what_matters,
            agents: a_thread_comes_back_on_its_mount_alone,
            agents: an_update_keeps_owner_and_mount,
            agents: a_deleted_thread_takes_messages_and_runs_along,
            agents: messages_are_paged_in_order,
            agents: runs_finish_once,
            agents: newest_runs_are_told_of_many_threads_at_once,
            agents: labels_stand_in_the_order_of_changes,
            agents: heads_tell_the_newest_run,
            agents: runs_wait_and_are_forgotten,
            agents: threads_are_sorted,
            agents: a_change_sees_what_it_changes,
            agents: a_touch_moves_forward,
            agents: what_was_running_is_interrupted,
            agents: the_first_claim_owns,
            agents: owned_among_keeps_order_and_number,
            agents: hostile_text_is_only_text,
            filters: named_filters_match_as_core_does,
            filters: any_filter_matches_as_core_does,
            filters: labels_follow_metadata,
            filters: filtered_pages_are_complete,
            audit: lines_are_chained_from_one_without_gaps,
            audit: a_query_finds_the_newest_that_match,
            audit: every_line_of_every_node_comes_in_chain_order,
            deliveries: what_is_due_comes_in_order_for_its_webhook_alone,
            deliveries: a_lease_is_had_once,
            deliveries: old_deliveries_are_cleared_out,
            documents: a_document_comes_back_as_written,
            documents: a_change_of_a_document_sees_what_it_changes,
            documents: documents_are_found_where_they_stand,
            documents: an_owner_has_so_many_documents,
            documents: what_is_due_is_found_and_cleared_out,
            workspaces: a_workspace_is_one_owners,
            workspaces: a_change_of_a_workspace_sees_what_it_changes,
            workspaces: an_owner_has_so_many_workspaces,
            workspaces: workspaces_are_listed_by_filter,
            workspaces: hostile_text_of_a_workspace_is_only_text,
            workspaces: members_are_found_by_their_name,
            artifacts: an_artifact_comes_back_as_written,
            artifacts: an_artifact_is_in_a_workspace_and_a_parent_that_there_are,
            artifacts: artifacts_are_listed_in_the_order_they_were_made,
            artifacts: a_change_of_an_artifact_sees_what_it_changes,
            artifacts: what_is_within_an_artifact_goes_only_with_leave,
            artifacts: a_workspace_keeps_so_many_and_so_much,
            artifacts: a_deleted_workspace_takes_what_it_keeps_along,
            artifacts: a_stand_in_is_kept_and_known_beyond_its_end,
            artifacts: notes_are_set_forgotten_and_bounded,
            parallelism: an_owner_never_has_too_many_workspaces,
            transactions: a_conflict_leaves_nothing_of_its_batch,
            transactions: a_refused_batch_leaves_no_audit_line_and_no_gap,
            transactions: a_batch_sees_its_own_writes,
            transactions: an_empty_batch_is_done,
            transactions: a_buffered_batch_is_whole_and_visible,
            transactions: what_one_handle_wrote_another_reads,
            transactions: a_dropped_commit_is_whole_or_absent,
            parallelism: a_code_has_one_spender,
            parallelism: a_family_advances_once_for_each_counter,
            parallelism: a_resource_has_one_owner,
            parallelism: a_login_name_has_one_user,
            parallelism: a_purpose_has_one_first_key,
            parallelism: no_update_is_lost,
            parallelism: audit_chains_stay_gapless,
            parallelism: a_follower_of_the_feed_misses_nothing,
            parallelism: nobody_reads_half_a_batch,
            parallelism: conflicts_do_not_disturb_neighbours,
        }
    };
    (@cases $open:expr; $($tier:ident: $case:ident,)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $case() {
            let open = $open;
            $crate::conformance::$tier::$case(&open).await;
        }
    )*};
}

/// The only handle on a new store.
fn one(open: Open<'_>) -> Handle {
    open(1).pop().expect("a factory opens as many handles as asked for")
}

/// Commits what must go through.
async fn put(store: &Handle, writes: Vec<Write>) {
    store.commit(Batch::durable(writes)).await.expect("the batch meets every expectation");
}

/// Commits what must be refused, and says how it was.
async fn refused(store: &Handle, writes: Vec<Write>) -> Conflict {
    match store.commit(Batch::durable(writes)).await {
        Err(StoreError::Conflict(conflict)) => conflict,
        Err(other) => unreachable!("a conflict was expected, the store said: {other}"),
        Ok(()) => unreachable!("a conflict was expected, the batch went through"),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_rule_is_in_the_table() {
        let table = include_str!("mod.rs");
        let mut rules = 0;
        for (tier, text) in [
            ("agents", include_str!("agents.rs")),
            ("artifacts", include_str!("artifacts.rs")),
            ("audit", include_str!("audit.rs")),
            ("deliveries", include_str!("deliveries.rs")),
            ("documents", include_str!("documents.rs")),
            ("filters", include_str!("filters.rs")),
            ("identity", include_str!("identity.rs")),
            ("parallelism", include_str!("parallelism.rs")),
            ("tokens", include_str!("tokens.rs")),
            ("transactions", include_str!("transactions.rs")),
            ("workspaces", include_str!("workspaces.rs")),
        ] {
            for rest in text.split("pub async fn ").skip(1) {
                let name = rest.split('(').next().expect("a split has a first part");
                assert!(table.contains(&format!(" {tier}: {name},")), "{tier}::{name} is not run by anybody");
                rules += 1;
            }
        }
        assert!(rules >= 50, "the rules were not found in the files: {rules}");
    }
}
