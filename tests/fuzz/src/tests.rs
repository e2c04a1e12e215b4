//! Every target on its corpus, then on inputs that are the same everywhere.

use parking_lot::Mutex;

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
