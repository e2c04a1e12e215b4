//! Every target on its corpus, then on inputs that are the same everywhere.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use keyway_model::manifest::imports::ImportClass;
use keyway_runtime::{World, linked_interfaces};
use parking_lot::Mutex;

use crate::targets::component;
use crate::targets::host_calls::by_itself::{self, Called, Said};
use crate::{Extent, TARGETS, replay, seeded};

/// What a target allocates is counted over the whole process: one at a time.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

fn holds(name: &str) {
    let _turn = ONE_AT_A_TIME.lock();
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let replayed = replay(target).unwrap();
    assert!(replayed > 0, "{name} has no corpus");
    let inputs = seeded(target, 1, Extent::Inputs(target.test_inputs)).unwrap();
    assert_eq!(inputs, target.test_inputs);
}

#[test]
fn no_text_breaks_the_manifest_parser() {
    holds("manifest");
}

#[test]
fn no_text_breaks_the_recipe_parser() {
    holds("recipe");
}

#[test]
fn a_url_or_host_that_is_accepted_has_one_reading() {
    holds("url");
}

#[test]
fn the_destination_matcher_agrees_with_a_slow_one() {
    holds("destination");
}

#[test]
fn a_link_receives_what_was_sent_or_ends_with_an_error() {
    holds("frame");
}

#[test]
fn no_header_of_the_host_or_of_the_credential_leaves_a_guest() {
    holds("header");
}

#[test]
fn masking_does_not_depend_on_where_a_body_is_cut() {
    holds("mask");
}

#[test]
fn an_edited_export_is_not_taken_for_the_log() {
    holds("audit");
}

#[test]
fn no_order_of_host_calls_and_no_argument_makes_the_host_panic() {
    holds("host_calls");
}

/// The functions of the host of which it is true, by their names.
fn those(is_true: fn(&Called) -> bool) -> BTreeSet<&'static str> {
    let meant = by_itself::all().iter().filter(|it| is_true(it));
    meant.map(|it| it.function.as_str()).collect()
}

#[test]
fn every_function_of_the_host_is_called_by_itself_and_none_panics() {
    let _turn = ONE_AT_A_TIME.lock();
    assert_eq!(those(|it| it.is_reached).len(), by_itself::all().len());
    let lost = those(|it| !it.has_returned);
    assert_eq!(lost, BTreeSet::from(by_itself::NEVER_RETURN));
}

#[test]
fn a_function_of_a_local_interface_asks_the_broker_for_nothing_and_every_other_one_does() {
    let _turn = ONE_AT_A_TIME.lock();
    let mut writers = 0;
    for it in by_itself::all() {
        let is_writer = by_itself::WRITERS.contains(&it.function.as_str());
        writers += usize::from(is_writer);
        match it.class {
            ImportClass::Local if is_writer => {
                // Who is known by name has to be: it prints.
                assert!(!it.said.contains(&Said::Question), "{it:?}");
                assert!(it.said.contains(&Said::Line), "{it:?}");
            }
            ImportClass::Local => assert!(it.said.is_empty(), "{it:?}"),
            ImportClass::Outward | ImportClass::Inward => {
                let is_log = it.function == "keyway:host/log@0.1.0#write";
                let asks = if is_log { Said::Line } else { Said::Question };
                assert!(it.said.contains(&asks), "{it:?}");
            }
        }
    }
    assert_eq!(writers, by_itself::WRITERS.len());
}

#[test]
fn a_component_that_nobody_wrote_is_refused_or_ends_within_its_limits() {
    holds("component");
    let run = component::RUN.load(Ordering::Relaxed);
    assert!(run >= 12, "only {run} components were not refused");
    let imported = component::IMPORTED.lock();
    let missing = linked_interfaces(World::Connector)
        .into_iter()
        .filter(|interface| !imported.contains(interface));
    assert_eq!(missing.collect::<Vec<_>>(), Vec::<&str>::new());
    let host_calls = component::HOST_CALLS.load(Ordering::Relaxed);
    // The input `every-interface` alone makes twelve.
    assert!(
        host_calls >= 12,
        "only {host_calls} host calls of {run} components"
    );
}

#[test]
fn each_folder_of_the_corpus_belongs_to_a_target_and_the_corpus_is_small() {
    let folder = crate::corpus::folder("");
    let mut folders: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    folders.sort();
    let mut names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
    names.sort_unstable();
    assert_eq!(folders, names);
    let inputs = names
        .iter()
        .flat_map(|name| crate::corpus::read(name).unwrap());
    let bytes: usize = inputs.map(|(_, input)| input.len()).sum();
    assert!(bytes < 300 << 10, "the corpus has {bytes} bytes");
}

#[test]
fn the_mutator_gives_the_same_inputs_for_the_same_seed_and_others_for_another() {
    let corpus = [b"one".to_vec(), b"another".to_vec()];
    let inputs = |seed| {
        let mut mutator = crate::mutate::Mutator::new(seed, &corpus, &["token"], 64);
        (0..200).map(|_| mutator.next_input()).collect::<Vec<_>>()
    };
    assert_eq!(inputs(1), inputs(1));
    assert_ne!(inputs(1), inputs(2));
    assert!(inputs(1).iter().all(|input| input.len() <= 64));
}
