//! What belongs together: a component, the linkers that it was loaded with, and the
//! engine of both. Linkers are not needed once it is loaded; engines are never mixed.

use keyway_ipc::CallOutcome;

use crate::compile::compile;
use crate::engine::{PoolSize, Runner};
use crate::linker::Linkers;
use crate::load::{self, Loaded};
use crate::panics::{GUEST, call};
use crate::sealed::seal;

fn runner() -> anyhow::Result<Runner> {
    let runner = Runner::new(&PoolSize {
        instances_max: 1,
        ..PoolSize::default()
    })?;
    runner.start_clock()?;
    Ok(runner)
}

fn loaded(runner: &Runner, linkers: &Linkers) -> anyhow::Result<Loaded> {
    let code = compile(&wat::parse_str(GUEST)?)?.code;
    Ok(load::load(
        runner,
        linkers,
        seal(&code)?,
        code.len() as u64,
    )?)
}

#[tokio::test]
async fn a_component_runs_when_the_linkers_that_it_was_loaded_with_are_gone() -> anyhow::Result<()>
{
    let runner = runner()?;
    let linkers = Linkers::new(&runner.engine)?;
    let loaded = loaded(&runner, &linkers)?;
    drop(linkers);
    for _ in 0..3 {
        // Others take the memory where they were.
        let _others = Linkers::new(&runner.engine)?;
        let outcome = call(&runner.engine, &loaded, "honest").await;
        assert_eq!(outcome, CallOutcome::Value("honest".to_owned()));
    }
    Ok(())
}

#[tokio::test]
async fn a_component_of_one_engine_runs_in_no_store_of_another() -> anyhow::Result<()> {
    let (own, other) = (runner()?, runner()?);
    let loaded = loaded(&own, &Linkers::new(&own.engine)?)?;
    let outcome = call(&other.engine, &loaded, "honest").await;
    assert!(matches!(outcome, CallOutcome::Trap(_)), "{outcome:?}");
    let outcome = call(&own.engine, &loaded, "honest").await;
    assert_eq!(outcome, CallOutcome::Value("honest".to_owned()));
    Ok(())
}

#[test]
fn a_component_of_one_engine_is_not_linked_with_what_is_another_engines() -> anyhow::Result<()> {
    let (own, other) = (runner()?, runner()?);
    assert!(loaded(&own, &Linkers::new(&other.engine)?).is_err());
    Ok(())
}
