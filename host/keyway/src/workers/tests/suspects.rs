//! How many components have a worker of their own at once.

use super::*;

#[test]
fn further_suspects_than_may_be_alone_at_once_stay_with_the_others() {
    let (workers, tenant) = (without_a_program(), TenantId::random());
    let whose = |component: &Digest| workers.whose(tenant, *component).ok();
    let own = |component: &Digest| Whose::Suspect(*component, None);
    let suspects: Vec<Digest> = (0..SUSPECTS_MAX)
        .map(|number| Digest::of(&number.to_be_bytes()))
        .collect();
    let late = Digest::of(b"late");
    let all = suspects.iter().chain([&late]);
    workers.suspicion.lock().suspect(all, Instant::now());
    for component in &suspects {
        assert_eq!(whose(component), Some(own(component)));
        // As if its worker were started.
        workers
            .others
            .write()
            .insert(own(component), Arc::default());
    }
    assert_eq!(whose(&late), Some(Whose::Everyone));
    // Who has a worker keeps it, and one that is ended makes room.
    let Some(first) = suspects.first() else {
        unreachable!("there are some");
    };
    assert_eq!(whose(first), Some(own(first)));
    workers.others.write().remove(&own(first));
    assert_eq!(whose(&late), Some(own(&late)));
}
