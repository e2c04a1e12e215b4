//! What is said in the log of connections that are closed for others.

use std::sync::atomic::{AtomicUsize, Ordering};

use keyway_model::Environment;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use super::*;

/// Counts lines of the log.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicUsize>);

impl Subscriber for Lines {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

fn pool() -> Arc<Pool> {
    let config = EgressConfig::default();
    Pool::new(&config, Arc::new(Vetting::new(&config))).unwrap()
}

fn origin(port: u16) -> Origin {
    Origin {
        scheme: Scheme::Http,
        host: "a.test".parse().unwrap(),
        port,
    }
}

fn owner(tenant: u128) -> Owner {
    let scope = Scope {
        tenant: TenantId::from_bits(tenant),
        environment: Environment::Production,
    };
    Owner {
        scope,
        connector: Some(Digest::of(b"orders")),
    }
}

fn open(pool: &Pool, owner: Owner, port: u16) -> Arc<Place> {
    let key = PlaceKey {
        scope: owner.scope,
        connection: ConnectionId::from_bits(1),
        connector: owner.connector,
        origin: origin(port),
        tls: None,
    };
    let tls = OwnTls {
        settings: None,
        known: Known::AsTheConnection,
    };
    let config = EgressConfig::default();
    let bounds = Bounds {
        limits: config.limits,
        timeouts: config.timeouts,
    };
    pool.place(key, tls, &bounds).unwrap()
}

#[test]
fn dials_beyond_a_connectors_limit_say_so_once_a_second_and_only_where_something_is_closed() {
    let (pool, lines) = (pool(), Lines::default());
    tracing::subscriber::with_default(lines.clone(), || {
        let started = Instant::now();
        for _ in 0..1_000 {
            pool.close_unused_of(owner(1), &origin(80));
        }
        assert_eq!(lines.0.load(Ordering::Relaxed), 0);
        for number in 0..200 {
            drop(open(&pool, owner(number % 2), 81));
            pool.close_unused_of(owner(number % 2), &origin(80));
        }
        let said = lines.0.load(Ordering::Relaxed);
        let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
        assert!((1..=1 + seconds).contains(&said), "{said}");
    });
    assert!(pool.places.lock().known.is_empty());
}

#[tokio::test]
async fn dials_beyond_the_limit_of_all_say_so_once_a_second() {
    let (pool, lines) = (pool(), Lines::default());
    let guard = tracing::subscriber::set_default(lines.clone());
    let started = Instant::now();
    for number in 0..200 {
        let place = open(&pool, owner(number), 81);
        let _connection = Arc::clone(&place.open);
        assert!(pool.close_unused_for(owner(1_000), &origin(80)));
    }
    let said = lines.0.load(Ordering::Relaxed);
    let seconds = usize::try_from(started.elapsed().as_secs()).unwrap();
    assert!((1..=1 + seconds).contains(&said), "{said}");
    drop(guard);
}
