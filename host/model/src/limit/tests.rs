//! The rules of limits, as properties; and the table, against structs and documentation.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;

/// Any few limits with any values; small ones and huge ones among them.
fn some_limits() -> impl Strategy<Value = LimitSet> {
    let names: Vec<LimitName> = LimitName::all().collect();
    let value = prop_oneof![
        1..5_u64,
        1..1_000_000_u64,
        Just(u64::from(u32::MAX)),
        Just(u64::MAX)
    ];
    proptest::collection::vec((proptest::sample::select(names), value), 0..12).prop_map(|pairs| {
        let mut set = LimitSet::default();
        for (name, value) in pairs {
            set.set(name, value).unwrap_or_default();
        }
        set
    })
}

/// A platform whose ceiling is somewhere above its default.
fn platform() -> impl Strategy<Value = PlatformLimits> {
    (some_limits(), some_limits()).prop_map(|(own, raised)| {
        let mut default = Limits::default();
        own.entries()
            .for_each(|(name, value)| default.put(name, value));
        let mut ceiling = default;
        for (name, value) in raised.entries() {
            if name.info().level == Level::Manifest {
                ceiling.put(name, value.max(default.value(name)));
            }
        }
        PlatformLimits { default, ceiling }
    })
}

proptest! {
    #[test]
    fn nothing_goes_beyond_the_ceiling_or_the_workspace(
        platform in platform(), workspace in some_limits(), manifest in some_limits()
    ) {
        let held = effective(&platform, &workspace, &manifest);
        for (name, value) in held.entries() {
            prop_assert!(value >= 1, "{name}");
            prop_assert!(value <= platform.ceiling.value(name), "{name}");
            if let Some(lowered) = workspace.value(name)
                && name.info().level >= Level::Workspace
            {
                prop_assert!(value <= lowered, "{name}");
            }
        }
    }

    #[test]
    fn each_limit_is_what_the_manifest_asks_for_or_the_default_cut_at_ceiling_and_workspace(
        platform in platform(), workspace in some_limits(), manifest in some_limits()
    ) {
        let held = effective(&platform, &workspace, &manifest);
        for (name, value) in held.entries() {
            let asked = match name.info().level {
                Level::Manifest => manifest.value(name),
                Level::Workspace | Level::Platform | Level::Nobody => None,
            };
            let wanted = asked.unwrap_or_else(|| platform.default.value(name));
            let lowered = |name: LimitName| match name.info().level {
                Level::Manifest | Level::Workspace => workspace.value(name).unwrap_or(u64::MAX),
                Level::Platform | Level::Nobody => u64::MAX,
            };
            // A limit of 32 bits holds at most so much, whoever asks.
            let mut fitting = Limits::default();
            fitting.put(name, wanted);
            let expected = fitting
                .value(name)
                .min(platform.ceiling.value(name))
                .min(lowered(name));
            prop_assert_eq!(value, expected, "{}", name);
        }
    }

    #[test]
    fn a_workspace_never_gets_more_by_lowering_something(
        platform in platform(), workspace in some_limits(), manifest in some_limits(), more in some_limits()
    ) {
        let before = effective(&platform, &workspace, &manifest);
        let mut lowered = workspace.clone();
        for (name, value) in more.entries() {
            let value = lowered.value(name).map_or(value, |set| set.min(value));
            lowered.set(name, value).unwrap_or_default();
        }
        let after = effective(&platform, &lowered, &manifest);
        for (name, value) in after.entries() {
            prop_assert!(value <= before.value(name), "{name}");
        }
    }

    #[test]
    fn what_a_workspace_may_set_is_exactly_what_is_not_above_the_ceiling(
        platform in platform(), set in some_limits()
    ) {
        let above = set.entries().find(|(name, value)| *value > platform.ceiling.value(*name));
        match (platform.allows(&set), above) {
            (Ok(()), None) => {}
            (Err(error), Some((name, value))) => {
                let text = error.to_string();
                prop_assert!(text.contains(name.as_str()), "{text}");
                prop_assert!(text.contains(&value.to_string()), "{text}");
                prop_assert!(text.contains(&platform.ceiling.value(name).to_string()), "{text}");
            }
            (said, expected) => prop_assert!(false, "{said:?} {expected:?}"),
        }
    }

    #[test]
    fn a_set_is_the_same_after_it_was_stored(set in some_limits()) {
        let text = serde_json::to_string(&set).unwrap_or_default();
        prop_assert_eq!(serde_json::from_str::<LimitSet>(&text).ok(), Some(set));
    }
}

#[test]
fn every_limit_has_one_name_a_unit_and_words() {
    let names: BTreeSet<&str> = table().map(|row| row.name).collect();
    assert_eq!(names.len(), table().count(), "two limits of one name");
    for row in table() {
        assert!(row.default >= 1, "{}", row.name);
        assert!(row.about.trim().ends_with('.'), "{}", row.name);
        assert!(!row.beyond.is_empty(), "{}", row.name);
        let tells_unit = match row.unit {
            Unit::Bytes => row.name.to_lowercase().contains("bytes"),
            Unit::Milliseconds => row.name.to_lowercase().contains("_ms_"),
            Unit::Seconds => row.name.to_lowercase().contains("_seconds_"),
            Unit::PerSecond => row.name.to_lowercase().contains("per_second"),
            Unit::PerMinute => row.name.contains("bytes") && row.name.contains("per_minute"),
            Unit::Count | Unit::Ratio => !row.name.to_lowercase().contains("bytes"),
        };
        assert!(tells_unit, "{} counts {}", row.name, row.unit);
    }
}

#[test]
fn the_structs_have_no_field_that_the_table_does_not_know() {
    let fields = |value: serde_json::Value| -> BTreeSet<String> {
        value
            .as_object()
            .map(|object| object.keys().cloned().collect())
            .unwrap_or_default()
    };
    let mut all = fields(json!(CallLimits::default()));
    all.extend(fields(json!(Quotas::default())));
    all.extend(fields(json!(NetworkLimits::default())));
    all.extend(fields(json!(ApiLimits::default())));
    assert_eq!(all, LimitName::all().map(|name| name.to_string()).collect());
    assert_eq!(all, fields(json!(Limits::default())));
}

#[test]
fn a_name_that_is_not_known_is_refused_with_the_names_there_are() {
    let said = serde_json::from_value::<Limits>(json!({ "cpu_ms": 5 })).map_err(|e| e.to_string());
    let said = said.err().unwrap_or_default();
    assert!(
        said.contains("no limit `cpu_ms`; did you mean `cpu_ms_max`?"),
        "{said}"
    );
    for name in LimitName::all() {
        assert!(said.contains(name.as_str()), "{name}: {said}");
    }
}

#[test]
fn a_limit_of_zero_is_refused() {
    assert_eq!(LimitSet::parse_entry("cpu_ms_max=0"), Err(WrongLimit::Zero));
    assert!(serde_json::from_value::<Limits>(json!({ "cpu_ms_max": 0 })).is_err());
    assert!(serde_json::from_value::<LimitSet>(json!({ "cpu_ms_max": 0 })).is_err());
}

#[test]
fn what_is_not_a_limit_and_a_number_is_refused() {
    for text in [
        "cpu_ms_max",
        "cpu_ms_max=",
        "cpu_ms_max=many",
        "cpu_ms_max=-1",
        "=5",
    ] {
        assert!(LimitSet::parse_entry(text).is_err(), "{text}");
    }
    let (name, value) = LimitSet::parse_entry("memory_bytes_max = 1_048_576")
        .unwrap_or_else(|e| unreachable!("{e}"));
    assert_eq!((name.as_str(), value), ("memory_bytes_max", 1 << 20));
}

#[test]
fn what_travels_in_a_frame_is_raised_no_further_than_a_frame_holds() {
    for (name, each) in effective::FRAMED {
        let most = (FRAMED_BYTES_MAX / each) as u64;
        let raised = |value: u64| -> Result<(), String> {
            let set: LimitSet =
                serde_json::from_value(json!({ name: value })).map_err(|e| e.to_string())?;
            let limits: Limits =
                serde_json::from_value(json!({ name: value })).map_err(|e| e.to_string())?;
            // As what holds where nobody asks, and as what a manifest may ask for.
            let said = PlatformLimits::new(limits, &LimitSet::default()).map(drop);
            assert_eq!(PlatformLimits::new(Limits::default(), &set).map(drop), said);
            said
        };
        assert_eq!(raised(most), Ok(()));
        let said = raised(most + 1).err().unwrap_or_default();
        let told = format!("`{name}` = {} is more than travels", most + 1);
        assert!(said.contains(&told), "{said}");
        assert!(said.contains("`FRAMED_BYTES_MAX` (4194304)"), "{said}");
    }
    // Two names and bytes of a hundred lines beside the longest of them are within a frame.
    const { assert!(FRAMED_BYTES_MAX * 3 / 2 < FRAME_BYTES_MAX) };
}

#[test]
fn a_ceiling_below_the_limit_or_of_a_workspaces_own_limit_is_refused() {
    let ceiling = |name: &str, value: u64| {
        let set = serde_json::from_value(json!({ name: value })).unwrap_or_default();
        PlatformLimits::new(Limits::default(), &set)
    };
    let said = ceiling("cpu_ms_max", 10).err().unwrap_or_default();
    assert!(
        said.contains("`cpu_ms_max`, 10, is below its limit, 5000"),
        "{said}"
    );
    let said = ceiling("guest_calls_per_workspace_max", 1_000)
        .err()
        .unwrap_or_default();
    assert!(said.contains("no manifest may ask"), "{said}");
    let raised = ceiling("cpu_ms_max", 60_000).map(|platform| platform.ceiling.call.cpu_ms_max);
    assert_eq!(raised, Ok(60_000));
}

#[test]
fn the_documentation_lists_exactly_the_limits_there_are() {
    let documented = include_str!("../../../../docs/limits.md");
    assert!(
        documented.contains(&table_markdown()),
        "{}",
        table_markdown()
    );
}
