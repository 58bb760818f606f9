//! A workspace while somebody is in it.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use doorward_core::workspaces::Workspace;
use parking_lot::{Mutex, RwLock};

use crate::manager::Diary;
use crate::peer::Peer;
use crate::registry::Service;
use crate::user::{UserInfo, packed};

/// What services are kept by: client, then their own name.
pub(crate) type Key = (Arc<str>, String);

/// A workspace with who is in it.
pub(crate) struct Room {
    pub(crate) id: Arc<str>,
    pub(crate) workspace: RwLock<Workspace>,
    pub(crate) peers: RwLock<HashMap<Arc<str>, Arc<Peer>>>,
    pub(crate) services: RwLock<BTreeMap<Key, Arc<Service>>>,
    /// Kinds of services that were described.
    pub(crate) service_types: RwLock<BTreeMap<String, rmpv::Value>>,
    /// What clients noted of themselves.
    pub(crate) diary: Mutex<Diary>,
    packed_root: OnceLock<Bytes>,
    /// The workspace is no more, whatever still holds this.
    ended: AtomicBool,
}

impl Room {
    pub(crate) fn new(workspace: Workspace) -> Self {
        Self {
            id: workspace.id.as_str().into(),
            workspace: RwLock::new(workspace),
            peers: RwLock::default(),
            services: RwLock::default(),
            service_types: RwLock::default(),
            diary: Mutex::default(),
            packed_root: OnceLock::new(),
            ended: AtomicBool::new(false),
        }
    }

    /// Says that the workspace is no more: nothing is issued for it from now on. The answer is whether nobody said so before.
    pub(crate) fn end(&self) -> bool {
        !self.ended.swap(true, Ordering::SeqCst)
    }

    /// Takes that back: it was not removed after all.
    pub(crate) fn go_on(&self) {
        self.ended.store(false, Ordering::SeqCst);
    }

    /// Whether the workspace is no more.
    pub(crate) fn has_ended(&self) -> bool {
        self.ended.load(Ordering::SeqCst)
    }

    /// The server as a caller here, as frames carry it.
    pub(crate) fn packed_root(&self) -> Bytes {
        self.packed_root.get_or_init(|| packed(&UserInfo::root(&self.id)).into()).clone()
    }

    /// Whose it is ([`doorward_core::principal::Principal::owner_key`]).
    pub(crate) fn owner(&self) -> String {
        self.workspace.read().owner.clone()
    }

    pub(crate) fn peer(&self, client: &str) -> Option<Arc<Peer>> {
        self.peers.read().get(client).cloned()
    }

    /// Those who asked to be told of this kind of event.
    pub(crate) fn subscribers(&self, kind: &str) -> Vec<Arc<Peer>> {
        let peers = self.peers.read();
        peers.values().filter(|peer| peer.subscriptions.read().contains(kind)).cloned().collect()
    }

    pub(crate) fn service(&self, client: &str, name: &str) -> Option<Arc<Service>> {
        self.services.read().get(&(client.into(), name.to_owned())).cloned()
    }

    pub(crate) fn all_services(&self) -> Vec<Arc<Service>> {
        self.services.read().values().cloned().collect()
    }

    pub(crate) fn names_of_clients(&self) -> HashSet<Arc<str>> {
        self.peers.read().keys().cloned().collect()
    }
}
