//! How much a manifest may ask for: at each limit it is taken, one above it is
//! refused by the limit's name and value.

use crate::limit::{
    ENUM_MIXED_VALUES_MAX, ENUM_VALUES_MAX, SCHEMA_DEPTH_MAX, SCHEMA_NAME_BYTES_MAX,
    SCHEMA_NODES_MAX, SCHEMA_PATHS_BYTES_MAX, SCHEMA_PATTERN_BYTES_MAX, SCHEMA_PATTERNS_MAX,
    SCHEMA_VALUES_MAX, USE_PATHS_MAX, USES_MAX,
};
use crate::manifest::Manifest;

/// A manifest with an action whose input has these lines.
fn taking(lines: &str) -> Result<Manifest, String> {
    let text = format!(
        "[connector]\nname = 'a'\nversion = '1.0.0'\ntitle = 'A'\n[actions.b]\ntitle = 'B'\n[actions.b.input]\ntype = 'object'\n{lines}\n"
    );
    Manifest::parse(&text).map_err(|error| error.to_string())
}

/// A manifest whose action sends requests as `uses` says.
fn using(uses: &str) -> Result<Manifest, String> {
    let text = format!(
        "[connector]\nname = 'a'\nversion = '1.0.0'\ntitle = 'A'\ncapabilities = ['http']\n[destinations.api]\nschemes = ['https']\nhost = 'api.example.com'\n[actions.b]\ntitle = 'B'\nuses = [{uses}]\n"
    );
    Manifest::parse(&text).map_err(|error| error.to_string())
}

/// That what `of` makes of `most` is taken, and of one more is refused by this name.
fn ends_at<T>(name: &str, most: usize, of: impl Fn(usize) -> Result<T, String>) {
    assert_eq!(of(most).err(), None, "{name}");
    let said = of(most + 1).err().unwrap_or_default();
    assert!(said.contains(&format!("`{name}` ({most})")), "{said}");
}

fn joined(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect::<Vec<_>>().join(", ")
}

#[test]
fn schemas_over_their_number_are_refused_by_name() {
    // The input itself is one.
    ends_at("SCHEMA_NODES_MAX", SCHEMA_NODES_MAX, |count| {
        taking(&format!("allOf = [{}]", joined(count - 1, |_| "{}".into())))
    });
    ends_at("SCHEMA_NODES_MAX", SCHEMA_NODES_MAX, |count| {
        let names = joined(count - 1, |at| format!("'p{at}'"));
        taking(&format!("required = [{names}]"))
    });
    ends_at("SCHEMA_NODES_MAX", SCHEMA_NODES_MAX, |count| {
        let half = SCHEMA_NODES_MAX / 2;
        let first = joined(half - 1, |_| "{}".into());
        let second = joined(count - half - 1, |_| "{}".into());
        taking(&format!(
            "allOf = [{first}]\n[actions.c]\ntitle = 'C'\n[actions.c.output]\ntype = 'array'\nallOf = [{second}]"
        ))
    });
}

#[test]
fn a_propertys_name_and_a_pattern_over_their_bytes_are_refused_by_name() {
    ends_at("SCHEMA_NAME_BYTES_MAX", SCHEMA_NAME_BYTES_MAX, |bytes| {
        taking(&format!("properties.{} = {{}}", "n".repeat(bytes)))
    });
    ends_at("SCHEMA_NAME_BYTES_MAX", SCHEMA_NAME_BYTES_MAX, |bytes| {
        taking(&format!("required = ['{}']", "n".repeat(bytes)))
    });
    let most = SCHEMA_PATTERN_BYTES_MAX;
    ends_at("SCHEMA_PATTERN_BYTES_MAX", most, |bytes| {
        taking(&format!("pattern = '{}'", "p".repeat(bytes)))
    });
    ends_at("SCHEMA_PATTERN_BYTES_MAX", most, |bytes| {
        taking(&format!("patternProperties.{} = {{}}", "p".repeat(bytes)))
    });
}

#[test]
fn patterns_over_their_number_are_refused_by_name() {
    let most = SCHEMA_PATTERNS_MAX;
    ends_at("SCHEMA_PATTERNS_MAX", most, |count| {
        let all = joined(count, |_| "{ pattern = 'p' }".into());
        taking(&format!("allOf = [{all}]"))
    });
    ends_at("SCHEMA_PATTERNS_MAX", most, |count| {
        let all = joined(count, |at| format!("p{at} = {{}}"));
        taking(&format!("patternProperties = {{ {all} }}"))
    });
}

#[test]
fn values_of_enums_over_their_number_are_refused_by_name() {
    for value in ["'a'", "1"] {
        ends_at("ENUM_VALUES_MAX", ENUM_VALUES_MAX, |count| {
            taking(&format!("enum = [{}]", joined(count, |_| value.into())))
        });
    }
    for value in ["[1]", "{ a = 1 }", "1.5", "true"] {
        ends_at("ENUM_MIXED_VALUES_MAX", ENUM_MIXED_VALUES_MAX, |count| {
            taking(&format!("enum = [{}]", joined(count, |_| value.into())))
        });
    }
    ends_at("ENUM_MIXED_VALUES_MAX", ENUM_MIXED_VALUES_MAX, |count| {
        let texts = joined(count - 1, |_| "'a'".into());
        taking(&format!("enum = [1, {texts}]"))
    });
}

#[test]
fn values_of_all_keywords_together_over_their_number_are_refused_by_name() {
    let most = SCHEMA_VALUES_MAX;
    for keyword in ["const", "default", "examples"] {
        ends_at("SCHEMA_VALUES_MAX", most, |count| {
            let numbers = joined(count - 6, |_| "1".into());
            taking(&format!("{keyword} = [{{ a = 1, b = [[1, {numbers}]] }}]"))
        });
    }
    ends_at("SCHEMA_VALUES_MAX", most, |count| {
        let ones = |count| joined(count, |_| "1".into());
        let enums = joined(4, |_| format!("{{ enum = [{}] }}", ones(ENUM_VALUES_MAX)));
        let rest = ones(count - 4 * (ENUM_VALUES_MAX + 1) - 1);
        taking(&format!("allOf = [{enums}, {{ default = [{rest}] }}]"))
    });
}

#[test]
fn uses_and_paths_over_their_number_are_refused_by_name() {
    let entry =
        |paths: &str| format!("{{ destination = 'api', methods = ['GET'], paths = [{paths}] }}");
    ends_at("USES_MAX", USES_MAX, |count| {
        using(&joined(count, |_| entry("'/a'")))
    });
    ends_at("USE_PATHS_MAX", USE_PATHS_MAX, |count| {
        using(&entry(&joined(count, |at| format!("'/{at}'"))))
    });
}

#[test]
fn an_entry_that_repeats_an_earlier_one_is_refused_among_many() {
    let types = "type = ['string', 'number', 'string']";
    let said = taking(&format!("properties.a.{types}")).err();
    assert!(
        said.as_ref()
            .is_some_and(|said| said.contains("type[2]` repeats an earlier entry")),
        "{said:?}"
    );
}

#[test]
fn a_long_key_is_cut_in_the_places_of_everything_below_it() {
    let key = "k".repeat(100_000);
    let error = Manifest::parse(&format!(
        "connector = {{ name = 'a', version = '1.0.0', title = 'A' }}\nactions.b.title = 'B'\nactions.b.input.type = 'object'\nactions.b.input.default.{key}.x = 2026-01-01\n"
    ))
    .err();
    let path = error.map(|error| error.path).unwrap_or_default();
    assert!(
        (1..200).contains(&path.len()) && path.ends_with("k.x"),
        "{path}"
    );
}

#[test]
fn long_names_far_down_are_counted_for_each_keyword_below_them() {
    // Each level has a name of slashes, which two characters stand for in a path.
    let of = |levels: usize, leaves: usize| {
        let name = format!(
            "patternProperties.'{}'.",
            "/".repeat(SCHEMA_PATTERN_BYTES_MAX)
        );
        let leaves = joined(leaves, |_| "{ title = 't' }".into());
        taking(&format!("{}allOf = [{leaves}]", name.repeat(levels)))
    };
    assert_eq!(of(30, 10).err(), None);
    let said = of(30, 1_000).err().unwrap_or_default();
    let told = format!("`SCHEMA_PATHS_BYTES_MAX` ({SCHEMA_PATHS_BYTES_MAX})");
    assert!(said.contains(&told), "{said}");
    // Not far down, as many are taken.
    assert_eq!(of(1, 1_000).err(), None);
}

#[test]
fn a_schema_that_nests_too_deeply_is_refused() {
    let nested = |schemas: usize| taking(&format!("{}type = 'null'", "not.".repeat(schemas)));
    assert_eq!(nested(SCHEMA_DEPTH_MAX).err(), None);
    let said = nested(SCHEMA_DEPTH_MAX + 1).err().unwrap_or_default();
    let remedy = format!("nest at most `SCHEMA_DEPTH_MAX` ({SCHEMA_DEPTH_MAX}) schemas");
    assert!(said.contains(&remedy), "{said}");
    // A name with many dots is one name.
    let dotted = format!("properties.'{}'.type = 'null'", ".".repeat(100));
    assert_eq!(taking(&dotted).err(), None);
}

#[test]
fn a_value_that_nests_without_end_is_refused() {
    let deep = |keyword: &str| {
        let text = format!(
            "connector = {{ name = 'a', version = '1.0.0', title = 'A' }}\nactions.b.title = 'B'\nactions.b.input.type = 'object'\nactions.b.input.{keyword}.{}x = 1\n",
            "a.".repeat(100_000)
        );
        Manifest::parse(&text).map(drop)
    };
    for keyword in ["default", "const", "properties"] {
        assert!(deep(keyword).is_err(), "{keyword}");
    }
}
