//! Whether the end of a worker is a loss, of which somebody hears who had been there.

use super::*;

/// How often a lane tells of a loss whose one call has ended when its worker goes, after
/// `before`.
async fn losses_after(before: impl FnOnce(&Lane)) -> usize {
    let losses = Arc::new(AtomicUsize::new(0));
    let on_loss = {
        let losses = Arc::clone(&losses);
        move |left: &BTreeSet<Digest>| {
            assert_eq!(left.len(), 1);
            losses.fetch_add(1, Ordering::Relaxed);
        }
    };
    let setup = LaneSetup {
        on_loss: Arc::new(on_loss),
        ..LaneSetup::default()
    };
    let (broker, worker) = keyway_ipc::in_process();
    let (lane, reader) = Lane::over(broker, setup);
    let reading = tokio::spawn(reader);
    let mut running = lane.start(invoke()).await.unwrap();
    worker.sender.send(done(running.call)).await.unwrap();
    assert!(running.next().await.is_some());
    drop(running);
    before(&lane);
    drop(worker);
    reading.await.unwrap();
    // Whoever finds that it crashed all the same can still ask.
    let left = lane.left_behind().await;
    assert_eq!(left, BTreeSet::from([invoke().artifact]));
    losses.load(Ordering::Relaxed)
}

#[tokio::test]
async fn a_worker_that_is_ended_on_purpose_is_no_loss_and_one_that_ends_by_itself_is() {
    assert_eq!(losses_after(Lane::dismiss).await, 0);
    assert_eq!(losses_after(|_| ()).await, 1);
}

#[tokio::test]
async fn a_worker_that_is_ended_on_purpose_takes_no_more_calls() {
    let (broker, _worker) = keyway_ipc::in_process();
    let (lane, _reader) = Lane::over(broker, LaneSetup::default());
    lane.dismiss();
    assert!(!lane.is_open());
    assert!(lane.start(invoke()).await.is_err());
}
