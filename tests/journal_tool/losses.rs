//! What is said to be lost is lost, and nothing else: a store is damaged in all kinds of places, repaired, recovered
//! and compared with what is left of its records.

use std::collections::BTreeMap;

use duewheel::{DumpItem, RecordView, RepairPlan, StoreInspector};

use crate::folder::Folder;
use crate::store;

/// What a whole store says of its requests, record by record.
pub(crate) struct Told {
    /// The last of a request in the snapshot: ended or not.
    snapshot: BTreeMap<u64, bool>,
    /// By number, what the journal says behind the snapshot.
    journal: BTreeMap<u64, (u64, bool)>,
    last: u64,
}

fn request(record: &RecordView<'_>) -> Option<(u64, bool)> {
    let id = record.id()?.value().try_into().unwrap();
    Some((id, matches!(record.kind(), "cancelled" | "completed")))
}

impl Told {
    pub(crate) fn by(folder: &Folder) -> Self {
        let inspector = StoreInspector::open(folder.path()).unwrap();
        let report = inspector.verify().unwrap();
        assert!(report.is_whole(), "{report:?}");
        let floor = report.snapshots.first().map_or(0, |newest| newest.floor.0);
        let mut told = Self {
            snapshot: BTreeMap::new(),
            journal: BTreeMap::new(),
            last: report.recovery.last.0,
        };
        let mut visit = |item: &DumpItem<'_>| match item {
            DumpItem::Snapshot { record, .. } => {
                told.snapshot.extend(request(record));
            }
            DumpItem::Journal { record, .. } => {
                let lsn = record.lsn().unwrap().0;
                if lsn > floor
                    && let Some(of) = request(record)
                {
                    told.journal.insert(lsn, of);
                }
            }
            other => panic!("{other:?}"),
        };
        inspector.dump(true, &mut visit).unwrap();
        told
    }

    /// What is left, where that is lost.
    pub(crate) fn without(&self, plan: &RepairPlan) -> BTreeMap<u64, bool> {
        let mut left = self.snapshot.clone();
        for (lsn, (id, is_ended)) in &self.journal {
            let is_listed = plan.lost.iter().any(|record| record.lsn.0 == *lsn);
            let is_unreadable = plan
                .unreadable
                .iter()
                .any(|range| range.first.0 <= *lsn && range.last.is_none_or(|last| *lsn <= last.0));
            if !is_listed && !is_unreadable {
                left.insert(*id, *is_ended);
            }
        }
        left
    }
}

/// How often what came of it.
#[derive(Debug, Default)]
struct Outcomes {
    nothing: u32,
    no_loss: u32,
    loss: u32,
    obstacle: u32,
}

fn check(damaged: &Folder, told: &Told, what: &str, outcomes: &mut Outcomes) {
    let inspector = StoreInspector::open(damaged.path()).unwrap();
    let before = damaged.files();
    let report = inspector.verify().unwrap();
    let plan = inspector.repair_plan().unwrap();
    assert_eq!(
        plan.is_empty(),
        report.is_whole(),
        "{what}: {plan:?} {report:?}"
    );
    assert_eq!(damaged.files(), before, "{what}");
    if plan.obstacle.is_some() {
        outcomes.obstacle += 1;
        assert!(inspector.repair(&plan).is_err(), "{what}");
        assert_eq!(damaged.files(), before, "{what}");
        return;
    }
    if plan.is_empty() {
        outcomes.nothing += 1;
    } else if plan.is_loss() {
        outcomes.loss += 1;
        assert!(report.recovery.obstacle.is_some(), "{what}: {plan:?}");
    } else {
        outcomes.no_loss += 1;
    }
    let report = inspector.repair(&plan).unwrap();
    assert!(report.is_whole(), "{what}: {report:?} {plan:?}");
    assert!(inspector.repair_plan().unwrap().is_empty(), "{what}");
    // Every file that there was is there, as it was, under its name or the one that the plan said.
    let after = damaged.files();
    for (name, bytes) in &before {
        let aside = plan.set_aside.iter().find(|aside| aside.file == *name);
        let name = aside.map_or(name, |aside| &aside.to);
        assert!(after.get(name) == Some(bytes), "{what}: {name}");
    }
    drop(inspector);
    let engine = store::open(damaged);
    engine.check_invariants();
    assert_eq!(
        store::requests(&engine),
        told.without(&plan),
        "{what}: {plan:?}"
    );
    drop(engine);
    // New numbers are above all that were ever used.
    let inspector = StoreInspector::open(damaged.path()).unwrap();
    let stats = inspector.stats().unwrap();
    assert!(
        stats.last.is_some_and(|last| last.0 > told.last),
        "{what}: {stats:?}"
    );
    let kept: Vec<_> = plan.set_aside.iter().map(|aside| &aside.to).collect();
    let names = damaged.names("damaged-");
    assert_eq!(
        names.len(),
        kept.len(),
        "{what}: an opening has removed some"
    );
}

fn damage_everything(whole: &Folder, step: usize) -> Outcomes {
    let told = Told::by(whole);
    let mut outcomes = Outcomes::default();
    for (name, bytes) in whole.files() {
        if name == "STORE" {
            continue;
        }
        for offset in (name.len() * 7 % 40..bytes.len()).step_by(step) {
            let damaged = whole.copy();
            damaged.flip(&name, offset);
            check(
                &damaged,
                &told,
                &format!("{name} at {offset}"),
                &mut outcomes,
            );
        }
        let damaged = whole.copy();
        damaged.remove(&name);
        let what = format!("{name} is missing");
        // The last snapshot and all that tells of it can vanish without a trace.
        if !name.starts_with("manifest-") {
            check(&damaged, &told, &what, &mut outcomes);
        }
    }
    outcomes
}

#[test]
fn what_a_repair_says_is_lost_is_all_that_is_missing() {
    let outcomes = damage_everything(&store::without_snapshot(), 2_003);
    assert!(outcomes.loss > 10, "{outcomes:?}");
    assert!(outcomes.no_loss > 0, "{outcomes:?}");
}

#[test]
fn what_a_snapshot_knows_is_not_lost() {
    let outcomes = damage_everything(&store::with_snapshot(), 2_003);
    assert!(outcomes.loss > 10, "{outcomes:?}");
    assert!(outcomes.no_loss > 0, "{outcomes:?}");
}

#[test]
fn a_damaged_snapshot_with_one_before_it_costs_nothing() {
    let whole = store::with_two_snapshots();
    let manifests = whole.names("manifest-");
    assert_eq!(manifests.len(), 2);
    let inspector = StoreInspector::open(whole.path()).unwrap();
    let all = store_requests(&whole, inspector);
    for name in whole.names("chunk-").iter().chain(&manifests) {
        let damaged = whole.copy();
        damaged.flip(name, 70);
        let inspector = StoreInspector::open(damaged.path()).unwrap();
        let plan = inspector.repair_plan().unwrap();
        assert!(
            plan.obstacle.is_none() && !plan.is_loss(),
            "{name}: {plan:?}"
        );
        assert!(plan.journal_ends_with.is_none(), "{name}: {plan:?}");
        let aside = plan.set_aside.iter().any(|aside| aside.file == *name);
        assert!(aside, "{name}: {plan:?}");
        let report = inspector.repair(&plan).unwrap();
        assert!(report.is_whole(), "{name}: {report:?}");
        assert_eq!(store_requests(&damaged, inspector), all, "{name}");
    }
}

/// Which requests a copy of the store has when it is recovered.
fn store_requests(folder: &Folder, inspector: StoreInspector) -> BTreeMap<u64, bool> {
    drop(inspector);
    let copy = folder.copy();
    store::requests(&store::open(&copy))
}
