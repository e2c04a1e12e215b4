//! Turns and room: counted places, without time.

use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use keyway_model::Digest;

use super::*;

const ACME: u128 = 1;
const RIVAL: u128 = 2;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of {
    Connector(Digest),
    Logic,
}

type Wish = super::Wish<Of>;
type Place = super::Place<Of>;
type Admission = super::Admission<Of>;

fn wish(tenant: u128) -> Wish {
    Wish {
        tenant: TenantId::from_bits(tenant),
        tenant_max: usize::MAX,
        line: Of::Logic,
        line_max: usize::MAX,
    }
}

fn of_connector(tenant: u128, digest: &[u8], line_max: usize) -> Wish {
    Wish {
        line: Of::Connector(Digest::of(digest)),
        line_max,
        ..wish(tenant)
    }
}

/// Enters as often as there is room; those that must wait come back as futures.
fn enter(
    admission: &Admission,
    wish: Wish,
    times: usize,
) -> (Vec<Place>, Vec<BoxFuture<'static, Place>>) {
    let (mut held, mut waiting) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let admission = admission.clone();
        let mut entering = async move { admission.enter(wish).await }.boxed();
        match (&mut entering).now_or_never() {
            Some(place) => held.push(place),
            None => waiting.push(entering),
        }
    }
    (held, waiting)
}

/// How many of those that waited were called by now.
fn called(waiting: &mut Vec<BoxFuture<'static, Place>>) -> Vec<Place> {
    let mut places = Vec::new();
    waiting.retain_mut(|entering| match entering.now_or_never() {
        Some(place) => {
            places.push(place);
            false
        }
        None => true,
    });
    places
}

#[test]
fn a_tenant_alone_gets_half_of_the_places_and_leaves_the_rest() {
    let admission = Admission::of(10);
    let (held, waiting) = enter(&admission, wish(ACME), 20);
    assert_eq!((held.len(), waiting.len()), (5, 15));
    assert_eq!(admission.counts(), (5, 15));
    let (rivals, rest) = enter(&admission, wish(RIVAL), 1);
    assert_eq!((rivals.len(), rest.len()), (1, 0));
}

#[test]
fn several_floods_leave_room_for_one_more() {
    let admission = Admission::of(12);
    let floods: Vec<_> = (1..=3)
        .map(|tenant| enter(&admission, wish(tenant), 50))
        .collect();
    let held: usize = floods.iter().map(|(held, _)| held.len()).sum();
    assert!(held < 12, "{held}");
    assert_eq!(enter(&admission, wish(9), 1).0.len(), 1);
}

#[test]
fn tenants_that_wait_are_served_by_turns_whatever_their_queues() {
    let admission = Admission::of(1);
    let (mut held, mut acme) = enter(&admission, wish(ACME), 50);
    let (none, mut rival) = enter(&admission, wish(RIVAL), 3);
    assert_eq!((held.len(), none.len()), (1, 0));
    let mut order = Vec::new();
    for _ in 0..8 {
        held.clear();
        let (to_acme, to_rival) = (called(&mut acme), called(&mut rival));
        order.extend(to_acme.iter().map(|_| ACME));
        order.extend(to_rival.iter().map(|_| RIVAL));
        held.extend(to_acme.into_iter().chain(to_rival));
    }
    let fair = [ACME, RIVAL, ACME, RIVAL, ACME, RIVAL, ACME, ACME];
    assert_eq!(order, fair);
}

#[test]
fn a_tenants_own_limit_and_that_of_a_connector_hold() {
    let admission = Admission::of(100);
    let capped = Wish {
        tenant_max: 3,
        ..wish(ACME)
    };
    assert_eq!(enter(&admission, capped, 10).0.len(), 3);
    let (held, waiting) = enter(&admission, of_connector(RIVAL, b"slow", 2), 10);
    assert_eq!((held.len(), waiting.len()), (2, 8));
    // Another connector of the same tenant passes by its queue.
    assert_eq!(
        enter(&admission, of_connector(RIVAL, b"quick", 2), 1)
            .0
            .len(),
        1
    );
}

#[test]
fn a_place_that_is_given_back_goes_to_a_line_that_has_room() {
    let admission = Admission::of(100);
    let whole = |digest: &[u8], line_max| Wish {
        tenant_max: 3,
        ..of_connector(ACME, digest, line_max)
    };
    let (slow, slow_waiting) = enter(&admission, whole(b"slow", 2), 5);
    let (mut quick, mut quick_waiting) = enter(&admission, whole(b"quick", 2), 2);
    assert_eq!((slow.len(), quick.len()), (2, 1));
    quick.pop();
    assert_eq!(called(&mut quick_waiting).len(), 1);
    assert_eq!(slow_waiting.len(), 3);
}

#[tokio::test]
async fn whoever_waits_no_more_leaves_the_place_to_the_next() {
    let admission = Admission::of(2);
    let (mut held, mut waiting) = enter(&admission, wish(ACME), 3);
    drop(waiting.remove(0));
    held.clear();
    let next = waiting.remove(0);
    let place = tokio::time::timeout(Duration::from_secs(5), next).await;
    assert!(place.is_ok(), "the place went to nobody");
    drop(place);
    assert_eq!(admission.counts(), (0, 0));
    assert!(
        admission.0.lock().tenants.is_empty(),
        "nothing is kept of who is gone"
    );
}

#[tokio::test]
async fn a_flood_of_those_who_wait_no_more_takes_no_memory_and_no_stack() {
    let admission = Admission::of(2);
    let (mut held, mut waiting) = enter(&admission, wish(ACME), 2);
    let first = waiting.remove(0);
    for _ in 0..100_000 {
        let (_, gone) = enter(&admission, wish(ACME), 1);
        drop(gone);
    }
    let (_, counted) = admission.counts();
    assert!(counted <= WAITING_LOOKED_AT_MIN, "{counted} are kept");
    // A few of them still stand behind the one that waits; each is passed over
    // without a further frame on the stack.
    held.clear();
    let place = tokio::time::timeout(Duration::from_secs(5), first).await;
    drop(place);
    assert_eq!(admission.counts(), (0, 0));
}

#[test]
fn a_place_that_many_in_a_row_do_not_take_goes_on_in_one_frame() {
    let admission = Admission::of(2);
    let (held, waiting) = enter(&admission, wish(ACME), 30_001);
    assert_eq!((held.len(), waiting.len()), (1, 30_000));
    // All of them are alive when the last came, and none is when the place is free.
    drop(waiting);
    let small = std::thread::Builder::new().stack_size(256 << 10);
    let ended = small
        .spawn(move || drop(held))
        .map(std::thread::JoinHandle::join);
    assert!(ended.is_ok_and(|ended| ended.is_ok()));
    assert_eq!(admission.counts(), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_tasks_of_many_tenants_all_get_through_and_nothing_is_lost() {
    let admission = Admission::of(7);
    let tasks: Vec<_> = (0..400_u128)
        .map(|number| {
            let admission = admission.clone();
            let wish = of_connector(number % 5, &[u8::try_from(number % 3).unwrap_or(0)], 2);
            tokio::spawn(async move {
                let place = admission.enter(wish).await;
                assert!(admission.counts().0 <= 7);
                tokio::task::yield_now().await;
                drop(place);
            })
        })
        .collect();
    for task in tasks {
        let ended = tokio::time::timeout(Duration::from_secs(30), task).await;
        assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    }
    assert_eq!(admission.counts(), (0, 0));
}

#[test]
fn who_does_not_wait_takes_no_place_before_those_who_do() {
    let admission = Admission::of(3);
    let wishes = [ACME, RIVAL].map(wish);
    let first = wishes.map(|wish| admission.enter_now(wish));
    assert!(first.iter().all(Option::is_some));
    // One is free; who holds one already leaves it.
    assert!(admission.enter_now(wish(ACME)).is_none());
    let last = admission.enter_now(wish(3));
    assert!(last.is_some());
    let (held, mut waiting) = enter(&admission, wish(4), 1);
    assert!(held.is_empty());
    drop(first);
    assert_eq!(called(&mut waiting).len(), 1);
}

#[test]
fn a_tenant_at_its_share_waits_for_its_own_places_alone() {
    let admission = Admission::of(4);
    let (mut held, _) = enter(&admission, wish(ACME), 1);
    assert!(!admission.is_at_its_share(TenantId::from_bits(ACME)));
    held.extend(admission.enter_now(wish(ACME)));
    assert!(admission.is_at_its_share(TenantId::from_bits(ACME)));
    assert!(admission.enter_now(wish(ACME)).is_none());
    assert!(!admission.is_at_its_share(TenantId::from_bits(RIVAL)));
    held.pop();
    assert!(!admission.is_at_its_share(TenantId::from_bits(ACME)));
}

#[test]
fn those_who_wait_no_more_take_no_memory() {
    let admission = Admission::of(1);
    let _held = admission.enter_now(wish(RIVAL));
    for _ in 0..1_000 {
        let (_, waiting) = enter(&admission, wish(ACME), 1);
        drop(waiting);
    }
    assert_eq!(admission.counts(), (1, 0));
    assert_eq!(admission.0.lock().tenants.len(), 1, "of who has a place");
}

#[test]
fn whoever_waits_no_more_holds_up_nobody_behind() {
    let admission = Admission::of(100);
    let one_place = Wish {
        tenant_max: 1,
        ..wish(ACME)
    };
    let (held, mut waiting) = enter(&admission, one_place, 2);
    let (none, mut behind) = enter(&admission, wish(ACME), 3);
    assert_eq!((held.len(), none.len()), (1, 0));
    // One in the middle leaves, and nothing changes.
    drop(behind.remove(0));
    assert_eq!(called(&mut behind).len(), 0);
    drop(waiting.pop());
    let others = called(&mut behind);
    assert_eq!((others.len(), behind.len()), (2, 0));
    assert_eq!(admission.counts(), (3, 0));
}

#[test]
fn who_comes_after_one_who_waits_no_more_does_not_wait_in_its_place() {
    let admission = Admission::of(100);
    let capped = of_connector(ACME, b"slow", 1);
    let (held, waiting) = enter(&admission, capped, 3);
    let (of_rival, waiting_too) = enter(&admission, of_connector(RIVAL, b"slow", 1), 2);
    assert_eq!((held.len(), of_rival.len()), (1, 1));
    drop(waiting);
    let (roomy, _) = enter(&admission, of_connector(ACME, b"slow", 2), 1);
    assert_eq!(roomy.len(), 1);
    // Its line has no turn any more, and another tenant's has one still.
    assert_eq!(admission.0.lock().turn, [TenantId::from_bits(RIVAL)]);
    drop((waiting_too, held, of_rival, roomy));
    let places = admission.0.lock();
    assert!(places.turn.is_empty() && places.tenants.is_empty());
}

#[test]
fn a_place_that_comes_to_one_who_leaves_just_then_goes_to_the_next() {
    let admission = Admission::of(2);
    let (held, mut waiting) = enter(&admission, wish(ACME), 3);
    drop(held);
    // The first was called, and has not looked yet.
    assert_eq!(admission.counts(), (1, 1));
    drop(waiting.remove(0));
    assert_eq!(called(&mut waiting).len(), 1);
    assert_eq!(admission.counts(), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn among_many_who_leave_while_places_are_given_back_nobody_is_forgotten() {
    let admission = Admission::of(3);
    let tasks: Vec<_> = (0..3_000_u128)
        .map(|number| {
            let admission = admission.clone();
            let wish = Wish {
                tenant_max: if number % 2 == 0 { 1 } else { usize::MAX },
                ..wish(number % 3)
            };
            tokio::spawn(async move {
                let mut entering = std::pin::pin!(admission.enter(wish));
                if number % 5 < 2 {
                    tokio::select! {
                        biased;
                        place = &mut entering => drop(place),
                        () = tokio::task::yield_now() => {}
                    }
                } else {
                    let place = entering.await;
                    tokio::task::yield_now().await;
                    drop(place);
                }
            })
        })
        .collect();
    for task in tasks {
        let ended = tokio::time::timeout(Duration::from_secs(30), task).await;
        assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    }
    let places = admission.0.lock();
    assert_eq!(places.taken, 0);
    assert!(places.turn.is_empty() && places.tenants.is_empty());
}
