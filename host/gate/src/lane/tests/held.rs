//! Calls that are given to a lane, and the components that its worker has for them.

use std::os::fd::AsFd as _;

use super::*;

fn with_room(pieces_max: usize) -> LaneSetup {
    let room = Room {
        pieces_max,
        ..Room::default()
    };
    LaneSetup {
        room,
        ..LaneSetup::default()
    }
}

/// Loads a component of so many bytes. What is in its file is the worker's business.
async fn load(lane: &Arc<Lane>, name: &str) -> Held {
    let file = || Ok::<_, WorkerGone>((std::io::stdin().as_fd().try_clone_to_owned().unwrap(), 10));
    let owner = TenantId::from_bits(u128::from(name.starts_with("rival")));
    lane.assign()
        .load(owner, component(name), file)
        .await
        .unwrap()
}

#[tokio::test]
async fn a_call_counts_on_its_lane_from_when_it_is_given_to_it_until_it_has_ended() {
    let (broker, _worker) = keyway_ipc::in_process();
    let (lane, _reader) = Lane::over(broker, with_room(1));
    let first = lane.assign();
    let second = lane.assign();
    assert_eq!(lane.busy(), 2);
    let held = load(&lane, "a").await;
    assert_eq!(lane.busy(), 3);
    let running = held.start(invoke()).await.unwrap();
    assert_eq!(lane.busy(), 3);
    drop((running, held));
    let held = first.hold(component("a")).unwrap();
    assert_eq!(lane.busy(), 2);
    // It comes back as it was, still given to the lane.
    let refused = second.hold(component("b")).unwrap_err();
    assert_eq!(lane.busy(), 2);
    drop((held, refused));
    assert_eq!(lane.busy(), 0);
}

/// What a worker was told, as one letter and the name of one component each.
async fn told(worker: &mut keyway_ipc::Link<ToBroker, ToWorker>, messages: usize) -> Vec<String> {
    let names = ["a", "b", "c", "d"];
    let name = |artifact| {
        *names
            .iter()
            .find(|name| component(name) == artifact)
            .unwrap()
    };
    let mut told = Vec::new();
    for _ in 0..messages {
        let message = worker.receiver.receive().await.unwrap().unwrap().message;
        if let ToWorker::Load { artifact, .. } = message {
            told.push(format!("+{}", name(artifact)));
        } else if let ToWorker::Unload { artifact } = message {
            told.push(format!("-{}", name(artifact)));
        }
    }
    told
}

#[tokio::test]
async fn a_worker_is_told_to_let_go_of_what_was_used_longest_ago_and_never_of_what_is_in_use() {
    let (broker, mut worker) = keyway_ipc::in_process();
    let (lane, _reader) = Lane::over(broker, with_room(2));
    let in_use = load(&lane, "a").await;
    drop(load(&lane, "b").await);
    drop(load(&lane, "c").await);
    assert_eq!(told(&mut worker, 4).await, ["+a", "+b", "-b", "+c"]);
    // What was let go is loaded again when it is called.
    assert!(lane.assign().hold(component("b")).is_err());
    assert!(lane.assign().hold(component("a")).is_ok());
    let again = load(&lane, "b").await;
    assert_eq!(told(&mut worker, 2).await, ["-c", "+b"]);
    // More are in use than there is room for; that ends with their use.
    let third = load(&lane, "d").await;
    assert_eq!(told(&mut worker, 1).await, ["+d"]);
    drop((in_use, again, third));
    drop(load(&lane, "c").await);
    assert_eq!(told(&mut worker, 3).await.len(), 3);
    assert_eq!(lane.shelf.lock().count(), 2);
}

#[tokio::test]
async fn a_worker_keeps_the_component_of_a_tenant_beside_one_that_calls_many_by_turns() {
    let (broker, mut worker) = keyway_ipc::in_process();
    let (lane, _reader) = Lane::over(broker, with_room(3));
    drop(load(&lane, "a").await);
    for turn in 0..20 {
        drop(load(&lane, &format!("rival {}", turn % 5)).await);
    }
    assert!(lane.assign().hold(component("a")).is_ok());
    assert_eq!(told(&mut worker, 1).await, ["+a"]);
}

#[tokio::test]
async fn a_component_that_is_loaded_twice_may_be_answered_twice() {
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, with_room(1));
    for name in ["a", "b", "a"] {
        drop(load(&lane, name).await);
    }
    let reading = tokio::spawn(reader);
    for name in ["a", "b", "a"] {
        let artifact = component(name);
        let failed = None;
        let loaded = ToBroker::Loaded { artifact, failed };
        worker.sender.send(loaded).await.unwrap();
    }
    drop(worker);
    reading.await.unwrap();
    assert!(!is_given_up(&lane));
}
