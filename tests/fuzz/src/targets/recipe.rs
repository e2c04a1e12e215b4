//! The recipe parser, in both of its notations.
//!
//! Never panics; every error names a place in the text; what is accepted keeps
//! within the limits and is accepted again.

use keyway_model::limit::{RECIPE_DEPTH_MAX, RECIPE_STEPS_MAX};
use keyway_model::recipe::{Format, Recipe};

use super::Target;

pub(super) const TARGET: Target = Target {
    name: "recipe",
    run,
    tokens: &[
        "recipe: a",
        "trigger:",
        "webhook: {}",
        "poll:",
        "steps:",
        "- id: b",
        "action:",
        "with:",
        "if:",
        "then:",
        "else:",
        "foreach:",
        "do:",
        "transform:",
        "respond:",
        "stop:",
        "mask: true",
        "sensitive: [/a/b]",
        "${ trigger.body }",
        "${{",
        "}",
        "&a",
        "*a",
        "<<: *a",
        "!!binary",
        "|-",
        ">",
        "\n  ",
        "\t",
        "---",
        "...",
        "%YAML 1.2",
        "\"\\ud800\"",
        "1e999",
        "0x10",
        "~",
        "{\"recipe\":",
        "[",
        "]",
        ": ",
        "- ",
    ],
    input_bytes_max: 16 << 10,
    memory_bytes_max: 128 << 20,
    test_inputs: 2_000,
};

fn run(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    for format in [Format::Detect, Format::Json] {
        match Recipe::parse(&text, format) {
            Ok(recipe) => accepted(&recipe, &text, format),
            Err(errors) => {
                // YAML knows more line breaks than most editors.
                let breaks = ['\n', '\r', '\u{85}', '\u{2028}', '\u{2029}'];
                let lines = text.matches(breaks).count() + 2;
                for error in errors.iter() {
                    assert!(error.line <= lines, "{error} is not in the text");
                }
                assert!(errors.iter().next().is_some(), "a refusal says why");
                assert!(!errors.in_file("recipe.yaml").is_empty());
            }
        }
    }
}

fn accepted(recipe: &Recipe, text: &str, format: Format) {
    let again = Recipe::parse(text, format).expect("it was accepted a moment ago");
    assert_eq!(*recipe, again, "the same text is read the same");
    assert!(!recipe.steps.is_empty() && recipe.steps.len() <= RECIPE_STEPS_MAX);
    let shown = format!("{:?}", recipe.steps);
    assert!(shown.matches("Step {").count() <= RECIPE_STEPS_MAX * 2);
    let depth = RECIPE_DEPTH_MAX;
    assert!(recipe.references().len() <= RECIPE_STEPS_MAX * depth);
}
